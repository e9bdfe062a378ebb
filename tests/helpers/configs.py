"""Configs in text: the lab's own, the least that is right, and the one line that a wrong one gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from widthwise.config import load_config
from widthwise.core.errors import UserError

# in the lab's schema with all that its files have, what has no meaning here included
LAB = """
model = "jsc-tiny"
dataset = "jsc"
task = "cls"
max_epochs = 5
batch_size = 512
learning_rate = 1e-2
accelerator = "cuda"
project = "jsc-tiny"
seed = 42
log_every_n_steps = 5
is_pretrained = false
load_type = "pl"

[passes.quantize]
by = "type"
[passes.quantize.linear.config]
name = "integer"
"data_in_width" = 8

[transform]
style = "graph"

[search.search_space]
name = "graph/quantize/mixed_precision_ptq"

[search.search_space.setup]
by = "name"

[search.search_space.seed.default.config]
name = ["NA"]

[search.search_space.seed.seq_blocks_2.config]
name = ["integer"]
data_in_width = [4, 8]
data_in_frac_width = ["NA"]
weight_width = [2, 4, 8]
bypass = [false]

[search.strategy]
name = "optuna"
eval_mode = true

[search.strategy.sw_runner.basic_evaluation]
data_loader = "val_dataloader"
num_samples = 512

[search.strategy.sw_runner.zero_cost]
proxy = "synflow"

[search.strategy.hw_runner.average_bitwidth]
compare_to = 16

[search.strategy.setup]
n_jobs = 1
n_trials = 20
timeout = 20000
sampler = "nsgaii"
model_parallel = false
runner_style = "torch"
sum_scaled_metrics = false
direction = "maximize"

[search.strategy.metrics]
accuracy.scale = 1.0
accuracy.direction = "maximize"
average_bitwidth.scale = 0.2
average_bitwidth.direction = "minimize"
average_bitwidth.lower_bound = 6
"""


# small searches of the jets network, by widths and by formats
WIDTHS: dict[str, Any] = {
    "model": "jsc-three-linear",
    "dataset": "jsc",
    "search": {
        "search_space": {
            "name": "graph/width",
            "setup": {"by": "name"},
            "seed": {
                "seq_blocks_2": {"config": {"channel_multiplier": [0.5, 1, 2]}},
                "seq_blocks_4": {"config": {"channel_multiplier": [1, 4]}},
            },
        },
        "strategy": {
            "name": "grid",
            "metrics": {"accuracy": {"direction": "maximize"}, "parameters": {"direction": "minimize"}},
        },
        "training": {"epochs": 3},
    },
}
WIDTH_RULE = {"name": ["integer"], "data_in_width": [4, 8], "weight_width": [2, 4, 8], "bias_width": [4]}
FORMATS: dict[str, Any] = {
    **WIDTHS,
    "search": {
        "search_space": {
            "name": "graph/quantize/mixed_precision_ptq",
            "setup": {"by": "type"},
            "seed": {"linear": {"config": WIDTH_RULE}},
        },
        "strategy": {
            "name": "brute-force",
            "metrics": {"accuracy": {"direction": "maximize"}, "model_size": {"direction": "minimize"}},
        },
    },
}


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A file as the lab's system has them."""
    file = tmp_path / "lab3.toml"
    file.write_text(LAB, encoding="utf-8")
    return file


@pytest.fixture
def error_of(tmp_path: Path) -> Callable[..., str]:
    """The one line that the text of a config gives rise to, behind the file's name."""

    def read(text: str, overrides: Mapping[str, Any] | None = None) -> str:
        file = tmp_path / "lab3.toml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(UserError) as caught:
            load_config(file, overrides)
        message = str(caught.value)
        assert message.isprintable(), "an error is one line"
        assert message.startswith(f"{file}: ")
        return message.removeprefix(f"{file}: ")

    return read


@pytest.fixture
def quantisation() -> Callable[..., dict[str, Any]]:
    """The least config with the given rules."""

    def config(seed: dict[str, Any], *, by: str = "type") -> dict[str, Any]:
        space = {"name": "graph/quantize/mixed_precision_ptq", "setup": {"by": by}, "seed": seed}
        metrics = {"accuracy": {"direction": "maximize"}}
        return {"search": {"search_space": space, "strategy": {"name": "tpe", "metrics": metrics}}}

    return config
