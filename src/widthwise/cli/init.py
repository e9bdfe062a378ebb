"""widthwise init: a commented config for a network, to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli import options
from widthwise.cli.output import Output, check_new_file
from widthwise.core.errors import UserError, unknown
from widthwise.spaces.settings import JOINT, QUANTISATION, TRAINED

if TYPE_CHECKING:
    from widthwise.search.beginning import Beginning

LISTED = 12  # names of layers that are printed

WRITTEN = ("frontier", "gradient")  # others are a word in what is written for frontier
SPACES = (QUANTISATION, JOINT, TRAINED)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(init)


def init(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A built-in network, as jsc-tiny, or module:callable.")
    ],
    dataset: options.Dataset = None,
    label: options.Label = None,
    header: options.Header = None,
    targets: options.Targets = None,
    standardise: options.Standardise = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="By default MODEL.toml.")] = None,
    force: options.Force = False,
    strategy: Annotated[
        str, typer.Option("--strategy", metavar="NAME", help="frontier, or gradient, which trains widths.")
    ] = "frontier",
    space: Annotated[
        str | None,
        typer.Option("--space", metavar="NAME", help="Of formats by default; graph/joint: channels too."),
    ] = None,
) -> None:
    """Write a commented config for a network."""
    from widthwise.core.files import write_atomically
    from widthwise.data.modules import FROM_ELSEWHERE, data_source
    from widthwise.network.named import MODELS, model_source

    chosen, output = _space(strategy, space), Output()
    name = model_source(model)
    path = out or Path(f"{name.replace(':', '.')}.toml")
    check_new_file(path, force=force, ending=".toml")
    made_for = MODELS.own[name].about if name in MODELS.own else None
    data = data_source(dataset) if dataset is not None else made_for
    seen = data if data not in FROM_ELSEWHERE else None
    said = {"label": label or None, "header": header, "targets": targets, "standardise": standardise}
    reading = {key: value for key, value in said.items() if value is not None}
    found = _beginning(name, seen, reading, output)
    channels = _with_channels(name, seen, reading) if chosen == JOINT else frozenset()
    write_atomically(path, _text(chosen, name, data, found, channels, reading).encode())
    layers = found.layers
    count = f"{len(layers)} layer{'' if len(layers) == 1 else 's'}"
    output.say(f"Wrote {path}: {count} ({_listed([f'{layer} {kind}' for layer, kind, _ in layers])})")
    if data is None:
        output.say(f"Set its dataset, or give --dataset; then: widthwise search {path} --train")
    else:
        output.say(f"Next: widthwise inspect {path}    widthwise search {path} --train")


def _space(strategy: str, space: str | None) -> str:
    """The kind of space that is written; UserError for none, and for one that the strategy can't search."""
    if strategy not in WRITTEN:
        raise unknown("strategy", strategy, WRITTEN, where="--strategy")
    if space is None:
        return TRAINED if strategy == "gradient" else QUANTISATION
    if space not in SPACES:
        raise unknown("search space", space, SPACES, where="--space")
    if strategy == "gradient" and space != TRAINED:
        raise UserError(f"--strategy: gradient searches {TRAINED}, not {space}; leave one of them out")
    return space


def _text(
    space: str,
    name: str,
    data: str | None,
    found: Beginning,
    channels: frozenset[str],
    reading: dict[str, Any],
) -> str:
    """The config; channels: the layers whose numbers of them can change, where that is searched."""
    from widthwise.config import default_config_text
    from widthwise.config.joint_template import joint_config_text
    from widthwise.config.trained_template import trained_config_text

    layers, qualities = found.layers, found.qualities
    if space == TRAINED:
        return trained_config_text(name, data, qualities=qualities, reading=reading)
    if space == JOINT:
        return joint_config_text(name, data, layers, channels, qualities=qualities, reading=reading)
    return default_config_text(name, data, layers, qualities=qualities, reading=reading)


def _beginning(name: str, dataset: str | None, reading: dict[str, Any], output: Output) -> Beginning:
    """What is searched of the network, with what is said of the data that it is captured on.

    dataset: whose samples those are; reading: what it is taken for.
    """
    from widthwise.data.modules import load_data
    from widthwise.network.named import load_model
    from widthwise.report.problem import data_lines, task_line
    from widthwise.search.beginning import beginning

    network = load_model(name)
    data = None if dataset is None else load_data(dataset, **reading)
    for line in [] if data is None else data_lines(data):
        output.say(line)
    found = beginning(network, data, name)
    if found.output is not None:
        output.say(f"task:        {task_line(found.output)}")
    return found


def _with_channels(name: str, dataset: str | None, reading: dict[str, Any]) -> frozenset[str]:
    """The names of the layers whose numbers of channels can change; UserError where there are none."""
    from widthwise.data.modules import load_data
    from widthwise.network.graph import Graph
    from widthwise.network.named import load_model
    from widthwise.network.widths.finding import find_groups
    from widthwise.network.widths.groups import node_name

    data = None if dataset is None else load_data(dataset, **reading)
    groups = find_groups(Graph(load_model(name)), data).groups
    if not groups:
        raise UserError(f"{name}: has no channels that can change, so no {JOINT}; leave --space out")
    return frozenset(node_name(producer) for group in groups for producer in group.producers)


def _listed(layers: list[str]) -> str:
    """Their names, of many the first and the last."""
    return ", ".join(layers if len(layers) <= LISTED else [*layers[: LISTED - 2], "…", layers[-1]])
