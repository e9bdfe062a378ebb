"""The example that ends the help of each command is one that the command takes."""

from __future__ import annotations

import shlex

import pytest
import typer

from helpers.running import Run
from widthwise.cli.app import make_app
from widthwise.cli.examples import EXAMPLES
from widthwise.network.forms import EXPORTERS
from widthwise.strategies.registry import STRATEGIES
from widthwise.training.finetuning.settings import BASE, MOST

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


def test_the_help_of_the_program_ends_with_a_command_to_begin_with(run: Run) -> None:
    assert run("--help").out.strip().endswith("Example: widthwise demo")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is(name: str) -> None:
    inside = getattr(COMMANDS[name], "commands", {}).values()
    for command in (COMMANDS[name], *inside):
        assert [option.name for option in command.params if not option.help] == []


def test_the_help_names_all_strategies_and_export_forms(run: Run) -> None:
    searching, writing = run("search", "--help").out, run("export", "--help").out
    assert all(f" {name}" in searching for name in STRATEGIES)
    assert all(f" {name}" in writing for name in EXPORTERS.own)


def test_the_defaults_that_the_help_of_finetune_names_are_those_of_the_settings(run: Run) -> None:
    said = " ".join(run("finetune", "--help").out.split())
    assert f"or {BASE.steps}. --lr" in said
    assert f"or {BASE.learning_rate}. --distil" in said
    assert f"or {BASE.distil:g}. --batch-norm" in said
    assert f"or {MOST['front']} of a front, {MOST['all']} of all." in said
