"""What --set and its like give takes the place of what the file says, and is named where it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from widthwise.config import example_text, load_config
from widthwise.core.errors import UserError
from widthwise.core.toml import parse_toml

Make = Callable[..., dict[str, Any]]


def test_override_makes_the_demo_search_by_tpe() -> None:
    overrides = {"search.strategy.setup.sampler": "tpe", "search.strategy.setup.n_trials": "20"}
    search = load_config(parse_toml(example_text("jsc-tiny"), label="demo"), overrides).search
    assert (search.strategy.name, search.trials) == ("tpe", 20)


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("seed", "7", lambda c: c.seed == 7),
        ("seed", 7, lambda c: c.seed == 7),
        ("seed", None, lambda c: c.seed == 42),
        ("seed", np.int64(7), lambda c: c.seed == 7),
        ("project", "2024", lambda c: c.project == "2024"),
        ("project", '"2024"', lambda c: c.project == "2024"),
        ("load_name", "1e5", lambda c: c.load_name == "1e5"),
        ("search.strategy.setup.timeout", "1.5", lambda c: c.search.timeout == 1.5),
        ("search.strategy.metrics.f1.direction", "maximize", lambda c: len(c.search.objectives) == 3),
        ('search.strategy.metrics."f1[t]".direction', "maximize", lambda c: len(c.search.objectives) == 3),
        (
            "search.search_space.seed.seq_blocks_2.config.weight_width",
            "[3, 5]",
            lambda c: dict(c.search.space.rules[0].fields)["weight_width"] == (3, 5),
        ),
        ("search.constraints.accuracy", ">= 70 %", lambda c: c.search.constraints[0].bound == 0.7),
    ],
)
def test_override_takes_the_place_of_what_the_file_says(
    key: str, value: object, read: Callable[[Any], bool], lab: Path
) -> None:
    assert read(load_config(lab, {key: value}))


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        (
            "search.strategy.setup.n_trails",
            5,
            r"--set search.strategy.setup.n_trails: no such key; .*n_trials\?",
        ),
        ("unheard_of", 1, "--set unheard_of: no such key"),
        ("search.strategy.setup.n_trials", 0, "--set search.strategy.setup.n_trials: 0 is no whole number"),
        ("seed.more", 1, "--set seed.more: seed is 42 and no table"),
        ("seed..more", 1, "is no dotted key"),
        ("", 1, "is no dotted key"),
        ("seed", object(), "--set seed: is a object"),
        ("a." * 30 + "a", 1, "nested too deeply"),
    ],
)
def test_wrong_override_is_named_as_one(key: str, value: object, found: str, lab: Path) -> None:
    with pytest.raises(UserError, match=found):
        load_config(lab, {key: value})


def test_overrides_leave_the_mapping_as_it_was(quantisation: Make) -> None:
    tables = quantisation({"linear": {"config": {"name": ["integer"], "weight_width": [4]}}})
    before = repr(tables)
    load_config(tables, {"search.search_space.seed.linear.config.weight_width": [8]})
    assert repr(tables) == before
