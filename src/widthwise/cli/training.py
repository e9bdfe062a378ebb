"""widthwise train and test: a network's weights made, and how good they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli import options
from widthwise.cli.groups import grouped
from widthwise.cli.output import Output, check_new_file, make_console, print_json
from widthwise.cli.timing import float_times, times_of_trial
from widthwise.core.errors import UserError, unknown
from widthwise.study.run_files import NotKeptError

if TYPE_CHECKING:
    from torch import nn

    from widthwise.config import SearchConfig
    from widthwise.data.modules import Data
    from widthwise.metrics.catalogue import Metric
    from widthwise.metrics.quality.fits import Fit
    from widthwise.metrics.quality.task import Task
    from widthwise.network.graph import Graph
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial
    from widthwise.training import History

PARTS = ("val", "test")
COSTS = ("parameters", "model_size", "macs")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(grouped(train))
    app.command("test")(grouped(evaluate_network))


@dataclass(frozen=True)
class Training:
    """How the weights are made."""

    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training data.")] = None
    lr: Annotated[float | None, typer.Option("--lr", help="Learning rate.")] = None
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Samples of a batch of data.")] = None
    seed: options.Seed = None


def train(
    config: options.OptionalConfig = None,
    *,
    network: options.Network,
    training: Training,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="By default MODEL.safetensors.")
    ] = None,
    force: options.Force = False,
    setup: options.Setup,
    untrusted: options.Untrusted = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a network and save its best weights."""
    output = Output(quiet=quiet)
    read = options.read_config(config, options.given(network, training), setup, untrusted=untrusted)
    read = options.with_data_of_model(read)
    _check_named(read)
    options.announce_code(read, output, untrusted=untrusted)
    path = out or Path(f"{_file_name(read)}.safetensors")
    check_new_file(path, force=force, ending=".safetensors")
    options.check_device(setup.device)
    made, data = _network_and_data(read)
    _introduce(read, made, data, output)
    try:
        history = _fit(read, made, data, output, lines=True)
    except KeyboardInterrupt:
        _save(made, path)
        output.say(f"Stopped by Ctrl-C; the best weights so far are in {path}")
        raise typer.Exit(130) from None
    _save(made, path)
    output.say(_best_line(history))
    output.say(f"Saved: {path}    use it: widthwise search CONFIG --load {path}")


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
    _announce_metrics(metrics, output, untrusted=untrusted)
    if run is not None:
        if any(value is not None for value in (config, *vars(network).values(), seed)) or setup.assign:
            raise UserError("--run: has its own network and data; leave CONFIG, --model, --load and such out")
        storage = options.storage_of(run, storage)
        of_run = options.config_of_run(run, untrusted=untrusted, storage=storage)
        options.announce_code(of_run, output, untrusted=untrusted)
        from widthwise.study.run_folder import load_run

        study = load_run(run, storage=storage)
        found = _test_run(study, of_run, run, trial, parts, metrics, output, setup.device)
    else:
        if trial is not None:
            raise UserError("--trial: needs --run, the run folder that it is from")
        given = options.given(network, seed=seed)
        read = options.read_config(config, given, setup, untrusted=untrusted)
        read = options.with_data_of_model(read)
        options.announce_code(read, output, untrusted=untrusted)
        found = _test_network(read, parts, metrics, output, setup.device)
    if json:
        from widthwise.core.finite import finite

        print_json(finite({**found.figures, "standard_errors": found.errors}))
    else:
        from widthwise.report.tables import metric_table

        output.show(metric_table(found.figures, found.metrics, found.errors))
        if any(found.errors.values()):
            output.say("±: one standard error, on the samples of the part")


def train_first(
    config: SearchConfig, folder: Path, output: Output, *, resume: bool
) -> tuple[SearchConfig, nn.Module, Data]:
    """The network that a search begins with, trained as the config says; a run that goes on has it already.

    The config that is returned names the weights as those in the run folder.
    """
    from widthwise.network.named import load_model
    from widthwise.study.run_files import WEIGHTS

    kept = folder / WEIGHTS
    if resume and kept.is_file():
        _, data = _network_and_data(replace(config, load_name=None))
        _check_named(config)
        network = load_model(str(config.model), checkpoint=kept, seed=config.seed)
    else:
        network, data = _network_and_data(config)
        output.note(f"Training {config.model} on {config.dataset}")
        history = _fit(_by_targets(config), network, data, output, lines=False)
        output.note(_best_line(history))
    return replace(config, load_name=str(kept)), network, data


