"""What a task is: what a network's outputs are worth, and how that is added up over blocks of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.catalogue import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.core.arrays import FloatArray, IntArray

Of = Literal["right", "square", "absolute"]
Then = Literal["sum", "root", "decibels", "exponential"]
Options = Mapping[str, Mapping[str, Any]]
"""Of metrics that take some, by the metric's name: the constructor's arguments of one of torchmetrics."""


class LossSettings(Protocol):
    """What a loss may follow of how a network is trained; `training.Settings` has it all."""

    @property
    def label_smoothing(self) -> float:
        """The share of a target that is spread over all classes."""
        ...

    @property
    def class_weights(self) -> Any:
        """How much each class counts, a number each; None: all alike. Of a task with `weighed_classes`."""
        ...

    @property
    def loss(self) -> Any:
        """The name of the one of the task's `losses` that is minimised; anything else: the first."""
        ...


class Tally(Protocol):
    """Figures of R candidates, added up over blocks of data."""

    @property
    def row_bytes(self) -> int:
        """About how much memory a candidate takes: by it the engine plans how many go together."""
        ...

    @property
    def failures(self) -> dict[int, str]:
        """Row to the reason, for candidates whose outputs are no figures; a caller may add others."""
        ...

    def fresh(self, rows: int) -> Tally:
        """An empty one of the same figures, for so many candidates."""
        ...

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Takes in outputs [V, n, ...] for targets [n, ...]: those of rows [R'], each with its version."""
        ...

    def values(self, metrics: Sequence[str], rows: IntArray | None = None) -> dict[str, FloatArray]:
        """The figures [R] over all that was added; NaN for those that failed, or are not in `rows`."""
        ...

    def best_possible(self, metrics: Sequence[str], total: int) -> dict[str, FloatArray]:
        """The best figure [R] that each candidate can still have once all `total` samples are added."""
        ...


class Answers(Protocol):
    """What a task knows of single samples, from which some of its metrics follow.

    Where answers are right or wrong it is by how much they are; see `LinksAnswers` for errors.
    """

    @property
    def metrics(self) -> Sequence[str]:
        """Those that follow: weighted counts of right answers, of which the values are above 0."""
        ...

    def margins(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """By how much outputs [V, n, ...] are right about targets [n, ...]: [V, n], > 0 where they are."""
        ...

    def shares(self, metric: str, targets: Tensor) -> FloatArray | None:
        """What each of the samples with targets [S, ...] counts in one of `metrics` if it is right, [S].

        None where the metric doesn't follow from samples with such targets.
        """
        ...


@runtime_checkable
class LinksAnswers(Protocol):
    """Answers of another kind: several values of a sample, [V, n, width], whose squares count, say."""

    def width(self, outputs: tuple[int, ...]) -> int:
        """How many values a sample has, and shares are [S, width]; outputs: their shape for one sample."""
        ...

    def link(self, metric: str) -> tuple[Of, Then]:
        """What of the values counts in one of `metrics`, and what becomes of their sum by the shares."""
        ...


@runtime_checkable
class MakesTargets(Protocol):
    """A task whose targets aren't all in the data."""

    def targets(
        self, inputs: Mapping[str, Tensor], given: Tensor | None, run: Callable[[], Tensor]
    ) -> Tensor:
        """The targets [n, ...] of a batch.

        inputs: by name, masks of padding too that the network doesn't take. given: those of the data, None
        where it has none. run: what the float network gives for the inputs.
        """
        ...


@runtime_checkable
class Doubts(Protocol):
    """A task whose targets may be written in another way, which a few of them don't tell."""

    def doubt(self, targets: Tensor, outputs: tuple[int, ...]) -> str | None:
        """What is wrong if all targets are like those [n, ...] of a batch: "" for nothing that is known yet.

        None where they show that all is well; outputs: their shape for one sample.
        """
        ...


@runtime_checkable
class BeginsAtMean(Protocol):
    """A task whose outputs are numbers of any size, so that random weights are far from its targets."""

    def middle(self, values: Tensor) -> Tensor:
        """The mean [outputs] of outputs or targets [n, ...], at which training begins."""
        ...


class Task(Protocol):
    """What a network's outputs are worth: a task a file, found by name in `TASKS`."""

    @property
    def name(self) -> str:
        """As configs have it."""
        ...

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The figures that it can give, by name; metrics of torchmetrics may be asked for beside them."""
        ...

    @property
    def better(self) -> Sequence[str]:
        """By which of them one epoch of a training beats another: the first decides, among equals the next.

        They are also what a search keeps of every candidate.
        """
        ...

    @property
    def answers(self) -> Answers | tuple[Answers, ...] | None:
        """What it knows of single samples, of one kind or several; None where that is nothing."""
        ...

    def outputs(self, result: Any) -> Tensor:
        """The outputs [n, ...] of a tensor that a network returns, of several of the one that is judged."""
        ...

    def check(self, targets: Tensor, outputs: tuple[int, ...], about: DataFacts) -> None:
        """Raises UserError for targets [n, ...] of a batch that a network can't be judged by.

        outputs: the shape of what the network gives for one sample.
        """
        ...

    def loss(self, outputs: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """What training minimises, a scalar: of outputs [n, ...] for targets [n, ...]."""
        ...

    def distance(self, outputs: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
        """How far outputs [n, ...] are from a teacher's, a scalar; `temperature` may soften both."""
        ...

    def tally(
        self,
        rows: int,
        metrics: Sequence[str],
        about: DataFacts,
        outputs: tuple[int, ...],
        options: Options | None = None,
    ) -> Tally:
        """An empty tally of these metrics for so many candidates; outputs: their shape for one sample.

        Raises UserError for a metric that the task can't give, and for options that a metric doesn't take.
        """
        ...


def ranked(task: Task, values: Mapping[str, float]) -> tuple[float, ...]:
    """What makes the figures of one epoch better than another's: greater is better, the first decides."""
    signs = {"maximize": 1.0, "minimize": -1.0}
    return tuple(signs[task.metrics[name].direction] * values[name] for name in task.better)


def float_outputs(result: Any, wanted: str) -> Tensor:
    """What a network returns, a tensor of floats; raises UserError for all else, with what is wanted."""
    from torch import Tensor

    if not isinstance(result, Tensor) or not result.is_floating_point():
        kind = str(result.dtype) if isinstance(result, Tensor) else type(result).__name__
        raise UserError(f"the network returns a {kind}; {wanted}")
    return result
