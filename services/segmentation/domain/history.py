"""A room's log of corrections. It is only ever added to; what is in force follows from reading it from the start."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from roomviz.errors import FailedPrecondition
from services.segmentation.domain.strokes import Stroke


class Kind(StrEnum):
    REFINE = "refine"
    UNDO = "undo"
    REDO = "redo"
    RESET = "reset"
    ANALYZE = "analyze"


@dataclass(frozen=True)
class Event:
    """A step. revision counts from 1; surface_id, strokes and box (x, y, width, height, of what changed) are those of a
    REFINE."""

    revision: int
    kind: Kind
    surface_id: str
    strokes: tuple[Stroke, ...]
    create_time: datetime
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class History:
    """done and undone: steps that can be taken back and done again, by revision, the next one last."""

    done: tuple[Event, ...] = ()
    undone: tuple[Event, ...] = ()
    head: int = 0

    def then(self, e: Event) -> "History":
        """The history after one more step."""
        if e.kind is Kind.UNDO:
            return History(self.done[:-1], (*self.undone, self.done[-1]), e.revision)
        if e.kind is Kind.REDO:
            return History((*self.done, self.undone[-1]), self.undone[:-1], e.revision)
        return History((*self.done, e), (), e.revision)

    @property
    def current(self) -> Event | None:
        """The step that made the masks as they are now; None for those of the analysis."""
        return self.done[-1] if self.done else None

    @property
    def active(self) -> tuple[Event, ...]:
        """The corrections in force, oldest first."""
        return _strokes(self.done)

    def undo(self) -> Event | None:
        """What made the masks that taking back would restore; None for those of the analysis."""
        if not self.done:
            raise FailedPrecondition("NOTHING_TO_UNDO", "there is no step to take back")
        return self.done[-2] if len(self.done) > 1 else None

    def redo(self) -> Event:
        if not self.undone:
            raise FailedPrecondition("NOTHING_TO_REDO", "no step was taken back")
        return self.undone[-1]

    @property
    def replayable(self) -> tuple[Event, ...]:
        """The corrections that a new analysis may have replaced: those in force, or in force before it."""
        done = self.done
        while done and done[-1].kind is Kind.ANALYZE:
            done = done[:-1]
        return _strokes(done)


def _strokes(done: Sequence[Event]) -> tuple[Event, ...]:
    begin = max((i + 1 for i, e in enumerate(done) if e.kind is not Kind.REFINE), default=0)
    return tuple(done[begin:])


def fold(events: Iterable[Event]) -> History:
    """The history that a whole log tells, oldest event first."""
    history = History()
    for e in events:
        history = history.then(e)
    return history
