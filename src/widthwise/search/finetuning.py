"""Fine-tuning after a search: members of its front, or the best of all trials, trained with their formats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_batches, hash_value, hash_weights
from widthwise.core.importing import describe_error
from widthwise.data.facts import part
from widthwise.data.modules import Data
from widthwise.evaluators.engine import Evaluator
from widthwise.evaluators.halving import successive_halving, survivors
from widthwise.evaluators.realising import Realiser
from widthwise.metrics.goals.constraints import feasible
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.making import with_targets
from widthwise.search.finishing import look_again
from widthwise.search.opened import problem_of_study
from widthwise.search.problem import Problem
from widthwise.search.signals import Interrupted, StopSignals, stop_signals
from widthwise.search.spread import spread_over_costs
from widthwise.search.sureness import keep_sureness
from widthwise.spaces.kinds import is_tunable
from widthwise.study.finetuned import Finetuned, forget_others, is_better, keep_finetuned
from widthwise.study.run_folder import load_run, save_front
from widthwise.study.study import Study
from widthwise.study.trials import Trial
from widthwise.training.finetuning.settings import Finetuning
from widthwise.training.finetuning.tuning import Tuner

if TYPE_CHECKING:
    from torch import nn

    from widthwise.network.realised import Realised

NOTHING = np.zeros((1, 0), dtype=np.int64)  # the one candidate of a network that leaves no choice

Told = Callable[[int, int, Finetuned, bool], None]
"""How many are done, of how many, what is kept of the last, and whether that was found now."""

logger = logging.getLogger(__name__)


def finetune(
    study: Study | str | Path,
    *,
    trials: Sequence[int] = (),
    pick: str | None = None,
    settings: Finetuning | None = None,
    model: nn.Module | None = None,
    data: Data | None = None,
    progress: Told | None = None,
) -> Study:
    """Trains networks of a run on with their formats, and gives the run with those that got better.

    Args:
        study: a study with a run folder, or the folder, where all is kept: figures before and after, weights.
        trials, pick: which: their numbers, or what a rule picks; without them as the settings say.
        settings: how; by default as the run's config says, or else `Finetuning()`.
        model, data: the network and the data, where they were given from Python.
        progress: is told of each that is done.

    The better of the network before and after stands for the trial from then on. What is done already, with
    the same settings, is not done again. A training that diverges fails alone. Raises UserError where nothing
    can be trained.
    """
    run = study if isinstance(study, Study) else load_run(study)
    if run.folder is None:
        raise UserError(f"{run.name}: has no run folder here; open it with load_run(FOLDER)")
    problem = problem_of_study(run, model, data)
    how = settings or problem.config.search.finetune or Finetuning()
    numbers = [*trials, *([] if pick is None else [run.pick(pick).number])]
    found = tune_study(
        problem, run, how, chosen=[run.trial(n) for n in dict.fromkeys(numbers)], told=progress
    )
    if found.interrupted is None:
        look_again(problem, found, run.folder)
    return replace(found, searched=run.searched)


def tune_study(
    problem: Problem,
    study: Study,
    settings: Finetuning,
    *,
    chosen: Sequence[Trial] = (),
    told: Told | None = None,
) -> Study:
    """As `finetune`, of a problem; chosen: these trials in place of those that the settings name."""
    assert study.folder is not None
    check_tuning(problem, settings)
    tuning = _Tuning(problem, study, study.folder, settings)
    trials = list(chosen) or members(study, settings)
    if not trials:
        raise UserError(
            f"{study.folder}: there is nothing to fine-tune; no trial succeeded within the bounds"
        )
    signal = None
    with stop_signals() as signals:
        try:
            tuning.all(trials, signals, told or _silent, halved=not chosen)
        except Interrupted:
            signal = signals.received
    found = Study.load(study.source, study.name, folder=study.folder)
    save_front(found, study.folder)
    found = replace(
        found, interrupted=signal or study.interrupted, failing=study.failing, searched=study.searched
    )
    keep_sureness(problem, found, study.folder)
    save_front(found, study.folder)
    return found


def members(study: Study, settings: Finetuning) -> list[Trial]:
    """The trials that settings name: of the front spread over its costs, or of all front by front.

    By what the search found of them, whatever was tuned since: who goes on takes the same ones.
    """
    study = study.as_searched()
    if settings.candidates == "front":
        return spread_over_costs([tie.trial for tie in study.ties], study.aim, settings.at_most)
    block = study.trials.arrays()
    columns = dict(zip(study.record.columns, block.metrics.T, strict=True))
    values = study.aim.values(columns)
    values[np.isin(block.numbers, list(block.reasons))] = np.nan
    if constraints := study.record.settings.constraints:
        values[~feasible(constraints, columns)] = np.nan
    return [study.trial(int(block.numbers[row])) for row in survivors(values, settings.at_most)]


def _silent(done: int, total: int, found: Finetuned, new: bool) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, eq=False)
class _Made:
    """What came of one training: what its file will hold, and the network; None where it failed."""

    found: Finetuned
    realised: Realised | None


class _Tuning:
    """The trials of one study, tuned one after another."""

    def __init__(self, problem: Problem, study: Study, folder: Path, settings: Finetuning) -> None:
        self.problem, self.study, self.folder, self.settings = problem, study, folder, settings
        judging = problem.judging
        self.tuner = tuner_of(problem, settings)
        self.data, fitting = self.tuner.data, self.tuner.fitting
        loader = partial(judging.loader, self.data)
        self.realiser = Realiser(problem.graph, loader, fitting, most=judging.samples)
        self.noted: set[str] = set()

    def all(self, trials: Sequence[Trial], signals: StopSignals, told: Told, *, halved: bool) -> None:
        """Each of them, those that are done with the same settings left out."""
        known = self.study.finetuned
        if halved and self.settings.halving is not None:
            trials = self._halved(trials, self._full, signals)
        for done, trial in enumerate(trials):
            old = known.get(trial.number)
            kept = old
            if old is None or old.mark != self.mark or old.candidate != trial.candidate:
                with signals.interruptible():
                    made = self.tuned(trial, None)
                kept = self._kept(made, old)
            if kept is not None:
                told(done + 1, len(trials), kept, kept is not old)

    def _halved(self, trials: Sequence[Trial], full: int, signals: StopSignals) -> list[Trial]:
        """Those of the trials that do best on little training, in their order."""
        last: list[int] = []

        def after(rows: IntArray, budget: int) -> FloatArray:
            if budget == full:
                last.extend(rows.tolist())
                return np.zeros((len(rows), 1))
            values = []
            for row in rows.tolist():
                with signals.interruptible():
                    made = self.tuned(trials[row], budget).found
                named = self.study.aim.names
                metrics = made.after if made.reason is None else dict.fromkeys(named, np.nan)
                values.append(self.study.aim.values({k: np.array([v]) for k, v in metrics.items()})[0])
            return np.stack(values)

        successive_halving(len(trials), after, full=full, halving=self.settings.halving)
        return [trials[row] for row in sorted(last)]

    def tuned(self, trial: Trial, budget: int | None) -> _Made:
        """One trial trained on and judged; a failure is one alone, with its reason."""
        before = self.before(trial)
        found = Finetuned(trial.number, trial.candidate, before, mark=self.mark)
        try:
            graph = self.problem.network_of(trial.candidate)
            made = self.tuner(graph, budget=budget)
            self._warn(made.notes)
            found = replace(found, losses=(made.first, made.last), notes=made.notes)
            engine = Evaluator(made.graph, None, self.data, self.problem.judging)
            engine.keep_in(self.folder)
            results = engine(NOTHING)
            if results.failures:
                raise UserError(results.failures[0])
            judged = {name: float(values[0]) for name, values in results.items()}
            quality = {name: judged[name] for name in self.problem.judging.quality}
            realised = self.realiser.of_formats_and_weights(
                trial.candidate, made.graph, _schemes(made.graph), quality
            )
        except UserError as error:
            return _Made(replace(found, reason=str(error)), None)
        except (RuntimeError, MemoryError, ValueError) as error:  # of the network, or no memory
            return _Made(replace(found, reason=describe_error(error)), None)
        after = {**before, **judged}
        return _Made(
            replace(found, after=after, better=self._better(before, after), realised=realised.as_json()),
            realised,
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
        data = hash_batches(part(self.data, "train"))
        judging = self.problem.judging
        weights = hash_weights(self.problem.graph.model)
        return hash_value([settings, data, weights, judging.seed, judging.device, torch.__version__])


def check_tuning(problem: Problem, settings: Finetuning) -> None:
    """Raises UserError, before anything is trained, where a search has no networks that can be tuned so."""
    if problem.own_evaluator:
        raise UserError("the evaluator was given from Python, so nothing can be fine-tuned and judged by it")
    if not is_tunable(problem.kind):
        raise UserError(
            f"{problem.kind.name}: its candidates are trained already; fine-tuning is for searches of formats"
        )
    tuner_of(problem, settings).check()


def tuner_of(problem: Problem, settings: Finetuning) -> Tuner:
    """What trains candidates of a search."""
    judging, network = problem.judging, problem.graph.network
    data = with_targets(problem.data, network, judging.task, judging.output)
    fitting = check_data_fits_model(network, data, judging.task, judging.output)
    return Tuner(problem.graph, data, fitting, settings, judging.seed, judging.device)


def _schemes(graph: Any) -> dict[str, Any]:
    return {name: scheme for name, scheme in graph.schemes.items() if scheme}
