"""The trials of one study trained on with their formats, and what becomes of each in its run folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.hashing import hash_batches, hash_value, hash_weights
from widthwise.data.facts import part
from widthwise.evaluators.halving import successive_halving
from widthwise.metrics.goals.constraints import feasible
from widthwise.search.problem import Problem
from widthwise.search.signals import StopSignals
from widthwise.search.tuned_candidates import LOSSES, WHOLE, tuner_of
from widthwise.search.tuners import Tuners
from widthwise.study.finetuned import Finetuned, forget_others, is_better, keep_finetuned
from widthwise.study.study import Study
from widthwise.study.trials import Trial
from widthwise.training.finetuning.settings import Finetuning

if TYPE_CHECKING:
    from widthwise.evaluators.protocol import Results
    from widthwise.network.realised import Realised

Told = Callable[[int, int, Finetuned, bool], None]
"""How many are done, of how many, what is kept of the last, and whether that was found now."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Made:
    """What came of one training: what its file will hold, and the network; None where it failed."""

    found: Finetuned
    realised: Realised | None


class Tuning:
    """The trials of one study, tuned by one process after another, or by several a few at once."""

    def __init__(self, problem: Problem, study: Study, folder: Path, settings: Finetuning) -> None:
        self.problem, self.study, self.folder, self.settings = problem, study, folder, settings
        self.noted: set[str] = set()

    def left(self, trials: Sequence[Trial]) -> list[Trial]:
        """Those that no training with the same settings has succeeded for."""
        known = {
            (found.number, found.candidate)
            for found in self.study.finetuned.values()
            if found.mark == self.mark and found.reason is None
        }
        return [trial for trial in trials if (trial.number, trial.candidate) not in known]

    def tell_done(self, trials: Sequence[Trial], told: Told) -> int:
        """Tells of those that are done already; how many these are."""
        waiting = {trial.number for trial in self.left(trials)}
        numbers = [trial.number for trial in trials if trial.number not in waiting]
        for done, number in enumerate(numbers, 1):
            told(done, len(trials), self.study.finetuned[number], False)
        return len(numbers)

    def all(
        self, trials: Sequence[Trial], tuners: Tuners, at_once: int, signals: StopSignals, told: Told
    ) -> None:
        """Each of them, those that are done left out."""
        known, left = self.study.finetuned, self.left(trials)
        done = self.tell_done(trials, told)
        for start in range(0, len(left), at_once):
            with signals.interruptible():
                made = self.tuned(tuners, left[start : start + at_once], WHOLE)
            for one in made:
                old = known.get(one.found.number)
                kept = self._kept(one, old)
                done += 1
                told(done, len(trials), kept, kept is not old)

    def halved(self, trials: Sequence[Trial], tuners: Tuners, signals: StopSignals) -> list[Trial]:
        """Those of the trials that do best on little training, in their order."""
        last: list[int] = []
        full = self._full

        def after(rows: IntArray, budget: int) -> FloatArray:
            if budget == full:
                last.extend(rows.tolist())
                return np.zeros((len(rows), 1))
            with signals.interruptible():
                made = self.tuned(tuners, [trials[row] for row in rows.tolist()], budget)
            metrics = [one.found.after for one in made]
            return self.study.aim.values(
                {
                    name: np.array([each.get(name, np.nan) for each in metrics])
                    for name in self.study.aim.names
                }
            )

        successive_halving(len(trials), after, full=full, halving=self.settings.halving)
        return [trials[row] for row in sorted(last)]

    def tuned(self, tuners: Tuners, trials: Sequence[Trial], budget: int) -> list[_Made]:
        """Trials trained on and judged, in their order; a failure is one alone, with its reason."""
        rows = np.array([[*trial.candidate, budget] for trial in trials], dtype=np.int64)
        results = tuners(rows)
        networks = [tuners.latest.get(row) for row in rows]
        return [self._made(trial, results, at, networks[at]) for at, trial in enumerate(trials)]

    def _made(self, trial: Trial, results: Results, at: int, realised: Realised | None) -> _Made:
        """What came of one of them."""
        before, notes = self.before(trial), results.notes.get(at, ())
        self._warn(notes)
        figures = {name: float(values[at]) for name, values in results.items()}
        losses = tuple(figures.pop(name) for name in LOSSES)
        found = Finetuned(trial.number, trial.candidate, before, mark=self.mark, notes=notes)
        if at in results.failures:
            return _Made(replace(found, reason=results.failures[at]), None)
        found = replace(found, losses=losses, after={**before, **figures})
        if realised is None:  # of part of a training: compared, and not kept
            return _Made(found, None)
        realised = replace(realised, candidate=trial.candidate)
        return _Made(
            replace(found, better=self._better(before, found.after), realised=realised.as_json()), realised
        )

    def before(self, trial: Trial) -> Mapping[str, float]:
        """What the search found of a trial, whatever stands for it now."""
        known = self.study.finetuned.get(trial.number)
        return known.before if known is not None and known.better else trial.metrics

    def _better(self, before: Mapping[str, float], after: Mapping[str, float]) -> bool:
        """Whether the tuned network is worth more, and within the bounds where it was."""
        constraints = self.study.record.settings.constraints
        within = [
            bool(feasible(constraints, {k: np.array([v]) for k, v in one.items()})[0])
            if constraints
            else True
            for one in (before, after)
        ]
        if within[0] != within[1]:
            return within[1]
        return is_better(self.study.aim, before, after)

    def _kept(self, made: _Made, old: Finetuned | None) -> Finetuned:
        """What the run keeps now: an earlier training stays where it made a better network."""
        found = made.found
        if found.reason is not None:
            logger.warning("trial %d: fine-tuning failed: %s", found.number, found.reason)
        known = old is not None and old.better and old.candidate == found.candidate
        if old is not None and known and (found.reason or not self._better(old.after, found.after)):
            logger.info("trial %d: an earlier training made it better, and stays", found.number)
            return old
        weights = None if made.realised is None else made.realised.weights
        if found.better or (old is not None and old.better):
            forget_others(self.folder, [found.number])
        keep_finetuned(self.folder, found, weights)
        return found

    def _warn(self, notes: Sequence[str]) -> None:
        for note in notes:
            if note not in self.noted:
                logger.warning("%s", note)
                self.noted.add(note)

    @property
    def _full(self) -> int:
        training = self.settings.training
        return training.epochs if training.steps is None else training.steps

    @cached_property
    def mark(self) -> str:
        """Of all that a training follows from."""
        settings = asdict(self.settings)
        for name in ("candidates", "most", "halving"):  # which are trained, not how
            settings.pop(name)
        data = hash_batches(part(tuner_of(self.problem, self.settings).data, "train"))
        judging = self.problem.judging
        weights = hash_weights(self.problem.graph.model)
        return hash_value([settings, data, weights, judging.seed, judging.device, torch.__version__])
