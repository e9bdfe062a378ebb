"""Options in groups: the command line sees them one by one, the command gets them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from widthwise.cli.groups import grouped


@dataclass(frozen=True)
class Size:
    """How large."""

    width: Annotated[int, typer.Option("--width", help="Columns.")] = 3
    height: Annotated[int | None, typer.Option("--height", help="Rows.")] = None


def draw(
    name: Annotated[str, typer.Argument(help="What.")],
    *,
    first: Annotated[bool, typer.Option("--first")] = False,
    size: Size,
    last: Annotated[str, typer.Option("--last")] = "end",
) -> None:
    """Draw something."""
    print((name, first, size, last))


def _run(*arguments: str) -> str:
    app = typer.Typer(rich_markup_mode=None)
    app.command()(grouped(draw))
    return CliRunner().invoke(app, list(arguments)).output


def test_a_command_gets_its_groups_filled():
    assert _run("a") == f"{('a', False, Size(), 'end')}\n"
    given = _run("--last", "z", "--height", "2", "a", "--first", "--width=5")
    assert given == f"{('a', True, Size(5, 2), 'z')}\n"


def test_the_help_lists_all_options_in_the_order_of_the_parameters():
    lines = _run("--help")
    order = [lines.index(option) for option in ("--first", "--width", "--height", "--last")]
    assert order == sorted(order)
    assert "Draw something." in lines
    assert "Columns.  [default: 3]" in lines


def test_an_option_of_a_group_is_checked_by_its_type():
    assert "Invalid value for '--height'" in _run("a", "--height", "tall")
