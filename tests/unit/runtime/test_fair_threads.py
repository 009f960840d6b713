import os
import threading
import time

import pytest

from roomviz.runtime import context
from roomviz.runtime.fair_threads import Account, FairThreads, LeastServed

A, B, C = Account("a", False), Account("b", False), Account("c", False)
NIGHT = Account("a", True)


def had(queue: LeastServed[str], account: Account, seconds: float, now: float = 0.0) -> None:
    """Let an account have had so much of the threads' time when it was then."""
    queue.put(account, "before")
    assert queue.take(now, account.background) == (account, "before")
    queue.took(account, seconds, now)


def served(queue: LeastServed[str], seconds: float, now: float = 0.0) -> list[str]:
    """What one thread takes that looks at the background last."""
    out = []
    while queue.waiting:
        found = queue.take(now, False) or queue.take(now, True)
        if found is None:
            now += 0.001
            continue
        now += seconds
        queue.took(found[0], seconds, now)
        out.append(found[1])
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
    had(queue, A, 10.0)
    had(queue, B, 1.0, now=1.0)

    def asked(now: float) -> list[str]:
        queue.put(A, "a")
        queue.put(B, "b")
        return served(queue, 0.0, now)

    assert asked(2.0) == ["b", "a"]
    had(queue, B, 1.0, now=20.0)
    assert asked(21.0) == ["a", "b"]


def test_the_background_steps_back_while_others_are_served_but_for_a_piece_now_and_then():
    queue = LeastServed[str]()
    queue.put(B, "b")
    assert queue.take(1.0, background=False) == (B, "b")
    for n in range(4):
        queue.put(NIGHT, f"night{n}")

    assert queue.take(1.0, background=False) is None
    assert queue.take(1.0, background=True) == (NIGHT, "night0")
    assert queue.take(1.1, background=True) is None
    assert queue.take(1.3, background=True) == (NIGHT, "night1")
    queue.took(B, 0.35, now=1.35)
    assert queue.take(1.36, background=True) is None  # between two pieces of a call
    assert queue.take(1.4, background=True) == (NIGHT, "night2")
    assert queue.take(1.4, background=True) == (NIGHT, "night3")


def test_the_background_goes_on_a_little_however_much_else_there_is():
    queue = LeastServed[str]()
    for n in range(100):
        queue.put(A, f"a{n}")
        queue.put(NIGHT, f"night{n}")

    order = served(queue, 0.0)

    assert order[:100] == [f"a{n}" for n in range(100)]
    queue.put(A, "a")
    assert queue.take(1.0, background=False) == (A, "a")  # which goes on and on
    for n in range(20):
        queue.put(NIGHT, f"night{n}")
    assert sum(queue.take(2.0 + n / 100, background=True) is not None for n in range(100)) == 4


def test_those_long_gone_are_forgotten():
    queue = LeastServed[str]()
    for n in range(5000):
        had(queue, Account(f"tenant-{n}", False), 0.01, now=float(n))

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


def test_what_steps_back_waits_while_others_are_served(entered):
    began, busy = threading.Event(), threading.Event()

    with FairThreads(2, "test") as threads:
        entered("quiet")
        quiet = threads.submit(lambda: (began.set(), busy.wait(10)))
        assert began.wait(10)
        entered("flood", background=True)
        flood = [threads.submit(time.monotonic) for _ in range(40)]
        time.sleep(0.6)
        assert 1 <= sum(f.done() for f in flood) <= 4
        busy.set()
        quiet.result(10)
        assert flood[-1].result(10)


def test_threads_do_not_wake_each_other_for_nothing(entered):
    began, busy = threading.Event(), threading.Event()

    with FairThreads(2, "test") as threads:
        entered("quiet")
        threads.submit(lambda: (began.set(), busy.wait(10)))
        assert began.wait(10)
        entered("night", background=True)
        for _ in range(50):
            threads.submit(time.monotonic)
        before = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before < 0.25
        busy.set()


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
