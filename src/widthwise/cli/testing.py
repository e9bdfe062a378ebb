"""widthwise test: how good a network is, or that of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli import configs, options
from widthwise.cli.groups import grouped
from widthwise.cli.named import introduce, network_and_data
from widthwise.cli.output import Output, print_json
from widthwise.cli.timing import float_times, times_of_trial
from widthwise.core.errors import UserError, unknown
from widthwise.study.run_files import NotKeptError

if TYPE_CHECKING:
    from widthwise.config import SearchConfig
    from widthwise.data.modules import Data
    from widthwise.metrics.catalogue import Metric
    from widthwise.metrics.quality.task import Task
    from widthwise.network.graph import Graph
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial


PARTS = ("val", "test")
COSTS = ("parameters", "model_size", "macs")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("test")(grouped(evaluate_network))


def evaluate_network(
    config: options.OptionalConfig = None,
    *,
    network: options.Network,
    run: Annotated[Path | None, typer.Option("--run", help="A run folder, whose network is tested.")] = None,
    trial: Annotated[
        int | None, typer.Option("--trial", help="The network of this trial of the run.")
    ] = None,
    part: Annotated[
        str | None, typer.Option("--part", metavar="val|test", help="By default both.", show_default=False)
    ] = None,
    metrics: Annotated[
        str | None, typer.Option("--metrics", help="Names with commas between, as accuracy,f1[2].")
    ] = None,
    seed: options.Seed = None,
    setup: options.Setup,
    storage: options.Storage = None,
    untrusted: options.Untrusted = False,
    json: options.Json = False,
) -> None:
    """Evaluate a network, or the network of a trial."""
    output = Output(silent=json)
    if part is not None and part not in PARTS:
        raise unknown("part of the data", part, PARTS, where="--part")
    parts = [part] if part else list(PARTS)
    if untrusted:
        _check_metrics(metrics)
    if run is not None:
        if any(value is not None for value in (config, *vars(network).values(), seed)) or setup.assign:
            raise UserError("--run: has its own network and data; leave CONFIG, --model, --load and such out")
        storage = configs.storage_of(run, storage)
        of_run = configs.config_of_run(run, untrusted=untrusted, storage=storage)
        configs.announce_code(of_run, output, untrusted=untrusted)
        from widthwise.study.run_folder import load_run

        study = load_run(run, storage=storage)
        found = _test_run(study, of_run, run, trial, parts, metrics, output, setup.device)
    else:
        if trial is not None:
            raise UserError("--trial: needs --run, the run folder that it is from")
        given = options.given(network, seed=seed)
        read = configs.read_config(config, given, setup, untrusted=untrusted)
        read = configs.with_data_of_model(read)
        configs.announce_code(read, output, untrusted=untrusted, typed=configs.typed(given, setup))
        found = _test_network(read, parts, metrics, output, setup.device)
    if json:
        from widthwise.core.finite import finite

        print_json(finite({**found.figures, "standard_errors": found.errors}))
    else:
        from widthwise.report.tables import metric_table

        output.show(metric_table(found.figures, found.metrics, found.errors))
        if any(found.errors.values()):
            output.say("±: one standard error, on the samples of the part")


def _check_metrics(given: str | None) -> None:
    """Raises UserError where some of the metrics are code, before it is imported."""
    from widthwise.metrics.catalogue import REGISTRY

    names = dict.fromkeys(name.strip() for name in (given or "").split(","))
    code = ", ".join(name for name in names if ":" in name or (REGISTRY.get(name) and REGISTRY.is_code(name)))
    if code:
        raise UserError(
            f"--metrics: {code}: names code that would run, which --untrusted refuses; name built-in ones"
        )


def _metrics(given: str | None, config: SearchConfig, task: Task | str | None) -> list[Metric]:
    """The metrics asked for, else the usual ones and the config's; UserError for one that can't be had.

    Without a task, those asked for are only known to be of some task.
    """
    from widthwise.config.metrics import metrics_of
    from widthwise.metrics.quality.tasks import task_of, usual_metrics

    if given:
        names = dict.fromkeys(name.strip() for name in given.split(","))
    elif task is None:
        return []
    else:
        judged = task_of(task)
        own = [declared.metric.name for declared in config.metrics if declared.metric.source]
        names = dict.fromkeys([*usual_metrics(judged), *own, *COSTS])
    find = metrics_of(task, config.metrics)
    return [find(name, "--metrics") for name in names]


def _options(config: SearchConfig, metrics: list[Metric]) -> dict[str, Any]:
    """Those of the metrics that are asked for."""
    from widthwise.search.judged_by import options_of

    names = [metric.name for metric in metrics]
    return {name: given for name, given in options_of(config).items() if name in names}


def _test_network(
    config: SearchConfig, parts: list[str], asked: str | None, output: Output, device: str | None
) -> Tested:
    from widthwise.network.graph import Graph
    from widthwise.search.untrained import is_untrained

    options.check_device(device)
    _metrics(asked, config, config.task)
    network, data = network_and_data(config)
    task = introduce(config, network, data, output).task
    if is_untrained(config, network):
        output.warn(f"the weights of {config.model} are random; load trained ones with --load CHECKPOINT")
    metrics = _metrics(asked, config, task)
    timed = float_times(config, network, data, metrics)
    return _tested(Graph(network), data, config, metrics, task, parts, timed)


def _test_run(
    study: Study,
    config: SearchConfig,
    run: Path,
    trial: int | None,
    parts: list[str],
    asked: str | None,
    output: Output,
    device: str | None,
) -> Tested:
    """The network of a run, in float or as a trial has it: from what the run kept, else made again."""
    from widthwise.metrics.quality.making import with_targets
    from widthwise.search.dataset import load_dataset

    options.check_device(device)
    found = _trial_of(study, trial)
    _metrics(asked, config, config.task)
    network, data = study.searched_network(), load_dataset(config)
    task = introduce(config, network, data, output).task
    targeted = with_targets(data, network, task, config.output)
    if targeted is data:  # else targets are what the network gives, which is another's on another machine
        _warn_of_other_data(study, config, data, output)
    data = targeted
    said = "none, the float network" if found is None else f"{found.number}{_which_training(study)}"
    output.note(f"trial:       {said}")
    graph = study.network() if found is None else _network_of_trial(study, found, run, output)
    chosen = options.DEVICES.get(device or "", "")
    config = config if not chosen else replace(config, accelerator=chosen)  # type: ignore[arg-type]
    metrics = _metrics(asked, config, task)
    timed = (
        float_times(config, network, data, metrics)
        if found is None
        else times_of_trial(config, study, found, metrics)
    )
    return _tested(graph, data, config, metrics, task, parts, timed)


def _warn_of_other_data(study: Study, config: SearchConfig, data: Data, output: Output) -> None:
    """Says so where the samples that the config names are not those that the run was judged on."""
    from widthwise.core.hashing import hash_batches
    from widthwise.data.facts import part

    name, then = config.search.evaluation.part, study.record.fingerprint.get("data")
    if then is not None and hash_batches(part(data, name)) != then:
        output.warn(
            f"the {name} data of {config.dataset} is not what the run was judged on, "
            "or comes in another order: data given from Python isn't kept, and files may have changed"
        )


@dataclass(frozen=True)
class Tested:
    """The metrics of a network by part of the data, and the standard errors of its qualities."""

    metrics: list[Metric]
    figures: dict[str, dict[str, float]]
    errors: dict[str, dict[str, float]]


def _tested(
    graph: Graph,
    data: Data,
    config: SearchConfig,
    metrics: list[Metric],
    task: Task,
    parts: list[str],
    timed: Mapping[str, float],
) -> Tested:
    """The metrics on each of the parts; timed: those that were measured, for all of them."""
    from widthwise.evaluators.engine import evaluate, standard_errors
    from widthwise.search.judged_by import device_of

    others = [metric for metric in metrics if metric.name not in timed]
    how: dict[str, Any] = {"metrics": others, "task": task, "output": config.output}
    how |= {"device": device_of(config), "options": _options(config, others)}
    figures = {part: {**evaluate(graph, data, loader=part, **how), **timed} for part in parts}
    errors = {part: standard_errors(graph, data, loader=part, **how) for part in parts}
    return Tested(metrics, figures, errors)


def _trial_of(study: Study, number: int | None) -> Trial | None:
    """The trial of this number; UserError where the run has none."""
    if number is None:
        return None
    try:
        return study.trial(number)
    except UserError as error:
        raise UserError(f"--trial: {error}") from None


def _network_of_trial(study: Study, trial: Trial, run: Path, output: Output) -> Graph:
    """The network that the run kept; where it kept none, it is made again as it was then."""
    from widthwise.search.problem import problem_of_run

    try:
        return study.network(trial)
    except NotKeptError:
        output.note("network:     not kept by the run, so it is made again from the data, as in the search")
    return problem_of_run(run).network_of(trial.candidate)


def _which_training(study: Study) -> str:
    return f", the first of its {study.repeats} trainings" if study.repeats > 1 else ""
