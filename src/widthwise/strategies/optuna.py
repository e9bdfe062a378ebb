"""Optuna's samplers as strategies, by ask and tell in memory."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from contextlib import nullcontext

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState, create_trial

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.threads import one_torch_thread
from widthwise.spaces.within import Within
from widthwise.strategies.hub import hub_sampler
from widthwise.strategies.protocol import Setting, ask_and_tell
from widthwise.strategies.registry import HUB_PREFIX
from widthwise.strategies.samplers import make_sampler, natural_batch
from widthwise.strategies.seen import Seen
from widthwise.strategies.unrepeated import Unrepeated

_NEIGHBOUR_STREAM = 1  # keeps the choice of neighbours apart from the sampler's own random numbers


class OptunaStrategy:
    """A sampler of Optuna over the space: by name, from OptunaHub (`optunahub/...`), or an instance.

    An instance keeps its own seed; for a search that is to be resumed, make it anew with the same one.
    Failures (NaN) are told as failed trials, which Optuna's samplers pass over.
    """

    learns = True

    def __init__(self, setting: Setting, *, sampler: str | BaseSampler) -> None:
        _quiet()
        made = _sampler(sampler, setting)
        name = sampler if isinstance(sampler, str) else ""
        space = setting.space
        self.batch = natural_batch(name, space, setting.options)
        self._space = space
        self._seen = Seen(space)
        rng = np.random.default_rng([setting.seed, _NEIGHBOUR_STREAM])
        self._sampler = Unrepeated(made, space, self._seen, rng)
        # a Gaussian process of some hundred trials: 20 times as fast in one thread on 2 busy cores
        self._threads = one_torch_thread if isinstance(made, optuna.samplers.GPSampler) else nullcontext
        # what is told is to be maximised already, whatever the direction of the metric
        self._study = optuna.create_study(
            sampler=self._sampler, directions=["maximize"] * len(setting.objectives)
        )
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

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Go to where the one told these stood: asked and told again."""
        ask_and_tell(self, batches)

    def _add(self, candidate: list[int], values: list[float]) -> None:
        """A result from elsewhere: the sampler learns from it as from its own."""
        names = [decision.name for decision in self._space.decisions]
        distributions = self._sampler.distributions
        chosen = {name: index for name, index in zip(names, candidate, strict=True) if name in distributions}
        self._study.add_trial(create_trial(params=chosen, distributions=distributions, values=values))


def _sampler(sampler: str | BaseSampler, setting: Setting) -> BaseSampler:
    if not isinstance(sampler, str):
        if not isinstance(sampler, BaseSampler):
            raise UserError(f"strategy: is a {type(sampler).__name__}; give a name or an Optuna sampler")
        if setting.options:
            raise UserError("strategy: an Optuna sampler takes its options when it is made; give none here")
        return sampler
    if sampler.lower().startswith(HUB_PREFIX):
        return hub_sampler(sampler, seed=setting.seed, options=setting.options)
    return make_sampler(sampler, setting)


def _quiet() -> None:
    """Keep Optuna from writing a line for every study, unless the user set its level."""
    if optuna.logging.get_verbosity() == logging.INFO:  # Optuna's own default
        optuna.logging.set_verbosity(logging.ERROR)