def _by_targets(config: SearchConfig) -> SearchConfig:
    """The config by which a float network is trained: what is to stay close to itself has to be one first.

    Where the data has targets, they tell the task.
    """
    from widthwise.metrics.quality.tasks import CLOSENESS

    return replace(config, task=None) if config.task == CLOSENESS else config


def _announce_metrics(given: str | None, output: Output, *, untrusted: bool) -> None:
    """Say which of the metrics are code, before it is imported; UserError where that is not wanted."""
    from widthwise.metrics.catalogue import REGISTRY

    names = dict.fromkeys(name.strip() for name in (given or "").split(","))
    code = ", ".join(name for name in names if ":" in name or (REGISTRY.get(name) and REGISTRY.is_code(name)))
    if code and untrusted:
        raise UserError(
            f"--metrics: {code}: names code that would run, which --untrusted refuses; name built-in ones"
        )
    if code:
        output.warn(f"--metrics runs code: {code}")


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


def _network_and_data(config: SearchConfig) -> tuple[nn.Module, Data]:
    from widthwise.network.named import load_model
    from widthwise.search.dataset import load_dataset

    _check_named(config)
    network = load_model(str(config.model), seed=config.seed)
    if config.load_name is not None:
        load_model(network, checkpoint=config.load_name)
    return network, load_dataset(config, network)


def _check_named(config: SearchConfig) -> None:
    for key in ("model", "dataset"):
        if getattr(config, key) is None:
            raise UserError(f"{config.source}: {key}: is missing; set it in the config or give --{key}")


def _file_name(config: SearchConfig) -> str:
    return str(config.model).replace(":", ".")


def _introduce(config: SearchConfig, network: nn.Module, data: Data, output: Output) -> Fit:
    """What is trained or tested, on what, and as what; UserError where they don't fit."""
    from widthwise.metrics.quality.fits import check_data_fits_model
    from widthwise.report.problem import data_lines, judged_lines, network_line, task_line
    from widthwise.search.untrained import is_untrained

    fitting = check_data_fits_model(network, data, config.task, config.output)
    for line in data_lines(data):
        output.note(line)
    untrained = is_untrained(config, network)
    output.note(f"network:     {network_line(config, network, untrained=untrained)}")
    for line in (f"task:        {task_line(fitting.output)}", *judged_lines(fitting.output)):
        output.note(line)
    return fitting


def _fit(config: SearchConfig, network: nn.Module, data: Data, output: Output, *, lines: bool) -> History:
    from widthwise.report.epochs import EpochProgress
    from widthwise.search.problem import device_of
    from widthwise.training import train as fit

    _begin(config, network, data, output)
    how: dict[str, Any] = {"seed": config.seed, "device": device_of(config), **_judged(config)}
    live = None if output.quiet else make_console(stderr=True)
    log = output.console if lines and not output.quiet else None
    with EpochProgress(live, log, config.training.epochs) as told:
        return fit(network, data, config.training, progress=told, **how)


def _begin(config: SearchConfig, network: nn.Module, data: Data, output: Output) -> None:
    """Lets random weights begin where the targets are, as for the candidates of a search."""
    from widthwise.metrics.quality.fits import check_data_fits_model
    from widthwise.search.untrained import is_untrained
    from widthwise.training.beginning import begin_at_mean

    if is_untrained(config, network):
        task = check_data_fits_model(network, data, config.task, config.output).task
        if begin_at_mean(network, data, task, output=config.output):
            output.note("training:    outputs begin at the mean of the targets")


def _judged(config: SearchConfig) -> dict[str, Any]:
    """What outputs are worth, and which of them is judged."""
    return {"task": config.task, "output": config.output}


def _options(config: SearchConfig, metrics: list[Metric]) -> dict[str, Any]:
    """Those of the metrics that are asked for."""
    from widthwise.search.problem import options_of

    names = [metric.name for metric in metrics]
    return {name: given for name, given in options_of(config).items() if name in names}


def _best_line(history: History) -> str:
    best = history.best
    judged = ", ".join(f"{name} {value:.4f}" for name, value in best.values.items())
    return f"Best of {len(history.epochs)} epochs: {best.number}, validation {judged}"


def _save(network: nn.Module, path: Path) -> None:
    from widthwise.network.named import save_checkpoint

    save_checkpoint(network, path)


def _test_network(
    config: SearchConfig, parts: list[str], asked: str | None, output: Output, device: str | None
) -> Tested:
    from widthwise.network.graph import Graph
    from widthwise.search.untrained import is_untrained

    options.check_device(device)
    _metrics(asked, config, config.task)
    network, data = _network_and_data(config)
    task = _introduce(config, network, data, output).task
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
    task = _introduce(config, network, data, output).task
    data = with_targets(data, network, task, config.output)
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
    from widthwise.search.problem import device_of

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
