"""Fine-tuning after a search: members of its front, or the best of all trials, trained with their formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from widthwise.config import load_config
from widthwise.core.errors import UserError
from widthwise.data.modules import Data
from widthwise.evaluators.halving import survivors
from widthwise.metrics.goals.constraints import feasible
from widthwise.search.finishing import look_again
from widthwise.search.opened import problem_of_study
from widthwise.search.problem import Problem
from widthwise.search.signals import Interrupted, stop_signals
from widthwise.search.spread import spread_over_costs
from widthwise.search.sureness import keep_sureness
from widthwise.search.tuned_candidates import tuner_of
from widthwise.search.tuners import tuners_of
from widthwise.search.tuning import Told, Tuning
from widthwise.search.workers import check_named, several_asked_for
from widthwise.spaces.kinds import is_tunable
from widthwise.study.finetuned import Finetuned
from widthwise.study.run_folder import load_run, save_front
from widthwise.study.study import Study
from widthwise.study.trials import Trial
from widthwise.training.finetuning.settings import Finetuning

if TYPE_CHECKING:
    from torch import nn


JOBS = "search.strategy.setup.n_jobs"


def finetune(
    study: Study | str | Path,
    *,
    trials: Sequence[int] = (),
    pick: str | None = None,
    settings: Finetuning | None = None,
    model: nn.Module | None = None,
    data: Data | None = None,
    jobs: int | None = None,
    ray: str | None = None,
    gpus: float | None = None,
    progress: Told | None = None,
) -> Study:
    """Trains networks of a run on with their formats, and gives the run with those that got better.

    Args:
        study: a study with a run folder, or the folder, where all is kept: figures before and after, weights.
        trials, pick: which: their numbers, or what a rule picks; without them as the settings say.
        settings: how; by default as the run's config says, or else `Finetuning()`.
        model, data: the network and the data, where they were given from Python.
        jobs, ray, gpus: who trains them, as of `ww.search`: so many processes, by default as the config says,
            or the workers of a Ray cluster.
        progress: is told of each that is done.

    The better of the network before and after stands for the trial from then on. What is done already, with
    the same settings, is not done again. A training that diverges fails alone. Raises UserError where nothing
    can be trained.
    """
    run = study if isinstance(study, Study) else load_run(study)
    if run.folder is None:
        raise UserError(f"{run.name}: has no run folder here; open it with load_run(FOLDER)")
    problem = problem_of_study(run, model, data)
    if jobs is not None:
        problem = replace(problem, config=load_config(problem.config, {JOBS: jobs}, options={JOBS: "jobs"}))
    how = settings or problem.config.search.finetune or Finetuning()
    numbers = [*trials, *([] if pick is None else [run.pick(pick).number])]
    found = tune_study(
        problem,
        run,
        how,
        chosen=[run.trial(n) for n in dict.fromkeys(numbers)],
        ray=ray,
        gpus=gpus,
        told=progress,
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
    ray: str | None = None,
    gpus: float | None = None,
    told: Told | None = None,
) -> Study:
    """As `finetune`, of a problem, by as many processes as its config has jobs, or by workers of Ray.

    chosen: these trials in place of those that the settings name.
    """
    assert study.folder is not None
    check_tuning(problem, settings)
    trials = list(chosen) or members(study, settings)
    if not trials:
        raise UserError(
            f"{study.folder}: there is nothing to fine-tune; no trial succeeded within the bounds"
        )
    tuning, told = Tuning(problem, study, study.folder, settings), told or _silent
    halving = settings.halving is not None and not chosen
    todo = trials if halving else tuning.left(trials)
    signal = None
    with stop_signals() as signals:
        try:
            if todo:
                with tuners_of(problem, settings, study.folder, len(todo), ray=ray, gpus=gpus) as begun:
                    tuners, at_once = begun
                    chosen = tuning.halved(trials, tuners, signals) if halving else trials
                    tuning.all(chosen, tuners, at_once, signals, told)
            else:
                tuning.tell_done(trials, told)
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


def check_tuning(problem: Problem, settings: Finetuning, *, ray: str | None = None) -> None:
    """Raises UserError, before anything is trained, where a search has no networks that can be tuned so."""
    if problem.own_evaluator:
        raise UserError("the evaluator was given from Python, so nothing can be fine-tuned and judged by it")
    if not is_tunable(problem.kind):
        raise UserError(
            f"{problem.kind.name}: its candidates are trained already; fine-tuning is for searches of formats"
        )
    tuner_of(problem, settings).check()
    if several_asked_for(problem, ray, None):
        check_named(problem)
