"""What workers are to the evaluator: it gives them parts of a batch and waits for what becomes of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from widthwise.core.arrays import IntArray
from widthwise.evaluators.protocol import Results
from widthwise.evaluators.workers.messages import WorkerError
from widthwise.evaluators.workers.parts import Part

if TYPE_CHECKING:
    from widthwise.network.realised import Realised


@dataclass(frozen=True)
class Died:
    """The worker that had the part is gone; reason: as "was killed by SIGKILL"."""

    reason: str


@dataclass(frozen=True)
class Answer:
    """What became of a part, and the networks that were trained for it."""

    part: Part
    outcome: Results | WorkerError | Died
    realised: tuple[Realised, ...] = ()


class Workers(Protocol):
    """Processes, here or elsewhere, that each hold an evaluator; those that die are replaced."""

    @property
    def count(self) -> int:
        """How many there are, ready or not."""
        ...

    def give(self, part: Part, candidates: IntArray) -> bool:
        """Hand a part's candidates [k, D] to a free worker; False: none is free now."""
        ...

    def wait(self, seconds: float | None) -> list[Answer]:
        """What has happened since, after at most so many seconds; empty where that is nothing of interest.

        Raises UserError where no worker can be had.
        """
        ...

    def drop(self, part: Part) -> None:
        """Nobody wants the results of this part any more: its worker ends, and is replaced."""
        ...

    def refresh(self) -> None:
        """A batch begins: use what machines there are now."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...
