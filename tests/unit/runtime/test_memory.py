"""What was needed lately, kept in memory."""

import asyncio

import numpy as np
import pytest

from roomviz.runtime.memory import Memory

VALUE = np.zeros(100, np.uint8)


class Work:
    """Is done when it is let go; counts how often it was begun."""

    def __init__(self, failure: Exception | None = None):
        self.begun, self.go, self.failure = 0, asyncio.Event(), failure

    async def __call__(self) -> np.ndarray:
        self.begun += 1
        await self.go.wait()
        if self.failure:
            raise self.failure
        return VALUE


async def test_what_many_ask_for_at_the_same_time_is_made_once():
    memory, work = Memory[np.ndarray](1000), Work()
    asking = [asyncio.create_task(memory.once("a", work)) for _ in range(5)]
    await asyncio.sleep(0)

    work.go.set()

    assert all(found is VALUE for found in await asyncio.gather(*asking))
    assert await memory.once("a", work) is VALUE
    assert work.begun == 1
    assert await memory.once("b", work) is VALUE
    assert work.begun == 2


async def test_who_asked_first_may_go_away():
    memory, work = Memory[np.ndarray](1000), Work()
    first, second = (asyncio.create_task(memory.once("a", work)) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    work.go.set()

    assert await second is VALUE
    assert work.begun == 1
    assert first.cancelled()


async def test_what_nobody_waits_for_any_more_is_given_up():
    memory, work = Memory[np.ndarray](1000), Work()
    asking = [asyncio.create_task(memory.once("a", work)) for _ in range(2)]
    await asyncio.sleep(0)

    for one in asking:
        one.cancel()
    await asyncio.wait(asking)

    assert asyncio.all_tasks() == {asyncio.current_task()}
    work.go.set()
    assert await memory.once("a", work) is VALUE
    assert work.begun == 2


async def test_what_failed_is_tried_again():
    memory, work = Memory[np.ndarray](1000), Work(OSError("no"))
    asking = [asyncio.create_task(memory.once("a", work)) for _ in range(2)]
    work.go.set()

    for one in asking:
        with pytest.raises(OSError, match="no"):
            await one
    work.failure = None

    assert await memory.once("a", work) is VALUE
    assert work.begun == 2


async def test_what_is_larger_than_the_memory_is_made_each_time():
    memory, work = Memory[np.ndarray](50), Work()
    work.go.set()

    assert await memory.once("a", work) is VALUE
    assert await memory.once("a", work) is VALUE
    assert work.begun == 2
