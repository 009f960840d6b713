import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomviz.errors import ResourceExhausted, Unavailable
from roomviz.runtime.admission import Answer, FairQueue, Turns


def queue(slots: int = 2, share: int = 2, of_one: int = 4, of_all: int = 8) -> FairQueue[str]:
    return FairQueue(slots, share, of_one, of_all)


def test_what_fits_goes_at_once_and_the_rest_waits():
    asked = queue()

    assert [asked.ask("a", t) for t in ("a1", "a2", "a3")] == [Answer.GO, Answer.GO, Answer.WAIT]


def test_a_flood_takes_turns_with_a_tenant_that_came_later():
    asked = queue(slots=1, share=1)
    for ticket in ("a1", "a2", "a3", "a4"):
        asked.ask("a", ticket)
    for ticket in ("b1", "b2"):
        asked.ask("b", ticket)

    went, holder = [], "a"
    while (ticket := asked.leave(holder)) is not None:
        went.append(ticket)
        holder = ticket[0]

    assert went == ["a2", "b1", "a3", "b2", "a4"]


def test_one_tenant_leaves_slots_for_who_comes_next():
    asked = queue(slots=3, share=2)

    flood = [asked.ask("a", f"a{i}") for i in range(3)]

    assert flood == [Answer.GO, Answer.GO, Answer.WAIT]
    assert asked.ask("b", "b1") is Answer.GO


def test_a_tenant_at_its_share_is_passed_over():
    asked = queue(slots=3, share=2)
    for ticket in ("a1", "a2", "a3"):
        asked.ask("a", ticket)
    asked.ask("b", "b1")
    asked.ask("c", "c1")

    assert asked.leave("b") == "c1"


def test_a_flood_fills_its_own_queue_and_not_that_of_others():
    asked = queue(slots=1, share=1, of_one=2, of_all=3)

    assert [asked.ask("a", f"a{i}") for i in range(4)] == [Answer.GO, Answer.WAIT, Answer.WAIT, Answer.TENANT_FULL]
    assert asked.ask("b", "b1") is Answer.WAIT
    assert asked.ask("c", "c1") is Answer.FULL


def test_who_stopped_waiting_gets_no_turn():
    asked = queue(slots=1, share=1)
    for ticket in ("a1", "a2", "a3"):
        asked.ask("a", ticket)

    asked.forget("a", "a2")

    assert asked.leave("a") == "a3"
    assert asked.waiting == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=80), st.integers(1, 4), st.integers(1, 4))
def test_no_more_run_than_there_are_slots_and_nobody_waits_beside_a_free_one(
    steps: list[tuple[str, bool]], slots: int, share: int
):
    asked = FairQueue[str](slots, share, 5, 100)
    running, waiting = Counter[str](), Counter[str]()
    for number, (tenant, leaves) in enumerate(steps):
        if leaves and running[tenant]:
            running[tenant] -= 1
            following = asked.leave(tenant)
            if following is not None:
                running[following[0]] += 1
                waiting[following[0]] -= 1
        elif not leaves:
            answer = asked.ask(tenant, f"{tenant}{number}")
            running[tenant] += answer is Answer.GO
            waiting[tenant] += answer is Answer.WAIT
        assert running.total() <= slots
        assert max(running.values(), default=0) <= share
        assert asked.waiting == waiting.total()
        if running.total() < slots:
            assert all(running[t] == share for t in waiting if waiting[t])


async def held(turns: Turns, tenant: str, release: asyncio.Event, entered: list[str]) -> None:
    async with turns.turn(tenant, 60.0):
        entered.append(tenant)
        await release.wait()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_call_waits_until_a_slot_is_given_back():
    turns, entered = Turns("test", 1, 1, 4, 60.0), list[str]()
    first, second = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(held(turns, "a", first, entered))
        group.create_task(held(turns, "b", second, entered))
        await settle()
        assert entered == ["a"]
        first.set()
        await settle()
        assert entered == ["a", "b"]
        second.set()


async def test_a_call_whose_turn_does_not_come_is_told_when_to_try_again():
    turns, release = Turns("test", 1, 1, 4, 0.0), asyncio.Event()
    task = asyncio.create_task(held(turns, "a", release, []))
    await settle()

    with pytest.raises(Unavailable, match="too much to do") as refused:
        async with turns.turn("b", 60.0):
            pass
    release.set()
    await task

    assert refused.value.reason == "OVERLOADED"
    assert refused.value.retry_after_s is not None
    async with turns.turn("b", 60.0):  # nothing was left behind
        pass


async def test_a_tenant_with_too_many_waiting_is_refused_at_once():
    turns, release = Turns("test", 1, 1, 1, 60.0), asyncio.Event()
    tasks = [asyncio.create_task(held(turns, "a", release, [])) for _ in range(2)]
    await settle()

    with pytest.raises(ResourceExhausted) as refused:
        async with turns.turn("a", 60.0):
            pass
    release.set()
    await asyncio.gather(*tasks)

    assert refused.value.reason == "TENANT_OVERLOADED"


async def test_a_caller_that_goes_away_leaves_its_place():
    turns, release, entered = Turns("test", 1, 1, 4, 60.0), asyncio.Event(), list[str]()
    running = asyncio.create_task(held(turns, "a", release, entered))
    await settle()
    gone = asyncio.create_task(held(turns, "b", release, entered))
    last = asyncio.create_task(held(turns, "c", release, entered))
    await settle()
    gone.cancel()
    release.set()
    await asyncio.gather(running, last)

    assert entered == ["a", "c"]
