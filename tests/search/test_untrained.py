"""Whether a network has the random weights that it is made with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import widthwise as ww
from widthwise.search.untrained import is_untrained

NETS = """
import torch
from torch import nn

def random():
    return nn.Linear(16, 5)

def brings_its_own():
    made = random()
    nn.init.constant_(made.weight, 0.5), nn.init.zeros_(made.bias)
    return made
"""


@pytest.fixture
def nets(project: Path) -> str:
    (project / "nets_with_weights.py").write_text(NETS)
    return "nets_with_weights"


@pytest.mark.parametrize(
    ("model", "untrained"), [("{}:random", True), ("{}:brings_its_own", False), ("jsc-tiny", True)]
)
def test_random_weights_are_known_by_another_seed(nets: str, model: str, untrained: bool):
    name = model.format(nets)
    config = ww.load_config({**least(name), "seed": 3})
    network = ww.load_model(name, seed=3)
    assert is_untrained(config, network) == untrained
    torch.nn.init.constant_(list(network.parameters())[-1], 7.0)
    assert not is_untrained(config, network)


def least(model: str) -> dict[str, object]:
    """The least that a config needs."""
    strategy = {"name": "random", "metrics": {"accuracy": {"direction": "maximize"}}}
    seed = {"default": {"config": {"name": ["integer"], "weight_width": [4]}}}
    space = {"name": "graph/quantize/mixed_precision_ptq", "setup": {"by": "name"}, "seed": seed}
    return {"model": model, "dataset": "jsc", "search": {"search_space": space, "strategy": strategy}}
