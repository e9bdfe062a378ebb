"""Optuna's samplers as strategies, by ask and tell in memory."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState, create_trial

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.threads import one_torch_thread
from widthwise.spaces.space import Space
from widthwise.spaces.within import Within
from widthwise.strategies.hub import hub_sampler
from widthwise.strategies.protocol import CostFunction
from widthwise.strategies.registry import HUB_PREFIX
from widthwise.strategies.samplers import make_sampler, natural_batch
from widthwise.strategies.seen import Seen
from widthwise.strategies.unrepeated import Unrepeated

if TYPE_CHECKING:
    from widthwise.metrics.catalogue import Direction

_NEIGHBOUR_STREAM = 1  # keeps the choice of neighbours apart from the sampler's own random numbers


class OptunaStrategy:
    """A sampler of Optuna over the space: by name, from OptunaHub (`optunahub/...`), or an instance.

    An instance keeps its own seed; for a search that is to be resumed, make it anew with the same one.
    Failures (NaN) are told as failed trials, which Optuna's samplers pass over.
    """

    def __init__(
        self,
        space: Space,
        *,
        objectives: Mapping[str, Direction],
        sampler: str | BaseSampler = "tpe",
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        costs: CostFunction | None = None,
    ) -> None:
        del costs
        _quiet()
        given = dict(options or {})
        made = _sampler(sampler, space, seed=seed, options=given, objectives=len(objectives))
        name = sampler if isinstance(sampler, str) else ""
        self.batch = natural_batch(name, space, given)
        self._space = space
        self._seen = Seen(space)
        rng = np.random.default_rng([seed, _NEIGHBOUR_STREAM])
        self._sampler = Unrepeated(made, space, self._seen, rng)
        # a Gaussian process of some hundred trials: 20 times as fast in one thread on 2 busy cores
        self._threads = one_torch_thread if isinstance(made, optuna.samplers.GPSampler) else nullcontext
        # what is told is to be maximised already, whatever the direction of the metric
        self._study = optuna.create_study(sampler=self._sampler, directions=["maximize"] * len(objectives))
        self._pending: dict[int, Trial] = {}

    def keep_within(self, within: Within) -> None:
        """Propose candidates within these bounds alone: the nearest where the sampler proposes others."""
        self._seen.keep_within(within)

    @property
    def finished(self) -> str | None:
        """Why nothing more comes, once everything was proposed."""
        return self._seen.exhausted

    def ask(self, n: int) -> IntArray:
        """Up to n candidates [k, D], one after another: the sampler knows which are being evaluated."""
        candidates: list[list[int]] = []
        while len(candidates) < n and self._seen.left > 0:
            with self._threads():
                trial = self._study.ask(self._sampler.distributions)
            candidate = self._sampler.candidate
            if candidate is None:
                self._study.tell(trial, state=TrialState.FAIL)
                break
            position = self._seen.position(candidate)
            self._seen.take(position)
            self._pending[position] = trial
            candidates.append(candidate)
        return np.array(candidates, dtype=np.int64).reshape(len(candidates), len(self._space.decisions))

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Results [k, objectives], all to be maximised, of candidates [k, D]; NaN rows are failures."""
        for position, candidate, row in zip(
            self._space.positions(candidates), candidates.tolist(), values.tolist(), strict=True
        ):
            failed = any(math.isnan(value) for value in row)
            trial = self._pending.pop(position, None)
            if trial is not None:
                if failed:
                    self._study.tell(trial, state=TrialState.FAIL)
                else:
                    self._study.tell(trial, row)
            elif self._seen.take(position) and not failed:
                self._add(candidate, row)

    def _add(self, candidate: list[int], values: list[float]) -> None:
        """A result from elsewhere: the sampler learns from it as from its own."""
        names = [decision.name for decision in self._space.decisions]
        distributions = self._sampler.distributions
        chosen = {name: index for name, index in zip(names, candidate, strict=True) if name in distributions}
        self._study.add_trial(create_trial(params=chosen, distributions=distributions, values=values))


def _sampler(
    sampler: str | BaseSampler, space: Space, *, seed: int, options: dict[str, Any], objectives: int
) -> BaseSampler:
    if not isinstance(sampler, str):
        if not isinstance(sampler, BaseSampler):
            raise UserError(f"strategy: is a {type(sampler).__name__}; give a name or an Optuna sampler")
        if options:
            raise UserError("strategy: an Optuna sampler takes its options when it is made; give none here")
        return sampler
    if sampler.lower().startswith(HUB_PREFIX):
        return hub_sampler(sampler, seed=seed, options=options)
    return make_sampler(sampler, space, seed=seed, options=options, objectives=objectives)


def _quiet() -> None:
    """Keep Optuna from writing a line for every study, unless the user set its level."""
    if optuna.logging.get_verbosity() == logging.INFO:  # Optuna's own default
        optuna.logging.set_verbosity(logging.ERROR)
