"""What `widthwise compare` compares strategies on: the search of a config, or a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli import configs, options
from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from widthwise.cli.output import Output
    from widthwise.search.comparing import Contest, Entrant
    from widthwise.search.problem import Problem


@dataclass(frozen=True)
class Tabled:
    """A table in place of a config, and what is wanted of it."""

    table: Annotated[
        str | None,
        typer.Option("--table", metavar="NAME", help="In place of CONFIG: jets, digits-cnn or FILE.parquet."),
    ] = None
    objectives: Annotated[
        str | None,
        typer.Option(
            "--objectives", metavar="A,B,…", help="Of a table: its metrics. Default: accuracy,model_size."
        ),
    ] = None


@dataclass(frozen=True)
class Task:
    """What strategies are compared on, and what is said of it before it begins."""

    problem: Problem | Contest
    entrants: tuple[Entrant, ...]
    notes: Callable[[], list[str]]
    warnings: Callable[[], list[str]]


def check_one(config: str | None, tabled: Tabled, others: Mapping[str, object]) -> None:
    """UserError unless there is either a config or a table, and each has only options that are of it."""
    if config is None and tabled.table is None:
        raise UserError("compare: there is nothing to compare on; give a CONFIG or --table jets")
    if config is None:
        given = [name for name, value in others.items() if value not in (None, [])]
        if given:
            name = {"assign": "set"}.get(given[0], given[0])
            raise UserError(f"--{name}: is for a config; a table is what it is, leave it out with --table")
    elif tabled.table is not None:
        raise UserError(f"--table {tabled.table} takes the place of {config}; give one of them")
    elif tabled.objectives is not None:
        raise UserError("--objectives: is for --table; a config names its own in [search.strategy.metrics]")


def of_config(
    config: str,
    strategies: str,
    network: options.Network,
    setup: options.Setup,
    memory: str | None,
    output: Output,
    *,
    untrusted: bool,
) -> Task:
    """The search that a config describes."""
    from widthwise.search.comparing import Entrant

    given = options.given(network)
    read = configs.read_config(config, given, setup, untrusted=untrusted)
    configs.announce_code(read, output, untrusted=untrusted, typed=configs.typed(given, setup))
    own = read.search.strategy
    entrants = _entrants(strategies, Entrant(own.name, own.options), untrusted=untrusted)
    configs.warn_of_ignored_keys(read, output)
    options.check_device(setup.device)
    from widthwise.report.problem import data_lines
    from widthwise.search.problem import load_problem
    from widthwise.search.told import warnings_of

    problem = load_problem(read, memory=options.size_in_bytes(memory, "--memory"))
    return Task(
        problem,
        entrants,
        lambda: list(data_lines(problem.data)),
        lambda: list(warnings_of(problem, mend="load trained ones (--load CHECKPOINT)")),
    )


def of_table(strategies: str, tabled: Tabled, *, untrusted: bool) -> Task:
    """The search that a table has all answers of."""
    entrants = _entrants(strategies, None, untrusted=untrusted)
    from widthwise.evaluators.tabled import load_table
    from widthwise.search.comparing.contest import contest_of_table

    table = load_table(tabled.table or "")
    named = tabled.objectives
    wanted = None if named is None else [name.strip() for name in named.split(",") if name.strip()]
    title = table.about.get("title")
    return Task(
        contest_of_table(table, wanted),
        entrants,
        lambda: [f"table: {table.name}, {title}" if title else f"table: {table.name}"],
        list,
    )


def _entrants(strategies: str, configured: Entrant | None, *, untrusted: bool) -> tuple[Entrant, ...]:
    """The strategies to compare, checked before anything is loaded; UserError for code that is not wanted."""
    from widthwise.search.comparing import parse_entrants
    from widthwise.strategies.registry import REGISTRY

    entrants = parse_entrants(strategies, configured=configured, where="--strategies")
    code = ", ".join(dict.fromkeys(entrant.name for entrant in entrants if REGISTRY.is_code(entrant.name)))
    if code and untrusted:
        raise UserError(
            f"--strategies: {code}: names code that would run, which --untrusted refuses; name built-in ones"
        )
    return entrants
