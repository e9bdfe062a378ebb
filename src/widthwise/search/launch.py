"""Launching a search: from a config to a finished study in a run folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.config import SearchConfig, load_config
from widthwise.core.errors import UserError
from widthwise.core.toml import read_toml
from widthwise.data.modules import Data
from widthwise.evaluators.protocol import Evaluate, Evaluator, Realises
from widthwise.evaluators.workers.evaluator import ParallelEvaluator
from widthwise.metrics.cost.formulas import KeepsTables
from widthwise.metrics.own import Given
from widthwise.network.named import save_checkpoint
from widthwise.search.allowed import check_possible
from widthwise.search.beginning import config_to_begin_with
from widthwise.search.finetuning import check_tuning, tune_study
from widthwise.search.finishing import finish
from widthwise.search.keeping import keep_network
from widthwise.search.limits import Limits, Progress
from widthwise.search.loop import run_search
from widthwise.search.problem import Problem, load_problem
from widthwise.search.record import record_of
from widthwise.search.sureness import keep_sureness
from widthwise.search.told import FIT, told_while_it_runs, warnings_of
from widthwise.search.tuning import Told
from widthwise.search.workers import judge_of
from widthwise.strategies import Strategy
from widthwise.study.expected import Expectations
from widthwise.study.realised import kept_network
from widthwise.study.run_files import CONFIG, NETWORK, WEIGHTS, Keep, is_free, run_path
from widthwise.study.run_folder import Run, resume_run, start_run
from widthwise.study.study import Study

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from torch import nn

    from widthwise.network.graph import Graph

logger = logging.getLogger(__name__)


def search(
    model: nn.Module | Graph | str | None,
    data: Data | str | None,
    config: SearchConfig | str | Path | Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    force_new: bool | None = None,
    storage: str | None = None,
    keep: Keep = "all",
    prune: bool = False,
    limits: Limits | None = None,
    memory: int | None = None,
    ray: str | None = None,
    gpus: float | None = None,
    sampler: BaseSampler | None = None,
    evaluator: Evaluate | Evaluator | None = None,
    metrics: Sequence[Given] = (),
    target: str | None = None,
    page: bool = True,
    progress: Callable[[Progress], None] | None = None,
    started: Callable[[Run, Problem], None] | None = None,
    tuning: Told | None = None,
) -> Study:
    """Searches, and keeps everything in a run folder: the resolved config, weights, every trial, the front.

    Args:
        model, data: a network (or its graph, in float) and a data module, or names; None takes those of the
            config.
        config: a path, nested mappings or a SearchConfig, in the lab's schema; None: what `widthwise init`
            would write for the network and the data.
        out: the run folder; by default the next free one under runs/. An existing run is an error, unless
            `resume` goes on with it or `force_new` starts another beside it. Where nothing is there yet,
            `resume` starts it.
        storage: URL of a database to keep the trials in. keep: "front" writes only trials of the front.
        prune: stop a candidate once it can't reach the front any more; the front stays the same.
        limits: by default those of the config. memory: bytes that evaluating may take.
        ray: "local" or a cluster's address: candidates are evaluated by Ray's workers, with `gpus` of a GPU
            each. Without it the config's n_jobs says how many processes of this machine do that.
        sampler: one of Optuna's, made with a seed, in place of the config's strategy. To resume, give a fresh
            one that was made alike.
        evaluator: one's own, in place of the one that goes with the config's kind of space: anything that is
            called with candidates [K, D] and gives Results with the metrics that the config names.
        metrics: one's own, as callables `(outputs, targets) -> number`, objects of torchmetrics or
            `own_metric(...)`. The config may name them, as objectives or in bounds; all are kept of trials.
        target: an export form, in place of the config's: formats that it can't say are left out before the
            search begins, and no trial is outside it.
        page: whether the knee of the front is judged on test data and looked at when the search is over, and
            the page `report.html` written into the run folder.
        progress, started, tuning: told how far it is, when the run folder is there, and of each trial that
            was fine-tuned afterwards, where the config has that done.

    Raises UserError; what was stored before is kept.
    """
    names = {"model": model, "dataset": data, "search.constraints.target": target}
    given = {key: value for key, value in names.items() if isinstance(value, str)}
    network = None if isinstance(model, str) else _network(model)
    if config is None:
        config = _begun(model if isinstance(model, str) else network, data)
    loaded = load_config(config, given, metrics=metrics)
    by_class = None if network is None else type(network).__name__
    folder = run_path(loaded.source, loaded.model or by_class, out)
    if resume and is_free(folder):
        logger.info("%s: nothing to resume there yet, so it is started", folder)
        resume = False
    kept = _kept(loaded, folder) if model is None and resume else None
    network = kept if network is None else network
    problem = load_problem(
        loaded,
        model=network,
        data=None if isinstance(data, str) else data,
        memory=memory,
        evaluator=evaluator,
    )
    problem = replace(problem, sampler=sampler)
    if started is None:  # who is told of the start is told of these too, with the problem
        for warning in warnings_of(problem, mend=FIT):
            logger.warning("%s", warning)
    if force_new is None:
        force_new = out is None and not resume
    stops = limits or config_limits(loaded)
    proposer = _proposer(problem, stops, keep=keep, prune=prune, ray=ray)
    with judge_of(problem, ray=ray, gpus=gpus, trial_timeout=stops.trial_timeout, prune=prune) as judging:
        judge, workers = judging
        record = record_of(problem, folder.name)
        if workers:  # they are ended when a trial takes too long; nothing here has to be
            stops = replace(stops, trial_timeout=None)
        size = problem.batch_size_with(prune=prune, workers=workers, natural=proposer.batch)
        opened = (
            resume_run(folder, dict(record.fingerprint), storage=storage, kept=kept is not None)
            if resume
            else start_run(folder, record, storage=storage, force_new=force_new)
        )
        with opened as run, told_while_it_runs():
            _keep_inputs(problem, run.path)
            if started is not None:
                started(run, problem)
            problem = problem.trained()
            keeping = run.keeping(judge) if isinstance(judge, Realises) else run
            expectations = Expectations(run.path, tuple(problem.aim.directions))

            def saved(found: Study) -> None:
                keeping.save(found)
                expectations.write()

            study = run_search(
                proposer,
                judge,
                run.writer,
                limits=stops,
                keep=keep,
                prune=prune,
                measurer=problem.measurer,
                batch_size=size if stops.trial_timeout is None else None,
                progress=progress,
                saved=saved,
                expected=expectations.add,
                target=problem.target,
                space=problem.space,
            )
            if isinstance(judge, ParallelEvaluator):
                judge.close()  # what its workers hold is for those that fine-tune
            study = replace(study, folder=run.path, searched=problem.network).with_finetuned()
            keep_sureness(problem, study, run.path)
            run.save(study)
            tuned = loaded.search.finetune
            if tuned is not None and study.front and not study.exit_status:
                study = tune_study(problem, study, tuned, ray=ray, gpus=gpus, told=tuning)
    if page and study.interrupted is None:
        finish(problem, study, run.path)
    return study


def _keep_inputs(problem: Problem, folder: Path) -> None:
    """Weights and network into a run folder; tables and measurements are kept there from now on."""
    _keep_weights(problem, folder / WEIGHTS)
    keep_network(problem, folder / NETWORK)
    if isinstance(problem.evaluator, KeepsTables):
        problem.evaluator.keep_in(folder)
    if problem.measurer is not None:
        problem.measurer[0].keep_in(folder)


def _begun(model: nn.Module | str | None, data: Data | str | None) -> Mapping[str, Any]:
    """The config of a network and data that come without one."""
    if model is None:
        raise UserError("config: is missing, and so is a network; give one of both")
    return config_to_begin_with(model, data)


def _kept(config: SearchConfig, folder: Path) -> nn.Module | None:
    """The network that a run keeps, as it was given from Python; None where the config names another."""
    then = read_toml(folder / CONFIG).get("model")
    return kept_network(folder) if config.model in (None, then) else None


def _network(given: nn.Module | Graph | None) -> nn.Module | None:
    """The network that was given; UserError for a graph that has schemes already."""
    from widthwise.network.graph import Graph

    if not isinstance(given, Graph):
        return given
    if any(given.schemes.values()):
        raise UserError("model: is a graph with schemes; a search begins in float: give graph.network")
    return given.network


def check_search(
    config: SearchConfig, *, limits: Limits | None = None, keep: Keep = "all", prune: bool = False
) -> None:
    """Raises UserError where `search` would not begin, whatever the weights; trains and writes nothing."""
    problem = load_problem(config)
    _proposer(problem, limits or config_limits(config), keep=keep, prune=prune)


def _proposer(
    problem: Problem, stops: Limits, *, keep: Keep, prune: bool, ray: str | None = None
) -> Strategy:
    """The strategy; what it or the evaluator can't do is a UserError before anything is evaluated or kept."""
    _check_halving(problem, stops)
    if problem.config.search.finetune is not None:
        check_tuning(problem, problem.config.search.finetune, ray=ray)
    proposer = problem.strategy()
    check_possible(proposer, problem.evaluator, keep=keep, prune=prune)
    return proposer


def _check_halving(problem: Problem, stops: Limits) -> None:
    """Raises UserError where candidates that are to be compared on little training would be alone."""
    if problem.evaluator.pace.together > 1 and stops.trial_timeout is not None:
        raise UserError(
            "halving trains candidates together, so none has a time of its own; leave out trial_timeout"
        )


def _keep_weights(problem: Problem, path: Path) -> None:
    """The network's weights beside its trials: the file that they came from may change."""
    if path.exists():
        return
    try:
        save_checkpoint(problem.network, path)
    except UserError as error:  # the search needs them no more
        logger.warning("%s", error)


def config_limits(config: SearchConfig) -> Limits:
    """When the config says that its search stops."""
    return Limits(trials=config.search.trials, timeout=config.search.timeout)
