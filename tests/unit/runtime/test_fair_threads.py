import os
import threading
import time

import pytest

from roomviz.runtime import context
from roomviz.runtime.fair_threads import Account, FairThreads, LeastServed

A, B, C = Account("a", False), Account("b", False), Account("c", False)
NIGHT = Account("a", True)


def taken(queue: LeastServed[str], now: float) -> tuple[Account, str, bool] | None:
    for over in (False, True):
        if (found := queue.take(now, over)) is not None:
            return *found, over
    return None


def served(queue: LeastServed[str], seconds: float, now: float = 0.0) -> list[str]:
    """What one thread takes that looks first at those who are not over their part."""
    out = []
    while (found := taken(queue, now)) is not None:
        account, item, _ = found
        now += seconds
        queue.took(account, seconds, now)
        out.append(item)
    return out


def test_who_comes_late_does_not_wait_for_all_of_who_floods():
    queue = LeastServed[str]()
    for n in range(4):
        queue.put(A, f"a{n}")
    for n in range(2):
        queue.put(B, f"b{n}")

    assert served(queue, 0.1) == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_who_had_much_lately_waits_for_who_had_little_and_is_forgiven_with_time():
    queue = LeastServed[str]()
    queue.took(A, 10.0, now=0.0)
    queue.took(B, 1.0, now=0.0)

    def asked(now: float) -> list[str]:
        queue.put(A, "a")
        queue.put(B, "b")
        return served(queue, 0.0, now)

    assert asked(0.1) == ["b", "a"]
    queue.took(B, 1.0, now=20.0)
    assert asked(20.1) == ["a", "b"]


def test_over_its_part_is_who_had_more_than_the_others_and_what_nobody_waits_for():
    queue = LeastServed[str]()
    queue.took(A, 3.0, now=0.0)
    assert not queue.over(A, 0.0)  # alone it may have all

    queue.took(B, 0.5, now=0.0)
    queue.took(NIGHT, 50.0, now=0.0)
    assert [queue.over(account, 0.0) for account in (A, B, C, NIGHT)] == [True, False, False, True]

    queue.put(A, "a")
    assert queue.take(0.0, over=False) is None
    assert queue.take(0.0, over=True) == (A, "a")

    queue.put(A, "a")
    assert queue.take(30.0, over=False) == (A, "a")  # and is no longer, with time


def test_those_long_gone_are_forgotten():
    queue = LeastServed[str]()
    for n in range(5000):
        queue.took(Account(f"tenant-{n}", False), 0.01, now=float(n))

    assert len(queue._had) < 1100


@pytest.fixture
def entered():
    """Serves as a tenant: `entered("shop")`."""
    token = context._current.set(None)
    yield lambda tenant, background=False: context.enter(
        context.RequestContext("id", tenant, float("inf"), background=background)
    )
    context._current.reset(token)


def test_the_threads_ask_whose_a_task_is(entered):
    order, began, busy = [], threading.Event(), threading.Event()
    with FairThreads(1, "test") as threads:
        entered("flood")
        threads.submit(time.sleep, 0.2).result(10)
        threads.submit(lambda: (began.set(), busy.wait(10)))
        assert began.wait(10)
        waiting = [threads.submit(order.append, f"flood{n}") for n in range(3)]
        entered("quiet")
        waiting.append(threads.submit(order.append, "quiet"))
        time.sleep(0.05)
        assert order == []
        busy.set()

    assert all(w.done() for w in waiting)
    assert order == ["quiet", "flood0", "flood1", "flood2"]


def test_what_nobody_waits_for_steps_back_from_the_processor_and_holds_up_nobody(entered):
    began, busy = threading.Event(), threading.Event()

    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with FairThreads(1, "test") as threads:
        entered("shop", background=True)
        assert threads.submit(nice).result(10) == 19
        night = threads.submit(lambda: (began.set(), busy.wait(10)))
        assert began.wait(10)
        entered("shop")
        assert threads.submit(nice).result(10) == nice()
        assert not night.done()
        busy.set()


def test_a_tenant_that_floods_steps_back_from_the_processor(entered):
    def worked() -> int:
        time.sleep(0.1)
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with FairThreads(1, "test") as threads:
        entered("quiet")
        threads.submit(worked).result(10)
        entered("flood")
        found = [threads.submit(worked) for _ in range(5)]
        assert found[-1].result(10) == 19
        entered("quiet")
        assert threads.submit(worked).result(10) < 19


def test_answers_failures_and_cancelled_tasks_reach_who_waits():
    began, go = threading.Event(), threading.Event()

    def first() -> str:
        began.set()
        go.wait(10)
        return "done"

    threads = FairThreads(1, "test")
    one, failing, cancelled = threads.submit(first), threads.submit(lambda: 1 // 0), threads.submit(lambda: 1)
    began.wait(10)
    assert cancelled.cancel()
    go.set()

    assert one.result(10) == "done"
    with pytest.raises(ZeroDivisionError):
        failing.result(10)
    threads.shutdown()
    with pytest.raises(RuntimeError, match="no more work"):
        threads.submit(print)


def test_so_many_threads_work_at_once():
    barrier = threading.Barrier(3)
    with FairThreads(3, "test") as threads:
        assert sorted(threads.map(lambda n: (barrier.wait(10), n)[1], range(3))) == [0, 1, 2]
