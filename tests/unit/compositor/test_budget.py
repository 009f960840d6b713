import asyncio

import pytest

from services.compositor.usecases.budget import Budget, memory_of


async def hold(
    budget: Budget, name: str, size: int, log: list[str], until: asyncio.Event, background: bool = False
) -> None:
    async with budget.held(size, background):
        log.append(name)
        await until.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_needs_more_than_is_left_waits_and_nobody_overtakes():
    budget, log = Budget(10), list[str]()
    ends = [asyncio.Event() for _ in range(4)]
    tasks = [
        asyncio.create_task(hold(budget, n, s, log, e))
        for (n, s), e in zip([("a", 6), ("b", 6), ("c", 3)], ends, strict=False)
    ]
    await settle()
    assert log == ["a"]  # c would fit, but b came first

    ends[0].set()
    await settle()
    assert log == ["a", "b", "c"]

    for end in ends:
        end.set()
    await asyncio.gather(*tasks)


async def test_what_nobody_waits_for_comes_last():
    budget, log = Budget(10), list[str]()
    ends = {name: asyncio.Event() for name in "abcd"}
    asked = [("a", False), ("b", True), ("c", False), ("d", True)]
    tasks = [asyncio.create_task(hold(budget, n, 8, log, ends[n], later)) for n, later in asked]

    for name in "acbd":
        await settle()
        ends[name].set()
    await asyncio.gather(*tasks)

    assert log == ["a", "c", "b", "d"]


async def test_more_than_all_of_it_has_it_alone():
    budget, log = Budget(10), list[str]()
    first, second = asyncio.Event(), asyncio.Event()
    huge = asyncio.create_task(hold(budget, "huge", 99, log, first))
    small = asyncio.create_task(hold(budget, "small", 1, log, second))
    await settle()
    assert log == ["huge"]

    first.set()
    second.set()
    await asyncio.gather(huge, small)
    assert log == ["huge", "small"]


@pytest.mark.parametrize("when", ["waiting", "holding"])
async def test_who_gives_up_leaves_room_for_the_others(when: str):
    budget, log = Budget(10), list[str]()
    end = asyncio.Event()
    first = asyncio.create_task(hold(budget, "first", 7, log, end))
    second = asyncio.create_task(hold(budget, "second", 7, log, end))
    third = asyncio.create_task(hold(budget, "third", 3, log, end))
    await settle()
    assert log == ["first"]

    (second if when == "waiting" else first).cancel()
    await settle()

    assert log == ["first", "third"] if when == "waiting" else ["first", "second", "third"]
    end.set()
    await asyncio.gather(first, second, third, return_exceptions=True)
    async with budget.held(10):
        pass


async def test_what_fails_gives_back_what_it_held():
    budget = Budget(10)
    with pytest.raises(ValueError, match="broken"):
        async with budget.held(10):
            raise ValueError("broken")

    async with asyncio.timeout(1), budget.held(10):
        pass


def test_layers_and_formats_that_are_written_in_one_piece_take_more():
    plain = memory_of("jpeg", "after", 6000, 8000)

    assert plain < memory_of("jpeg", "layer", 6000, 8000) < memory_of("avif", "after", 6000, 8000)
    assert memory_of("avif", "layer", 6000, 8000) < 2.7e9
