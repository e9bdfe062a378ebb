"""What is wrong with a search space or a bound is named with key and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from widthwise.config import example_text, load_config
from widthwise.core.errors import UserError

Read = Callable[..., str]
Make = Callable[..., dict[str, Any]]
DEMO = example_text("jsc-tiny")

LIMITS = "search.constraints"

WIDTHS = """
[search.search_space]
name = "graph/width"
[search.search_space.seed.seq_blocks_2.config]
channel_multiplier = [1, 2]
[search.strategy]
name = "grid"
[search.strategy.metrics]
accuracy.direction = "maximize"
"""

BOUNDS = {
    "an unknown metric": ('modelsize = "<= 2"', ["'modelsize'", "did you mean model_size?"]),
    "no relation": ('model_size = "2 KiB"', ["can't read '2 KiB'", "<= 2 KiB"]),
    "no text": ("model_size = 2048", ["can't read 2048"]),
    "a unit of another metric": ('accuracy = ">= 1 KiB"', ["measured in share, not in bytes"]),
    "a unit that is none": ('model_size = "<= 2 XB"', ["no unit 'XB'", "KiB"]),
    "no number": ('model_size = "<= two"', ["can't read '<= two'"]),
    "no finite number": ('model_size = "<= 1e999"', ["no finite number"]),
    "bounds that exclude each other": (
        'accuracy = [">= 0.8", "<= 0.7"]',
        ["accuracy >= 0.8 and accuracy <= 0.7 exclude one another"],
    ),
}


WRONG_WIDTHS = {
    "a multiplier of zero": ("[1, 2]", "[0, 1]", ["0 is no number above 0"]),
    "a negative multiplier": ("[1, 2]", "[-1]", ["-1 is no number above 0"]),
    "a multiplier as text": ("[1, 2]", '["2"]', ["'2' is no number above 0"]),
    "no choice": ("[1, 2]", "[]", ["empty list"]),
    "channels and multiplier": ("[1, 2]", "[1, 2]\nchannels = [8]", ["contradicts channel_multiplier"]),
    "two multipliers": ("[1, 2]", "[1]\nchannel_multiplier_input = [2]", ["contradicts channel_multiplier"]),
    "channels below one": ("channel_multiplier = [1, 2]", "channels = [0]", ["0 is no whole number from 1"]),
    "half a channel": ("channel_multiplier = [1, 2]", "channels = [8.5]", ["8.5 is no whole number"]),
    "nothing to multiply": ("channel_multiplier = [1, 2]", 'name = ["both"]', ["is missing"]),
    "another name": ("channel_multiplier = [1, 2]", 'name = ["outputs"]', ["'outputs'", "output_only"]),
    "a misspelt multiplier": (
        "channel_multiplier =",
        "chanel_multiplier =",
        ["did you mean channel_multiplier?"],
    ),
    "nothing to search": ("channel_multiplier = [1, 2]", 'name = ["NA"]', ["changes no width"]),
    "a maximum below the minimum": (
        "[search.strategy]",
        "[search.search_space.setup]\nminimum = 8\nmaximum = 4\n[search.strategy]",
        ["maximum: 4 is below minimum = 8"],
    ),
    "rounding to nothing": (
        "[search.strategy]",
        "[search.search_space.setup]\nround_to = 0\n[search.strategy]",
        ["round_to: 0 is no whole number"],
    ),
    "weights from nowhere": (
        "[search.strategy]",
        '[search.search_space.setup]\nweights = "new"\n[search.strategy]',
        ["weights: 'new'", "scratch, inherit, supernet"],
    ),
    "rules beside all": (
        "[search.strategy]",
        '[search.search_space.setup]\nby = "all"\n[search.strategy]',
        ["takes one rule", "seq_blocks_2"],
    ),
    "no training": (
        "[search.strategy]",
        "[search.training]\nepochs = 0\n[search.strategy]",
        ["search.training.epochs: 0 is no whole number"],
    ),
    "an unknown training key": (
        "[search.strategy]",
        "[search.training]\nepoch = 3\n[search.strategy]",
        ["search.training.epoch", "did you mean epochs?"],
    ),
    "smoothing all away": (
        "[search.strategy]",
        "[search.training]\nlabel_smoothing = 1\n[search.strategy]",
        ["label_smoothing", "below 1"],
    ),
}


def changed(text: str, old: str, new: str) -> str:
    assert old in text, f"{old} isn't in the config that the case changes"
    return text.replace(old, new)


@pytest.mark.parametrize("case", BOUNDS)
def test_constraint_error_says_how_to_write_it(case: str, error_of: Read) -> None:
    line, parts = BOUNDS[case]
    message = error_of(f"{DEMO}\n[{LIMITS}]\n{line}\n")
    assert message.startswith(f"{LIMITS}.{line.split(' ')[0]}: "), message
    assert all(part in message for part in parts), message


@pytest.mark.parametrize("case", WRONG_WIDTHS)
def test_width_error_names_key_and_what_is_allowed(case: str, error_of: Read) -> None:
    old, new, parts = WRONG_WIDTHS[case]
    message = error_of(changed(WIDTHS, old, new))
    assert message.startswith("search."), message
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        (
            {"name": ["minifloat_ieee"], "weight_width": [8, 4], "weight_exponent_width": [4]},
            "weight_exponent_width",
        ),
        ({"name": ["block_fp"], "weight_width": [8], "weight_block_size": [0]}, "weight_block_size"),
        ({"name": ["ternary"], "bias_width": [3]}, "bias_width"),
        ({"name": ["mxint8"], "data_in_width": [4]}, "data_in_width"),
        ({"name": ["integer"], "data_in_width": [8], "data_in_is_signed": ["yes"]}, "data_in_is_signed"),
        (
            {"name": ["integer"], "data_in_width": [8], "weight_name": ["log"], "weight_width": [40]},
            "weight_width",
        ),
    ],
)
def test_every_combination_of_parameters_must_make_a_format(
    fields: dict[str, Any], key: str, quantisation: Make
) -> None:
    with pytest.raises(UserError, match=rf"config: search\.search_space\.seed\.conv2d\.config\.{key}: "):
        load_config(quantisation({"conv2d": {"config": fields}}))


def test_pattern_that_is_none_is_named(quantisation: Make) -> None:
    tables = quantisation({"layers[": {"config": {"name": "integer", "weight_width": 4}}}, by="regex")
    with pytest.raises(UserError, match=r"'layers\[' is no regular expression"):
        load_config(tables)


def test_rule_given_twice_is_named(quantisation: Make) -> None:
    rule = {"config": {"name": "integer", "weight_width": 4}}
    with pytest.raises(UserError, match=r"seq\.2 is given twice"):
        load_config(quantisation({"seq.2": rule, "seq": {"2": rule}}))


@pytest.mark.parametrize("missing", ["search_space", "strategy"])
def test_missing_part_of_search_is_named(missing: str, quantisation: Make) -> None:
    tables = quantisation({"linear": {"config": {"name": "integer", "weight_width": 4}}})
    del tables["search"][missing]
    with pytest.raises(UserError, match=rf"config: search\.{missing}\.name: is missing"):
        load_config(tables)


def test_search_of_a_config_without_one_is_an_error() -> None:
    config = load_config({"model": "toy"})
    with pytest.raises(UserError, match="search: is missing"):
        _ = config.search
