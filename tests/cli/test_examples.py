"""The example that ends the help of each command is one that the command takes."""

from __future__ import annotations

import shlex

import pytest
import typer

from helpers.running import Run
from widthwise.cli.app import make_app
from widthwise.cli.examples import EXAMPLES

COMMANDS = typer.main.get_command(make_app()).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_an_example_that_is_understood(name: str, run: Run) -> None:
    command, *arguments = shlex.split(EXAMPLES[name])
    assert command == name
    COMMANDS[name].make_context(name, arguments)  # raises what is wrong
    ending = " ".join(run(name, "--help").out.split("Example: ")[1].split())
    assert ending == f"widthwise {EXAMPLES[name]}"


def test_a_command_of_a_group_has_an_example_too(run: Run) -> None:
    ending = " ".join(run("formats", "plot", "--help").out.split("Example: ")[1].split())
    assert ending == f"widthwise {EXAMPLES['plot']}"
    COMMANDS["formats"].commands["plot"].make_context("plot", shlex.split(EXAMPLES["plot"])[2:])
