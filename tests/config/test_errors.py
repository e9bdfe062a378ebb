"""Every wrong key or value is one line that names file and key, what was found and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from widthwise.config import example_text

Read = Callable[..., str]
Make = Callable[..., dict[str, Any]]
DEMO = example_text("jsc-tiny")

RULE = "search.search_space.seed.linear.config"
SETUP = "search.strategy.setup"
METRICS = "search.strategy.metrics"


# what is replaced in the demo's config, by what, the key in the message, all that the message must hold
WRONG = {
    "a misspelt field": (
        "data_in_width",
        "data_in_widht",
        f"{RULE}.data_in_widht",
        ["no such key", "did you mean data_in_width?"],
    ),
    "a misspelt table": (
        "[search.strategy.setup]",
        "[search.strategy.setpu]",
        "search.strategy.setpu",
        ["did you mean setup?"],
    ),
    "a misspelt top key": ("batch_size", "bacth_size", "bacth_size", ["did you mean batch_size?"]),
    "a key of another format": (
        "weight_frac_width",
        "weight_exponent_width",
        f"{RULE}.weight_exponent_width",
        ["no such key"],
    ),
    "a misspelt metric key": (
        "accuracy.scale",
        "accuracy.scael",
        f"{METRICS}.accuracy.scael",
        ["did you mean scale?"],
    ),
    "an unknown metric": (
        "accuracy.",
        "acuracy.",
        f"{METRICS}.acuracy",
        ["'acuracy'", "did you mean accuracy?"],
    ),
    "no direction": (
        'accuracy.direction = "maximize"',
        "",
        f"{METRICS}.accuracy.direction",
        ["is missing", "maximize, minimize"],
    ),
    "another direction": (
        '"maximize"',
        '"upwards"',
        f"{METRICS}.accuracy.direction",
        ["'upwards'", "maximize, minimize"],
    ),
    "a scale that is none": (
        "scale = 0.2",
        'scale = "0.2"',
        f"{METRICS}.average_bitwidth.scale",
        ["'0.2'", "no finite number"],
    ),
    "an infinite scale": (
        "scale = 0.2",
        "scale = inf",
        f"{METRICS}.average_bitwidth.scale",
        ["no finite number"],
    ),
    "an unknown sampler": (
        '"brute-force"',
        '"tpee"',
        f"{SETUP}.sampler",
        ["'tpee'", "did you mean tpe?", "random"],
    ),
    "an unknown strategy": ('"optuna"', '"rl"', "search.strategy.name", ["'rl'", "allowed:", "frontier"]),
    "two strategies": ('"optuna"', '"tpe"', f"{SETUP}.sampler", ["brute-force contradicts", '"tpe"']),
    "a format that is none": (
        '["integer"]',
        '["integr"]',
        f"{RULE}.name",
        ["'integr'", "did you mean integer?", "minifloat_ieee"],
    ),
    "a format that is no text": ('["integer"]', "[8]", f"{RULE}.name", ["no format named 8"]),
    "a change of width as format": ('["integer"]', '["output_only"]', f"{RULE}.name", ["graph/width"]),
    "no format": ('name = ["integer"]', "", f"{RULE}.name", ["is missing"]),
    "a width of zero": (
        "weight_width = [2, 4, 8]",
        "weight_width = [2, 0, 8]",
        f"{RULE}.weight_width",
        ["width = 0", "from 1 to 32"],
    ),
    "a negative width": (
        "weight_width = [2, 4, 8]",
        "weight_width = [-4]",
        f"{RULE}.weight_width",
        ["width = -4", "from 1 to 32"],
    ),
    "a width with a fraction": (
        "weight_width = [2, 4, 8]",
        "weight_width = [2.5]",
        f"{RULE}.weight_width",
        ["width = 2.5", "no whole number"],
    ),
    "a width as text": (
        "weight_width = [2, 4, 8]",
        'weight_width = ["8"]',
        f"{RULE}.weight_width",
        ["width = '8'"],
    ),
    "a width of true": (
        "weight_width = [2, 4, 8]",
        "weight_width = true",
        f"{RULE}.weight_width",
        ["width = True"],
    ),
    "a frac width with a fraction": (
        'weight_frac_width = ["NA"]',
        "weight_frac_width = [1.5]",
        f"{RULE}.weight_frac_width",
        ["frac_width = 1.5", "no whole number"],
    ),
    "a frac width as text": (
        'weight_frac_width = ["NA"]',
        'weight_frac_width = ["half"]',
        f"{RULE}.weight_frac_width",
        ["'half'", "auto"],
    ),
    "a width that is missing": (
        "weight_width = [2, 4, 8]",
        "",
        f"{RULE}.weight_width",
        ["is missing", "integer needs it"],
    ),
    "a width of NA": (
        "weight_width = [2, 4, 8]",
        'weight_width = ["NA"]',
        f"{RULE}.weight_width",
        ["integer needs width"],
    ),
    "no choice": ("weight_width = [2, 4, 8]", "weight_width = []", f"{RULE}.weight_width", ["empty list"]),
    "no format choice": ('name = ["integer"]', "name = []", f"{RULE}.name", ["empty list"]),
    "a choice given twice": (
        "weight_width = [2, 4, 8]",
        "weight_width = [2, 4, 2]",
        f"{RULE}.weight_width",
        ["2 is given twice"],
    ),
    "a choice that is a table": (
        "weight_width = [2, 4, 8]",
        "weight_width = [{}]",
        f"{RULE}.weight_width",
        ["no choice"],
    ),
    "choices outside of config": (
        f"[{RULE}]",
        "[search.search_space.seed.linear]",
        "search.search_space.seed.linear.name",
        ["did you mean search.search_space.seed.linear.config.name?"],
    ),
    "all in float": ('["integer"]', '["NA"]', "search.search_space.seed", ["keeps every layer in float"]),
    "an unknown space": (
        "graph/quantize/mixed_precision_ptq",
        "graph/quantise",
        "search.search_space.name",
        ["'graph/quantise'", "graph/width"],
    ),
    "another by": (
        'by = "type"',
        'by = "kind"',
        "search.search_space.setup.by",
        ["'kind'", "name, type, regex"],
    ),
    "a model that is none": (
        'model = "jsc-tiny"',
        'model = "jsc-tinny"',
        "model",
        ["'jsc-tinny'", "did you mean jsc-tiny?"],
    ),
    "a model as number": ('model = "jsc-tiny"', "model = 3", "model", ["3 is no text"]),
    "a model of no module": ('model = "jsc-tiny"', 'model = "a b:c"', "model", ["module:callable"]),
    "a data set that is none": (
        'dataset = "jsc"',
        'dataset = "jcs"',
        "dataset",
        ["'jcs'", "did you mean jsc?"],
    ),
    "a data file of another type": (
        'dataset = "jsc"',
        'dataset = "jets.h5"',
        "dataset",
        ["jets.h5", ".parquet"],
    ),
    "another task": ('task = "cls"', 'task = "poetry"', "task", ["'poetry'", "cls"]),
    "no batch": ("batch_size = 256", "batch_size = 0", "batch_size", ["0 is no whole number from 1"]),
    "a negative seed": ("seed = 0", "seed = -1", "seed", ["-1 is no whole number from 0"]),
    "no time": ("timeout = 20000", "timeout = 0", f"{SETUP}.timeout", ["0 is no finite number above 0"]),
    "negative time": (
        "timeout = 20000",
        "timeout = -5",
        f"{SETUP}.timeout",
        ["-5 is no finite number above 0"],
    ),
    "no trials": ("timeout = 20000", "n_trials = 0", f"{SETUP}.n_trials", ["0 is no whole number from 1"]),
    "half a trial": (
        "timeout = 20000",
        "n_trials = 1.5",
        f"{SETUP}.n_trials",
        ["1.5 is no whole number from 1"],
    ),
    "no jobs": ("n_jobs = 1", "n_jobs = 0", f"{SETUP}.n_jobs", ["0 is no number of processes", "-1 for"]),
    "a sum without direction": (
        "sum_scaled_metrics = false",
        "sum_scaled_metrics = true",
        f"{SETUP}.direction",
        ["is missing", "maximize or minimize"],
    ),
    "a flag that is none": (
        "sum_scaled_metrics = false",
        "sum_scaled_metrics = 0",
        f"{SETUP}.sum_scaled_metrics",
        ["0 is neither true nor false"],
    ),
    "a pickled study": ("n_jobs = 1", 'pkl_ckpt = "study.pkl"', f"{SETUP}.pkl_ckpt", ["pickle", "--resume"]),
    "a pickled network": (
        'task = "cls"',
        'load_name = "net.mz"\nload_type = "mz"',
        "load_type",
        ["pickle", "safetensors"],
    ),
    "another checkpoint": (
        'task = "cls"',
        'load_name = "net"\nload_type = "hf"',
        "load_type",
        ["'hf'", "pt, pl"],
    ),
    "judged on training data": (
        '"val_dataloader"',
        '"train_dataloader"',
        "search.strategy.sw_runner.basic_evaluation.data_loader",
        ["'train_dataloader'", "val_dataloader"],
    ),
    "no samples": (
        '"val_dataloader"',
        '"val_dataloader"\nnum_samples = 0',
        "search.strategy.sw_runner.basic_evaluation.num_samples",
        ["0 is no whole number"],
    ),
    "compared to nothing": (
        "compare_to = 32",
        "compare_to = 0",
        "search.strategy.hw_runner.average_bitwidth.compare_to",
        ["0 is no finite number above 0"],
    ),
    "an unknown option": (
        "[search.strategy.setup]",
        "[search.strategy.options]\nstart = 3\n[search.strategy.setup]",
        "search.strategy.options",
        ["start"],
    ),
    "an option of the strategy in its setup": (
        'sampler = "brute-force"',
        'sampler = "nsgaii"\npopulation_size = 5',
        "search.strategy.setup.population_size",
        ["an option of nsga2", "[search.strategy.options]"],
    ),
    "a table that is none": (
        "[search.strategy.hw_runner.average_bitwidth]\ncompare_to = 32",
        "[search.strategy.hw_runner]\naverage_bitwidth = 32",
        "search.strategy.hw_runner.average_bitwidth",
        ["32 is no table"],
    ),
    "splits that add up to more": (
        'task = "cls"',
        "data.splits = [0.6, 0.6, 0.2]",
        "data.splits",
        ["add up to 1.4"],
    ),
    "two splits": ('task = "cls"', "data.splits = [0.6, 0.4]", "data.splits", ["three shares"]),
    "nothing to judge on": ('task = "cls"', "data.splits = [1, 0, 0]", "data.splits", ["val"]),
    "an unknown data option": ('task = "cls"', "data.rows = 3", "data.rows", ["no such key", "splits"]),
}


def changed(text: str, old: str, new: str) -> str:
    assert old in text, f"{old} isn't in the config that the case changes"
    return text.replace(old, new)


@pytest.mark.parametrize("case", WRONG)
def test_error_names_key_and_what_is_allowed(case: str, error_of: Read) -> None:
    old, new, key, parts = WRONG[case]
    message = error_of(changed(DEMO, old, new))
    assert key is None or message.startswith(f"{key}: "), message
    assert all(part in message for part in parts), message
