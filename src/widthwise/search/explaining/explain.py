"""From a run to why its pick is as good as it is, whether mixing helped, and what to search next."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.data.modules import Data
from widthwise.evaluators.engine import Evaluator as FormatEvaluator
from widthwise.search.explaining.advice import advice_of
from widthwise.search.explaining.baselines import naive_baselines, uniform_baselines
from widthwise.search.explaining.changes import around, next_cheaper, restored, to_formats_of
from widthwise.search.explaining.judged import Judge, Spent, terms_of
from widthwise.search.explaining.mixing import Kind, mixing
from widthwise.search.finishing import look_at
from widthwise.search.opened import problem_of_study
from widthwise.search.problem import Problem, load_problem
from widthwise.spaces.by_tensor import by_tensor
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.study.explanation import Around, Baseline, Change, Explanation, Mixing
from widthwise.study.run_folder import load_run
from widthwise.study.study import Study
from widthwise.study.trials import Trial

if TYPE_CHECKING:
    from torch import nn

PAIRS = 2000  # evaluated around each of pick and float, at most
SECONDS = 120.0  # after which no further pairs are begun
SURE_OF = 5  # changes to give and to take whose errors are computed
ALIKE = 1e-4  # share by which a figure may differ from what the search stored


def explain(
    study: Study | str | Path,
    *,
    pick: str | None = None,
    pairs: int = PAIRS,
    seconds: float = SECONDS,
    model: nn.Module | None = None,
    data: Data | None = None,
) -> Explanation:
    """Explains a trial of a run by exact changes, compares the front with what needs no search, and keeps it.

    Args:
        study: a study with a run folder, or the folder; `explain.json` is written there.
        pick: a rule as for `study.pick`; by default the knee of the front, or the best trial of one aim.
        pairs: how many pairs of changes are evaluated around the pick and around float; 0: none.
        seconds: after which no further pairs are begun.
        model, data: the network and the data, where they were given from Python.

    Raises UserError where the run's candidates can't be judged again, and where there is nothing to explain.
    """
    began = time.monotonic()
    if pairs < 0 or not seconds >= 0:
        raise UserError(f"explain: pairs {pairs}, seconds {seconds:g}: give 0 or more")
    run = study if isinstance(study, Study) else load_run(study)
    if run.folder is None:
        raise UserError(f"{run.name}: has no run folder here; open it with load_run(FOLDER)")
    if not run.front:
        raise UserError(f"{run.folder}: there is nothing to explain; no trial succeeded within the bounds")
    rule, trial = _picked(run, pick)
    problem = problem_of_study(run, model, data)
    spent = Spent(began + seconds)
    searched = run.as_searched()
    found = _Explaining(searched, problem, searched.trial(trial.number), spent, pairs).all(rule)
    if (tuned := run.finetuned.get(trial.number)) is not None and tuned.better:
        as_found = (
            f"trial {trial.number} is fine-tuned; all is told of its formats with the weights as searched"
        )
        found = replace(found, not_told=(*found.not_told, as_found))
    found = replace(found, evaluations=spent.evaluations, seconds=round(time.monotonic() - began, 3))
    found.write(run.folder)
    look_at(problem, run, trial, run.folder)  # which runs of before lack, and those of other picks
    return found


def _picked(run: Study, rule: str | None) -> tuple[str, Trial]:
    if rule is not None:
        return rule, run.pick(rule)
    if len(run.aim.directions) > 1:
        return "knee", run.pick("knee")
    return "best", run.ties[0].trial


class _Explaining:
    """One explanation in the making."""

    def __init__(self, run: Study, problem: Problem, trial: Trial, spent: Spent, pairs: int) -> None:
        self.run, self.problem, self.trial, self.pairs = run, problem, trial, pairs
        self.judge = Judge(problem.evaluator, spent)
        self.front = [tie.trial for tie in run.ties]
        self.terms = terms_of(run.aim, problem.evaluator.costs(problem.space.at([0])))
        self.not_told: list[str] = []
        self.candidate: IntArray = np.array(trial.candidate, dtype=np.int64)

    def all(self, rule: str) -> Explanation:
        """Everything, and what could not be told."""
        around: list[Around] = []
        back: tuple[Change, ...] = ()
        uniform: tuple[Baseline, ...] = ()
        naive: tuple[Baseline, ...] = ()
        compared: tuple[Mixing, ...] = ()
        if self.problem.evaluator.pace.trains:
            self.not_told.append("changes and baselines: each candidate would have to be trained")
        else:
            around.append(self._around_pick())
            if isinstance(self.problem.space, QuantisationSpace):
                in_float, back = self._around_float(self.problem.space)
                around.append(in_float)
                numbers = self._numbers()
                uniform = uniform_baselines(self.problem.space, self.judge, numbers)
                naive = naive_baselines(self.problem.space, self.judge, self.terms, numbers)
            compared = self._mixing({"uniform": uniform, "naive": naive})
        give, take = self._bargains(around)
        return Explanation(
            self.run.name,
            self.trial.number,
            rule,
            self.terms.quality.name if self.terms.quality else None,
            self.terms.cost.name if self.terms.cost else None,
            tuple(self._with_errors(one, (*give[:SURE_OF], *take[:SURE_OF])) for one in around),
            back,
            give,
            take,
            uniform,
            naive,
            compared,
            advice_of(self.problem, self.front, self._harmless(around)),
            tuple(self.not_told),
        )

    def _around_pick(self) -> Around:
        space = self.problem.space
        found = around("pick", space, self.judge, self.candidate, next_cheaper(self.terms), pairs=self.pairs)
        for name, value in found.metrics.items():
            stored = self.trial.metrics.get(name, float("nan"))
            if abs(value - stored) > ALIKE * max(abs(value), abs(stored)):
                self.not_told.append(
                    f"trial {self.trial.number} has {name} {value:.6g} here and {stored:.6g} in the run: "
                    "data, packages or processor are others; changes are against what it has here"
                )
        self._note_pairs(found)
        return found

    def _around_float(self, space: QuantisationSpace) -> tuple[Around, tuple[Change, ...]]:
        """By tensor, in quality alone: what float costs is no candidate's cost."""
        tensors = by_tensor(space)
        judging = self.problem.judging
        quality = tuple(metric for metric in judging.metrics if metric.kind == "quality")
        evaluator = FormatEvaluator(
            self.problem.in_float, tensors.space, self.problem.data, replace(judging, metrics=quality)
        )
        names = tuple(metric.name for metric in quality)
        judge, picked = Judge(evaluator, self.judge.spent, names), tensors.of(self.candidate)
        moves = to_formats_of(picked, self.terms)
        found = around("float", tensors.space, judge, tensors.in_float, moves, pairs=self.pairs)
        self._note_pairs(found)
        return found, restored(tensors, judge, picked)

    def _note_pairs(self, found: Around) -> None:
        if found.pairs is None:
            return
        table = next(iter(found.pairs.values()))
        missing = sum(value is None for row in table for value in row) // 2
        if missing:
            self.not_told.append(f"{missing} of the pairs around {found.base}: the time for pairs was spent")

    def _numbers(self) -> dict[tuple[int, ...], int]:
        block = self.run.trials.arrays()
        return {tuple(row): int(n) for row, n in zip(block.candidates.tolist(), block.numbers, strict=True)}

    def _bargains(self, found: Sequence[Around]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Numbers of the changes around the pick that give quality, and of those that take cost."""
        if self.terms.quality is None or self.terms.cost is None or not found:
            return (), ()
        sign = 1.0 if self.terms.cost.direction == "maximize" else -1.0
        gains, saved = [], []
        for change in found[0].changes:
            gains.append(self.terms.sign * change.differences[self.terms.quality.name])
            saved.append(sign * change.differences[self.terms.cost.name])
        rows = [row for row in range(len(gains)) if np.isfinite([gains[row], saved[row]]).all()]
        give = [row for row in rows if gains[row] > 0]
        take = [row for row in rows if saved[row] > 0]
        # what both gives and saves is the best bargain; else the most of one for the least of the other
        give.sort(key=lambda row: (saved[row] < 0, -gains[row] / max(-saved[row], 1e-12), -gains[row]))
        take.sort(key=lambda row: (gains[row] < 0, -saved[row] / max(-gains[row], 1e-12), -saved[row]))
        return tuple(give), tuple(take)

    def _harmless(self, found: Sequence[Around]) -> frozenset[str]:
        """The tensors whose format in the pick, alone in the float network, costs no quality."""
        floats = next((one for one in found if one.base == "float"), None)
        if floats is None or self.terms.quality is None:
            return frozenset()
        changes = [floats.changes[number] for number in floats.moves]
        lost = [self.terms.sign * change.differences[self.terms.quality.name] for change in changes]
        return frozenset(change.name for change, gain in zip(changes, lost, strict=True) if gain >= 0)

    def _with_errors(self, found: Around, numbers: Sequence[int]) -> Around:
        """With the standard errors of the quality of these changes around the pick."""
        if found.base != "pick" or not numbers or self.terms.quality is None:
            return found
        columns, choices = self.problem.space.every_choice
        which = np.flatnonzero(choices != self.candidate[columns])
        wanted = sorted(set(numbers))
        rows = np.concatenate(
            [self.candidate[None], self.problem.space.variants(self.candidate, which[wanted])]
        )
        sure = self.judge.sureness(rows, self.terms.quality.name)
        if sure is None:
            return found
        from_pick = np.eye(len(rows)) - np.eye(len(rows))[0]
        errors = sure.errors_of(self.terms.quality.name, from_pick)
        changes = list(found.changes)
        for row, number in enumerate(wanted, start=1):
            changes[number] = replace(changes[number], error=float(errors[row]))
        return replace(found, changes=tuple(changes))

    def _mixing(self, baselines: dict[Kind, Sequence[Baseline]]) -> tuple[Mixing, ...]:
        if self.terms.quality is None or self.terms.cost is None:
            self.not_told.append(
                "whether mixing helped: that takes an objective of quality and an exact cost"
            )
            return ()
        if not any(baselines.values()):
            self.not_told.append("whether mixing helped: the space has no uniform schemes to compare with")
            return ()
        found = []
        for problem in self._parts():
            judge = Judge(problem.evaluator, self.judge.spent)
            part = problem.config.search.evaluation.part
            samples = getattr(getattr(problem.evaluator, "judged", None), "total", 0)
            found.append(
                mixing(self.run.aim, judge, self.terms, self.front, baselines, part=part, samples=samples)
            )
        return tuple(found)

    def _parts(self) -> list[Problem]:
        """The problem as it was judged, and on test samples, where it was judged on others."""
        evaluation = self.problem.config.search.evaluation
        if evaluation.part == "test":
            return [self.problem]
        tested = replace(evaluation, part="test", samples=None)
        config = self.problem.config
        config = replace(config, searching=replace(config.search, evaluation=tested))
        try:
            return [
                self.problem,
                load_problem(config, model=self.problem.network, data=self.problem.data).trained(
                    self.run.folder
                ),
            ]
        except UserError as error:
            self.not_told.append(f"whether mixing helped on test samples: {error}")
            return [self.problem]
