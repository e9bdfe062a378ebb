"""Budgets beside bounds in [search.constraints]: the number of trials and the time."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.places import DOCS
from widthwise.config import load_config
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.search.launch import config_limits

SETUP = "search.strategy.setup."
CONSTRAINTS = "search.constraints."
# the lab's file has n_trials = 20 and timeout = 20000
WITHOUT_SETUP = ("n_trials = 20\n", ""), ("timeout = 20000\n", "")


def free_of_limits(lab: Path) -> Path:
    text = lab.read_text()
    for old, new in WITHOUT_SETUP:
        assert old in text
        text = text.replace(old, new)
    lab.write_text(text)
    return lab


@pytest.mark.parametrize(
    ("written", "trials"),
    [(200, 200), ("200", 200), ("<= 200", 200), ("<=1_000", 1000), ("<= 2k", 2000), (200.0, 200)],
)
def test_trials_are_a_number_or_a_bound(lab: Path, written: Any, trials: int) -> None:
    config = load_config(free_of_limits(lab), {CONSTRAINTS + "trials": written})
    assert config.search.trials == trials
    assert (config.search.timeout, config.search.constraints) == (None, ())
    assert config_limits(config).trials == trials
    assert load_config(tables_of(config)) == config


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (600, 600),
        (0.5, 0.5),
        ("90", 90),
        ("90 s", 90),
        ("10 min", 600),
        ("<= 10 min", 600),
        ("1.5h", 5400),
        ("<= 2 hours", 7200),
    ],
)
def test_time_is_in_seconds_or_has_a_unit(lab: Path, written: Any, seconds: float) -> None:
    config = load_config(free_of_limits(lab), {CONSTRAINTS + "time": written})
    assert config.search.timeout == seconds
    assert config_limits(config).timeout == seconds
    assert load_config(tables_of(config)) == config


def test_budgets_stand_beside_bounds(lab: Path) -> None:
    text = '\n[search.constraints]\nmodel_size = "<= 2 KiB"\ntrials = 200\ntime = "10 min"\n'
    lab.write_text(free_of_limits(lab).read_text() + text)
    search = load_config(lab).search
    assert (search.trials, search.timeout) == (200, 600)
    assert [str(bound) for bound in search.constraints] == ["model_size <= 2048"]


def test_the_example_in_the_docs_means_what_it_says(lab: Path) -> None:
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(\[search.constraints\].*?)```", page, flags=re.S)
    lab.write_text(free_of_limits(lab).read_text() + "\n" + example, encoding="utf-8")
    search = load_config(lab).search
    assert (search.trials, search.timeout) == (200, 600)
    assert [str(bound) for bound in search.constraints] == [
        "model_size <= 2048", "average_bitwidth >= 3", "average_bitwidth <= 5", "accuracy >= 0.72"
    ]  # fmt: skip


def test_the_same_said_twice_is_no_contradiction(lab: Path) -> None:
    lab.write_text(lab.read_text() + '\n[search.constraints]\ntrials = "<= 20"\ntime = 20000\n')
    assert load_config(lab).search.trials == 20
    assert load_config(lab).search.timeout == 20000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("trials = 30", "search.constraints.trials: 30 contradicts search.strategy.setup.n_trials = 20"),
        (
            'time = "10 min"',
            "search.constraints.time: '10 min' contradicts search.strategy.setup.timeout = 20000",
        ),
    ],
)
def test_different_budgets_in_one_file_are_refused(
    line: str, said: str, lab: Path, error_of: Callable[..., str]
) -> None:
    message = error_of(lab.read_text() + f"\n[search.constraints]\n{line}\n")
    assert message == f"{said}; leave one of them out"


def test_the_command_line_goes_before_the_file_wherever_it_says_it(lab: Path) -> None:
    lab.write_text(free_of_limits(lab).read_text() + "\n[search.constraints]\ntrials = 30\ntime = 60\n")
    over = load_config(lab, {SETUP + "n_trials": 5, SETUP + "timeout": 1.5}).search
    assert (over.trials, over.timeout) == (5, 1.5)
    resolved = tables_of(load_config(lab))  # as a run folder keeps it
    again = load_config(resolved, {CONSTRAINTS + "trials": 99}).search
    assert (again.trials, again.timeout) == (99, 60)
    whole = load_config(resolved, {"search.constraints": {"trials": 98}}).search
    assert (whole.trials, whole.timeout) == (98, 60)


@pytest.mark.parametrize(
    ("key", "written", "said"),
    [
        ("trials", 0, "0 is no number of trials; write it as 200"),
        ("trials", 2.5, "2.5 is no number of trials"),
        ("trials", -3, "-3 is no number of trials"),
        ("trials", True, "True is no number of trials"),
        ("trials", ">= 3", "'>= 3' is no number of trials"),
        ("trials", "< 3", "'< 3' is no number of trials"),
        ("trials", "200 s", "'200 s' is no number of trials"),
        ("trials", "many", "'many' is no number of trials"),
        ("trials", float("nan"), "nan is no number of trials"),
        ("trials", [1, 2], "[1, 2] is no number of trials"),
        ("time", 0, "0 is no time above 0; write it as"),
        ("time", "-1 s", "'-1 s' is no time"),
        ("time", "10 parsec", "'10 parsec' is no time"),
        ("time", ">= 10 s", "'>= 10 s' is no time"),
        ("time", float("inf"), "inf is no time"),
        ("time", "1e999", "'1e999' is no time"),
    ],
)
def test_what_is_no_budget_is_refused(lab: Path, key: str, written: Any, said: str) -> None:
    tables = tables_of(load_config(free_of_limits(lab)))
    tables["search"]["constraints"] = {key: written}
    with pytest.raises(UserError) as caught:
        load_config(tables)
    assert str(caught.value).startswith(f"config: {CONSTRAINTS}{key}: {said}")


@pytest.mark.parametrize(
    ("key", "close"),
    [("trails", "trials"), ("tim", "time"), ("model_sise", "model_size"), ("acuracy", "accuracy")],
)
def test_a_misspelt_budget_or_metric_is_offered_the_right_one(lab: Path, key: str, close: str) -> None:
    with pytest.raises(UserError, match=f"{CONSTRAINTS}{key}: no metric.*did you mean {close}"):
        load_config(lab, {CONSTRAINTS + key: "<= 1"})
