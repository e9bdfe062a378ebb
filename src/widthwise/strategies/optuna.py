"""Optuna's samplers as strategies, by ask and tell in memory."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.threads import one_torch_thread
from widthwise.spaces.space import Key
from widthwise.spaces.within import Within
from widthwise.strategies.hub import hub_sampler
from widthwise.strategies.numbered import generator
from widthwise.strategies.protocol import Setting, ask_and_tell
from widthwise.strategies.registry import HUB_PREFIX
from widthwise.strategies.samplers import natural_batch, sampler_maker
from widthwise.strategies.seen import Seen
from widthwise.strategies.taken_up import TrialList, take_up
from widthwise.strategies.unrepeated import Unrepeated

_NEIGHBOUR_STREAM = 1  # keeps the choice of neighbours apart from the sampler's own random numbers


class OptunaStrategy:
    """A sampler of Optuna over the space: by name, from OptunaHub (`optunahub/...`), or an instance.

    By name a sampler is made anew for each proposal, with a seed of its own. Others keep their generators, so
    to resume a search they are asked again what they were asked; an instance has to be made anew for that,
    with the same seed. Failures (NaN) are told as failed trials, which Optuna's samplers pass over.
    """

    learns = True

    def __init__(self, setting: Setting, *, sampler: str | BaseSampler) -> None:
        _quiet()
        self._made = _maker(sampler, setting)
        first = self._made(0) if self._made is not None else _sampler(sampler, setting)
        self._name = sampler if isinstance(sampler, str) else ""
        self.batch = natural_batch(self._name, setting.options)
        self._space, self._seed = setting.space, setting.seed
        self._seen = Seen(setting.space)
        self._number = 0  # of the next proposal
        self._sampler = Unrepeated(
            first,
            setting.space,
            self._seen,
            generator(setting.seed, 0, _NEIGHBOUR_STREAM),
            keeping=self._made is not None and not setting.options.get("group"),
        )
        # a Gaussian process of some hundred trials: 20 times as fast in one thread on 2 busy cores
        self._threads = one_torch_thread if isinstance(first, optuna.samplers.GPSampler) else nullcontext
        # what is told is to be maximised already, whatever the direction of the metric
        self._study = optuna.create_study(
            sampler=self._sampler, directions=["maximize"] * len(setting.objectives)
        )
        self._trials = TrialList(self._study, setting.space, self._sampler.distributions)
        self._pending: dict[Key, Trial] = {}

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
            self._begin()
            with self._threads():
                trial = self._study.ask(self._sampler.distributions)
            candidate = self._sampler.candidate
            if candidate is None:
                self._study.tell(trial, state=TrialState.FAIL)
                break
            self._number += 1
            key = self._seen.key(candidate)
            self._seen.take(key)
            self._pending[key] = trial
            candidates.append(candidate)
        return np.array(candidates, dtype=np.int64).reshape(len(candidates), len(self._space.decisions))

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Results [k, objectives], all to be maximised, of candidates [k, D]; NaN rows are failures."""
        for key, candidate, row in zip(
            self._space.keys(candidates), candidates.tolist(), values.tolist(), strict=True
        ):
            failed = any(math.isnan(value) for value in row)
            trial = self._pending.pop(key, None)
            if trial is not None:
                if failed:
                    self._study.tell(trial, state=TrialState.FAIL)
                else:
                    self._study.tell(trial, row)
            elif self._seen.take(key) and not failed:
                self._trials.add(candidate, row)  # from elsewhere: it is learned from as from its own

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Go to where the one told these stood: all trials at once, or asked and told again."""
        if self._made is None:
            ask_and_tell(self, batches)
            return
        self._number += take_up(self._trials, self._seen, self._made, batches)
        if self._name == "qmc" and self._number > 1:
            self._sampler.inferred = self._sampler.distributions

    def _begin(self) -> None:
        """Before a proposal: generators that follow from its number."""
        if self._made is not None:
            self._sampler.sampler = self._made(self._number)
            self._sampler.rng = generator(self._seed, self._number, _NEIGHBOUR_STREAM)


def _maker(sampler: str | BaseSampler, setting: Setting) -> Callable[[int], BaseSampler] | None:
    """From a proposal's number to its sampler; None where the sampler keeps its own generators."""
    if isinstance(sampler, str) and not sampler.lower().startswith(HUB_PREFIX):
        return sampler_maker(sampler, setting)
    return None


def _sampler(sampler: str | BaseSampler, setting: Setting) -> BaseSampler:
    """One that keeps its own generators: an instance, or from OptunaHub."""
    if isinstance(sampler, str):
        return hub_sampler(sampler, seed=setting.seed, options=setting.options)
    if not isinstance(sampler, BaseSampler):
        raise UserError(f"strategy: is a {type(sampler).__name__}; give a name or an Optuna sampler")
    if setting.options:
        raise UserError("strategy: an Optuna sampler takes its options when it is made; give none here")
    return sampler


def _quiet() -> None:
    """Keep Optuna from writing a line for every study, unless the user set its level."""
    if optuna.logging.get_verbosity() == logging.INFO:  # Optuna's own default
        optuna.logging.set_verbosity(logging.ERROR)
