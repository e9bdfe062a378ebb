"""What workers are to the evaluator: it gives them parts of a batch and waits for what becomes of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from widthwise.core.arrays import IntArray
from widthwise.evaluators.protocol import Results
from widthwise.evaluators.workers.channel import NoMessageError
from widthwise.evaluators.workers.messages import (
    WorkerError,
    answers,
    check_results,
    unpack_error,
    unpack_realised,
    unpack_results,
)
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


def answer_of(part: Part, message: bytes, asked: int = 0) -> Answer:
    """What a worker answered about a part, asked under this number; raises NoMessageError for all else."""
    try:
        if not answers(message, asked):
            raise ValueError("an answer to something else")
        outcome = unpack_results(message)
        if isinstance(outcome, Results):
            check_results(outcome, len(part))
        return Answer(part, outcome, unpack_realised(message))
    except Exception as error:  # bytes that are no message make nearly anything raise
        raise NoMessageError from error


def start_of(message: bytes) -> WorkerError | None:
    """What a worker says of its start, None where it is ready; raises NoMessageError as `answer_of`."""
    try:
        return unpack_error(message)
    except Exception as error:
        raise NoMessageError from error


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
