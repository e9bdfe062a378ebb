"""widthwise inspect: a network as a table, and what a config does to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli import configs, options
from widthwise.cli.groups import grouped
from widthwise.cli.output import Output
from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from widthwise.config import SearchConfig
    from widthwise.data.modules import Data
    from widthwise.metrics.quality.fits import Fit
    from widthwise.network.graph import Graph
    from widthwise.network.passes.metadata import NodeMeta


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(grouped(inspect))


def inspect(
    config: options.OptionalConfig = None,
    *,
    network: options.Network,
    seed: options.Seed = None,
    show_config: Annotated[
        bool, typer.Option("--config", help="The resolved config, and what applies to each layer.")
    ] = False,
    widths: Annotated[
        bool, typer.Option("--widths", help="Groups of channels that change together.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="A row for each node, those that can't be quantised too.")
    ] = False,
    assign: options.Set = None,
    untrusted: options.Untrusted = False,
) -> None:
    """Show a network's layers, and what can be searched."""
    output = Output()
    setup = options.Setup(assign=assign)
    given = options.given(network, seed=seed)
    read = configs.read_config(config, given, setup, untrusted=untrusted)
    read = configs.with_data_of_model(read, elsewhere=False)
    configs.announce_code(read, output, untrusted=untrusted, typed=configs.typed(given, setup))
    configs.warn_of_ignored_keys(read, output)
    if read.model is None:
        raise UserError(f"{read.source}: model: is missing; set it in the config or give --model")
    if show_config:
        _print_config(read, output)
        return
    if widths:
        _print_widths(read, output)
        return
    graph, data, fitting = _captured(read)
    _print_about(read, graph, data, fitting, output)
    _print_layers(graph, _metas(graph, fitting), output, every=every)


def _captured(config: SearchConfig) -> tuple[Graph, Data | None, Fit | None]:
    """The network's graph, the data where some is named, and how the one is given the other."""
    from widthwise.metrics.quality.fits import check_data_fits_model
    from widthwise.network.graph import Graph
    from widthwise.network.named import load_model
    from widthwise.search.dataset import load_dataset

    network = load_model(str(config.model), checkpoint=config.load_name, seed=config.seed)
    if config.dataset is None:
        return Graph(network), None, None
    data = load_dataset(config, network)
    fitting = check_data_fits_model(network, data, config.task, config.output)
    return Graph(network, fitting.example), data, fitting


def _print_about(
    config: SearchConfig, graph: Graph, data: Data | None, fitting: Fit | None, output: Output
) -> None:
    from widthwise.report.network import capture_line, mode_line
    from widthwise.report.problem import data_lines, judged_lines, note_lines, task_line

    output.say(f"network:     {config.model}")
    for line in ["data:        none given"] if data is None else data_lines(data):
        output.say(line)
    if fitting is not None:
        output.say(f"task:        {task_line(fitting.output)}")
    output.say(capture_line(graph))
    if config.searching is not None and data is not None:
        for line in _search_lines(config):
            output.say(line)
    else:
        output.say(mode_line(graph))
        for line in [] if fitting is None else [*judged_lines(fitting.output), *note_lines(fitting)]:
            output.say(line)


def _print_layers(graph: Graph, metas: dict[str, NodeMeta], output: Output, *, every: bool) -> None:
    """What can be quantised, what can't and why."""
    from widthwise.network.passes.metadata import uncounted
    from widthwise.network.passes.unquantised import shared_weights, unquantised
    from widthwise.report.layers import float_table, layer_table, shared_line, total_line

    if shared := shared_weights(graph):
        output.say(shared_line(shared))
    output.show(layer_table(graph, metas, every=every))
    output.say(total_line(metas))
    if without := uncounted(graph.fx_graph, metas):
        output.say(f"MACs leave out what has no known count: {', '.join(without)}")
    if parts := unquantised(graph, metas):
        output.say("Stays in float:")
        output.show(float_table(parts))


def _metas(graph: Graph, fitting: Fit | None) -> dict[str, NodeMeta]:
    """Shapes and costs, from a sample of the data, a batch of it where it has to be one, or a guess."""
    from widthwise.network.calling import as_example
    from widthwise.network.passes.metadata import propagate
    from widthwise.network.widths.example import example_input

    if fitting is None:
        return propagate(graph, tuple(x[:1] for x in example_input(graph.model)))
    block = fitting.block if fitting.reader.whole_because else fitting.block.part(0, 1)
    return propagate(graph, as_example(fitting.reader.takes, block.inputs), samples=len(block))


def _search_lines(config: SearchConfig) -> list[str]:
    """What the config's search would be: space, strategy, objectives, evaluation."""
    from widthwise.report.problem import search_lines
    from widthwise.search.problem import load_problem

    return search_lines(load_problem(config))


def _print_config(config: SearchConfig, output: Output) -> None:
    """The resolved config as TOML, and what it means for each layer."""
    from widthwise.config.write import toml_of
    from widthwise.search.problem import load_problem
    from widthwise.search.told import warnings_of

    for line in toml_of(config).split("\n"):
        output.say(line)
    if config.searching is None:
        output.say("# no [search]: nothing is searched")
        return
    problem = load_problem(config)
    output.say("# what applies to each layer")
    for line in problem.kind.lines(problem.graph, problem.space):
        output.say(f"# {line}")
    for warning in warnings_of(problem):
        output.warn(warning)


def _print_widths(config: SearchConfig, output: Output) -> None:
    """The groups; data is only loaded where no input of the network could be guessed."""
    from widthwise.network.named import load_model
    from widthwise.network.widths.example import example_input
    from widthwise.network.widths.finding import find_groups
    from widthwise.report.network import fixed_table, group_table
    from widthwise.search.dataset import load_dataset

    network = load_model(str(config.model), checkpoint=config.load_name, seed=config.seed)
    try:
        example = example_input(network)
    except UserError:
        if config.dataset is None:
            raise
        example = example_input(network, load_dataset(config))
    groups = find_groups(network, example)
    output.say("Groups of channels that change together:")
    output.show(group_table(groups))
    if groups.fixed:
        output.say("Fixed:")
        output.show(fixed_table(groups))
