"""widthwise train: a network's weights made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli import configs, options
from widthwise.cli.groups import grouped
from widthwise.cli.named import check_named, introduce, judged, network_and_data
from widthwise.cli.output import Output, check_new_file, make_console

if TYPE_CHECKING:
    from torch import nn

    from widthwise.config import SearchConfig
    from widthwise.data.modules import Data
    from widthwise.training import History


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(grouped(train))


@dataclass(frozen=True)
class Training:
    """How the weights are made."""

    epochs: Annotated[
        int | None,
        typer.Option("--epochs", help="Passes over the training data; by default the config's, or 100."),
    ] = None
    lr: Annotated[
        float | None, typer.Option("--lr", help="Learning rate; by default the config's, or 0.02.")
    ] = None
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Samples of a batch; by default the config's, or 256.")
    ] = None
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
    given = options.given(network, training)
    read = configs.read_config(config, given, setup, untrusted=untrusted)
    read = configs.with_data_of_model(read)
    check_named(read)
    configs.announce_code(read, output, untrusted=untrusted, typed=configs.typed(given, setup))
    path = out or Path(f"{_file_name(read)}.safetensors")
    check_new_file(path, force=force, ending=".safetensors")
    options.check_device(setup.device)
    made, data = network_and_data(read)
    introduce(read, made, data, output)
    try:
        history = _fit(read, made, data, output, lines=True)
    except KeyboardInterrupt:
        _save(made, path)
        output.say(f"Stopped by Ctrl-C; the best weights so far are in {path}")
        raise typer.Exit(130) from None
    _save(made, path)
    output.say(_best_line(history))
    output.say(f"Saved: {path}    use it: widthwise search CONFIG --load {path}")


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
        _, data = network_and_data(replace(config, load_name=None))
        check_named(config)
        network = load_model(str(config.model), checkpoint=kept, seed=config.seed)
    else:
        network, data = network_and_data(config)
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


def _file_name(config: SearchConfig) -> str:
    return str(config.model).replace(":", ".")


def _fit(config: SearchConfig, network: nn.Module, data: Data, output: Output, *, lines: bool) -> History:
    from widthwise.report.epochs import EpochProgress
    from widthwise.search.judged_by import device_of
    from widthwise.training import train as fit

    _begin(config, network, data, output)
    how: dict[str, Any] = {"seed": config.seed, "device": device_of(config), **judged(config)}
    live = None if output.quiet else make_console(stderr=True)
    log = output.console if lines and not output.quiet else None
    with EpochProgress(live, log, config.training.epochs) as told:
        return fit(network, data, config.training, progress=told, **how)


def _begin(config: SearchConfig, network: nn.Module, data: Data, output: Output) -> None:
    """Lets random weights begin where the targets are, as for the candidates of a search."""
    from widthwise.metrics.quality.fits import check_data_fits_model
    from widthwise.search.untrained import is_untrained
    from widthwise.training.beginning import begin_near_targets

    if is_untrained(config, network):
        task = check_data_fits_model(network, data, config.task, config.output).task
        if begin_near_targets(network, data, task, output=config.output):
            output.note("training:    outputs begin at mean and spread of the targets")


def _best_line(history: History) -> str:
    from widthwise.core.figures import shown_figure

    best = history.best
    judged = ", ".join(f"{name} {shown_figure(value, 4)}" for name, value in best.values.items())
    return f"Best of {len(history.epochs)} epochs: {best.number}, validation {judged}"


def _save(network: nn.Module, path: Path) -> None:
    from widthwise.network.named import save_checkpoint

    save_checkpoint(network, path)
