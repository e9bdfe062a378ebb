"""What a strategy is: two verbs over arrays, and how one is brought back to where a stored search stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from widthwise.core.arrays import FloatArray, IntArray
    from widthwise.metrics.catalogue import Direction
    from widthwise.metrics.quality.follows import Follows
    from widthwise.spaces.space import Space
    from widthwise.spaces.within import Within

TOGETHER = 16_384  # trials that are taken up together

CostFunction = Callable[["IntArray"], "FloatArray"]
"""Candidates [K, D] to their exact objective values [K, objectives], all to be maximised, NaN in the columns
that need an evaluation."""


FewMargins = Callable[["IntArray"], "tuple[FloatArray, IntArray]"]
"""Candidates [K, D] to values [K, s] of some of the samples, and which of all values these are, [s]."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What a strategy is made for: all that it is told before it is asked.

    objectives: names of metrics with their direction, in the order of the values that are told.
    options: by name, those that the strategy takes; the others have their defaults.
    costs: what is known of candidates without evaluating them; None: nothing.
    """

    space: Space
    objectives: Mapping[str, Direction]
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    costs: CostFunction | None = None


@runtime_checkable
class Strategy(Protocol):
    """Proposes candidates and learns from results; knows nothing of evaluators or storage.

    The classes here take a Setting. One's own, named `module:Class`, takes the space and those of
    `objectives`, `seed`, `options` and `costs` that it has parameters for; what it lacks of this protocol
    beside ask and tell is added.
    """

    batch: int
    """How many candidates a call should ask for where the caller is free to choose."""

    learns: bool
    """False for an enumeration: asked again it proposes the same, so a search need not keep its trials."""

    def ask(self, n: int) -> IntArray:
        """Up to n candidates [k, D] that were neither proposed nor told before.

        k = 0 means that nothing more will be proposed and `finished` says why; where `finished` is None, the
        strategy first needs to be told about candidates that it proposed.
        """

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Results [k, objectives] of candidates [k, D], in the order of the objectives, all to be maximised.

        A row with NaN is a failure. Candidates that the strategy never proposed are welcome too.
        """

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Go from a fresh start, with the same setting, to where the strategy told these stood.

        `batches` are the stored trials in their order, [k, D] and [k, objectives] for each batch that was
        asked. From then on the strategy proposes what the uninterrupted one would have. It is fast where a
        proposal depends on the seed, its number and what was told alone (see `numbered`). Where nothing
        better is known, `ask_and_tell` does it.
        """

    @property
    def finished(self) -> str | None:
        """Why nothing more will be proposed, as "all 18 candidates proposed"; None while there is more."""


@dataclass(frozen=True, eq=False)
class Margins:
    """What is known of single samples of a candidate, and which objectives follow from it.

    of: candidates [K, D] to values [K, S] float32, as by how much each sample is answered rightly, or the
        error of each; NaN where the candidate fails. It runs the network, so it is asked about candidates
        that were evaluated anyway.
    follows: of each objective, to be maximised, how it follows from the values; None where it doesn't.
    few: the same as `of` on some of the samples, for candidates that nobody else evaluates: values [K, s],
        and which of the S values they are, [s]; None where nobody knows.
    """

    of: Callable[[IntArray], FloatArray]
    follows: Sequence[Follows | None]
    few: FewMargins | None = None


@runtime_checkable
class LearnsMargins(Protocol):
    """A strategy that learns more from candidates that were evaluated than their objectives say."""

    def learn_margins(self, margins: Margins, /) -> None:
        """Use these; called before the first ask."""
        ...


@runtime_checkable
class KeepsWithin(Protocol):
    """A strategy that can be told which candidates are out of bounds before it proposes them."""

    def keep_within(self, within: Within, /) -> None:
        """Propose only candidates [K, D] that `within` allows, [K]; called before the first ask."""
        ...


@runtime_checkable
class Expects(Protocol):
    """A strategy that says what it expects of candidates when it proposes them."""

    def expected(self, candidates: IntArray, /) -> FloatArray:
        """Values [k, objectives], as told, that candidates [k, D] just proposed are expected to have.

        NaN where nothing is expected, as of the first candidates, and where a cost is known exactly.
        """
        ...


def together(batches: Iterable[tuple[IntArray, FloatArray]]) -> Iterator[tuple[IntArray, FloatArray]]:
    """The same in greater batches, for a replay that doesn't ask where they began."""
    held: list[tuple[IntArray, FloatArray]] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += len(batch[0])
        if count >= TOGETHER:
            yield _joined(held)
            held, count = [], 0
    if held:
        yield _joined(held)


def _joined(batches: Sequence[tuple[IntArray, FloatArray]]) -> tuple[IntArray, FloatArray]:
    import numpy as np  # here, as configs are read without it

    return np.concatenate([rows for rows, _ in batches]), np.concatenate([values for _, values in batches])


def ask_and_tell(strategy: Strategy, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
    """The replay of a strategy whose state follows from how it was asked and what it was told."""
    for candidates, values in batches:
        strategy.ask(len(candidates))
        strategy.tell(candidates, values)
