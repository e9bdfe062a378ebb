"""What a config can say of training: all that the library can be told, checked, and read back as itself."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.config import load_config
from widthwise.config.write import tables_of, toml_of
from widthwise.core.errors import UserError
from widthwise.core.toml import parse_toml
from widthwise.spaces.settings import WidthSearch
from widthwise.training import SCHEDULES, Settings
from widthwise.training.halving import Halving


def tables(
    training: dict[str, Any], *, top: dict[str, Any] | None = None, weights: str = "inherit"
) -> dict[str, Any]:
    space = {
        "name": "graph/width",
        "setup": {"by": "all", "weights": weights},
        "seed": {"all": {"config": {"channel_multiplier": [1, 2]}}},
    }
    strategy = {"name": "grid", "metrics": {"accuracy": {"direction": "maximize"}}}
    search = {"search_space": space, "strategy": strategy, "training": training}
    return {**(top or {}), "search": search}


def read(given_tables: dict[str, Any]) -> WidthSearch:
    space = load_config(given_tables).search.space
    assert isinstance(space, WidthSearch)
    return space


EACH: dict[str, st.SearchStrategy[Any]] = {
    "epochs": st.integers(1, 10**6),
    "steps": st.integers(1, 10**6),
    "learning_rate": st.floats(1e-9, 1e9),
    "optimizer": st.sampled_from(["adam", "adamw", "sgd"]),
    "momentum": st.floats(0, 1, exclude_max=True),
    "weight_decay": st.floats(0, 10),
    "schedule": st.sampled_from(SCHEDULES),
    "label_smoothing": st.floats(0, 1, exclude_max=True),
    "patience": st.integers(1, 1000),
    "distil": st.floats(0, 1),
    "loss": st.sampled_from(["mse", "mae", "huber"]),
    "mixed_precision": st.booleans(),
    "class_weights": st.just("balanced") | st.lists(st.floats(1e-3, 1e3), min_size=2).map(tuple),
}
values = st.fixed_dictionaries({}, optional=EACH)
halvings = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "reduction": st.integers(2, 9),
        "minimum": st.integers(1, 9),
        "candidates": st.integers(2, 99),
    },
)


@given(training=values, halving=halvings)
def test_every_setting_arrives_and_reads_back(training: dict[str, Any], halving: dict[str, int] | None):
    config = load_config(tables({**training, "halving": halving}))
    space = config.search.space
    assert isinstance(space, WidthSearch)
    assert space.training == Settings(**training)
    assert space.halving == (None if halving is None else Halving(**halving))
    assert load_config(parse_toml(toml_of(config), label="again")) == config


def test_every_field_of_the_settings_has_a_key() -> None:
    written = tables_of(load_config(tables({})))["search"]["training"]
    unset = {name for name, value in asdict(Settings()).items() if value is None}
    assert set(written) | unset == {field.name for field in fields(Settings)} | {"repeats", "stacked"}
    assert set(EACH) == {field.name for field in fields(Settings)}, "the property above covers all of them"


def test_candidates_take_from_the_top_what_they_are_not_told() -> None:
    top = {"training_optimizer": "sgd", "momentum": 0.9, "schedule": "one-cycle", "max_epochs": 7}
    space = read(tables({"schedule": "linear"}, top=top))
    assert space.training == Settings(epochs=7, optimizer="sgd", momentum=0.9, schedule="linear")


WRONG = {
    "schedule": ({"schedule": "one-cycel"}, 'search.training.schedule: "one-cycel" is unknown'),
    "momentum": ({"momentum": 1}, "search.training.momentum: 1 is no number from 0 to below 1"),
    "distil": ({"distil": 1.5}, "search.training.distil: 1.5 is no share from 0 to 1"),
    "teacher": ({"distil": 0.5}, "search.training.distil: 0.5 needs a teacher"),
    "reduction": ({"halving": {"reduction": 1}}, "search.training.halving.reduction: 1 is no whole number"),
    "key": ({"halving": {"reductoin": 3}}, "halving.reductoin: no such key; did you mean reduction?"),
    "flag": ({"halving": True}, "search.training.halving: True is no table"),
}


@pytest.mark.parametrize(("training", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_is_out_of_range_is_named_with_its_place(training: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config(tables(training, weights="scratch"))
    assert says in str(caught.value).replace("'", '"')


def test_a_supernet_has_nothing_to_halve() -> None:
    with pytest.raises(UserError, match="trains all together"):
        load_config(tables({"halving": {}}, weights="supernet"))


def test_a_teacher_at_the_top_has_no_meaning_and_is_said_to() -> None:
    config = load_config(tables({}, top={"distil": 0.5}))
    assert config.ignored == ("distil",)
    assert config.training.distil == 0
