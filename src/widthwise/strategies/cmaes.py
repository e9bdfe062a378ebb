"""Covariance matrix adaptation over choices in order, by the package cmaes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.spaces.space import Key
from widthwise.spaces.within import Within
from widthwise.strategies.numbered import derived_seed, generator
from widthwise.strategies.protocol import Setting
from widthwise.strategies.refusing import Abilities, refuse
from widthwise.strategies.registry import STRATEGIES
from widthwise.strategies.seen import Seen

if TYPE_CHECKING:
    pass

ABILITIES = Abilities(
    objectives=1,
    decisions=500,
    fewest_decisions=2,
    ordered_only=True,
    instead="its option use_separable_cma, tpe, nsga2, frontier or random",
)
SIGMA = 1 / 6  # of the range of a decision, at the start
RESAMPLED = 10  # times the number of decisions, until what is out of range is cut


class CmaEs:
    """Hansen's evolution strategy (Hansen & Ostermeier 2001) on choice indices, scaled to 0 to 1 and rounded.

    Where what it draws was proposed before, the nearest new candidate is proposed in its place and learned
    from. A generation is taken in once it has `popsize` results; failures don't count.
    """

    learns = True

    def __init__(self, setting: Setting) -> None:
        chosen = STRATEGIES["cmaes"].resolved(setting.options)
        able = replace(ABILITIES, decisions=None) if chosen["use_separable_cma"] else ABILITIES
        refuse("cmaes", able, setting.space, objectives=len(setting.objectives))
        if find_spec("cmaes") is None:
            raise UserError("strategy cmaes: needs the package cmaes; install it: pip install cmaes")
        self._space, self._seed = setting.space, setting.seed
        self._columns = np.flatnonzero(setting.space.cardinalities > 1)
        self._counts = setting.space.cardinalities[self._columns]
        self._startup: int = chosen["n_startup_trials"]
        self._margin: bool = chosen["with_margin"]
        self._optimizer = _optimizer(chosen, self._counts) if len(self._columns) > 1 else None
        decisions = max(len(setting.space.decisions), 1)
        self.batch = int(chosen["popsize"] or 4 + math.floor(3 * math.log(decisions)))
        self._seen = Seen(setting.space)
        self._number = 0  # of the next proposal
        self._complete = 0
        self._pending: dict[Key, tuple[int, FloatArray] | None] = {}  # generation and point; None: at random
        self._solutions: list[tuple[FloatArray, float]] = []  # of this generation

    def keep_within(self, within: Within) -> None:
        """Propose candidates within these bounds alone: the nearest where it draws others."""
        self._seen.keep_within(within)

    @property
    def finished(self) -> str | None:
        """Why nothing more comes, once everything was proposed."""
        return self._seen.exhausted

    def ask(self, n: int) -> IntArray:
        """Up to n candidates [k, D]."""
        if n > 0:
            self._advance()
        candidates: list[list[int]] = []
        while len(candidates) < n and self._seen.left > 0:
            rng = generator(self._seed, self._number, stream=1)
            drawn, point = self._drawn(self._number, rng)
            candidate = self._seen.nearest_unseen(drawn, rng)
            if candidate is None:
                break
            self._number += 1
            key = self._seen.key(candidate)
            self._seen.take(key)
            if point is not None and not self._margin:
                point = self._point(np.array(candidate))
            self._pending[key] = None if point is None else (self._generation, point)
            candidates.append(candidate)
        return np.array(candidates, dtype=np.int64).reshape(len(candidates), len(self._space.decisions))

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Results [k, 1], to be maximised, of candidates [k, D]; NaN rows are failures."""
        for key, value in zip(self._space.keys(candidates), values[:, 0].tolist(), strict=True):
            proposed = self._pending.pop(key, None)
            self._seen.take(key)
            if not math.isnan(value):
                self._complete += 1
                if proposed is not None and proposed[0] == self._generation:
                    self._solutions.append((proposed[1], -value))

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Go to where the one told these stood: each generation is told again, and nothing asked."""
        for candidates, values in batches:
            self._advance()
            points: list[FloatArray | None] = [None] * len(candidates)
            if self._models and self._margin:  # what was drawn says more than what it was rounded to
                points = [self._draw(self._number + row)[1] for row in range(len(candidates))]
            elif self._models:
                points = list(self._point(candidates))
            self._number += len(candidates)
            self._seen.take_all(candidates)
            complete = ~np.isnan(values[:, 0])
            self._complete += int(complete.sum())
            self._solutions += [
                (point, -value)
                for point, value, whole in zip(points, values[:, 0].tolist(), complete, strict=True)
                if whole and point is not None
            ]

    @property
    def _generation(self) -> int:
        return 0 if self._optimizer is None else int(self._optimizer.generation)

    @property
    def _models(self) -> bool:
        """Whether proposals are drawn from the distribution, and no longer at random."""
        return self._optimizer is not None and self._complete >= self._startup and self._complete > 0

    def _advance(self) -> None:
        """The next generation, where this one has enough results."""
        if self._optimizer is not None and len(self._solutions) >= self._optimizer.population_size:
            self._optimizer.tell(self._solutions[: self._optimizer.population_size])
            self._solutions = []

    def _drawn(self, number: int, rng: np.random.Generator) -> tuple[list[int], FloatArray | None]:
        """A candidate, and the point that it was rounded from."""
        if not self._models:
            random: list[int] = self._space.sample(1, rng)[0].tolist()
            return random, None
        place, point = self._draw(number)
        candidate = np.zeros(len(self._space.decisions), dtype=np.int64)
        candidate[self._columns] = np.clip(np.floor(place * self._counts), 0, self._counts - 1)
        rounded: list[int] = candidate.tolist()
        return rounded, point

    def _draw(self, number: int) -> tuple[FloatArray, FloatArray]:
        """Where the proposal of this number falls, and the point to tell of it."""
        optimizer = self._optimizer
        assert optimizer is not None
        optimizer.reseed_rng(derived_seed(self._seed, number))
        if not self._margin:
            place = optimizer.ask()
            return place, place
        ends, point = optimizer.ask()  # from 0, the first choice, to 1, the last
        return (ends * (self._counts - 1) + 0.5) / self._counts, point

    def _point(self, candidates: IntArray) -> FloatArray:
        """The middles of the choices of candidates [..., D], from 0 to 1."""
        return np.asarray((candidates[..., self._columns] + 0.5) / self._counts)


def _optimizer(chosen: dict[str, Any], counts: IntArray) -> Any:
    """One of the package's, at its start."""
    import cmaes  # type: ignore[import-untyped]

    decisions = len(counts)
    arguments = {
        "mean": np.full(decisions, 0.5),
        "sigma": SIGMA,
        "bounds": np.tile([0.0, 1.0], (decisions, 1)),
        "n_max_resampling": RESAMPLED * decisions,
        "population_size": chosen["popsize"],
        "seed": 0,  # seeded for each proposal
    }
    if chosen["lr_adapt"] and (chosen["use_separable_cma"] or chosen["with_margin"]):
        raise UserError("strategy cmaes: lr_adapt goes with neither use_separable_cma nor with_margin")
    if chosen["use_separable_cma"] and chosen["with_margin"]:
        raise UserError("strategy cmaes: use_separable_cma and with_margin exclude each other; choose one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if chosen["use_separable_cma"]:
                return cmaes.SepCMA(**arguments)
            if chosen["with_margin"]:
                return cmaes.CMAwM(**arguments, steps=1 / (counts - 1))
            return cmaes.CMA(**arguments, lr_adapt=chosen["lr_adapt"])
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"strategy cmaes: its options were refused: {describe_error(error)}") from error
