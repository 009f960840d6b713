import asyncio
from contextlib import suppress

from roomviz.runtime import background
from roomviz.runtime.background import beside


def test_work_beside_other_work_ends_though_it_loses_a_cancellation(monkeypatch):
    monkeypatch.setattr(background, "_AGAIN_S", 0.01)
    turns: list[str] = []

    async def work() -> None:
        with suppress(asyncio.CancelledError):  # as libraries do
            await asyncio.sleep(60)
        turns.append("lost one")
        try:
            await asyncio.sleep(60)
        finally:
            turns.append("ended")

    async def main() -> None:
        async with asyncio.timeout(5):
            async with beside(work()):
                await asyncio.sleep(0)

    asyncio.run(main())

    assert turns == ["lost one", "ended"]


def test_work_that_broke_does_not_break_what_went_on_beside_it():
    async def work() -> None:
        raise ValueError("broke")

    async def main() -> str:
        async with beside(work()):
            await asyncio.sleep(0.01)
        return "fine"

    assert asyncio.run(main()) == "fine"
