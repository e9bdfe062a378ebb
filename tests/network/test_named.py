"""Networks by name and the user's own, their checkpoints, and whether they fit their data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from widthwise.core.errors import UserError
from widthwise.data.modules import load_data
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.network.named import MODELS, load_model, model_source


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# ---- networks


# those for the user's own CIFAR-10 are tested with it
WITH_DATA = [name for name, entry in MODELS.own.items() if entry.about != "cifar10"]


@pytest.mark.parametrize("name", WITH_DATA)
def test_built_in_network_fits_its_data_and_can_be_traced(name: str):
    model = load_model(name)
    data = load_data(MODELS.own[name].about)
    check_data_fits_model(model, data)
    traced = torch.fx.symbolic_trace(model)
    x, _ = next(iter(data.val_dataloader()))
    assert torch.equal(traced.eval()(x), model.eval()(x))
    assert not any(node.op == "call_function" for node in traced.graph.nodes)


WIDTHS = {
    "toy": [(4, 16), (16, 16), (16, 2)],
    "jsc-toy": [(16, 8), (8, 8), (8, 5)],
    "jsc-tiny": [(16, 5)],
    "jsc-s": [(16, 64), (64, 32), (32, 32), (32, 32), (32, 5)],
    "jsc-three-linear": [(16, 16), (16, 16), (16, 5)],
    "jsc-mlp": [(16, 64), (64, 32), (32, 32), (32, 5)],
    "digits-cnn": [(64, 10)],
    "digits-mlp": [(64, 32), (32, 32), (32, 10)],
}


@pytest.mark.parametrize(("name", "widths"), WIDTHS.items())
def test_built_in_network_has_the_published_widths(name: str, widths: list):
    linears = [module for module in load_model(name).modules() if isinstance(module, nn.Linear)]
    assert [(linear.in_features, linear.out_features) for linear in linears] == widths


def test_three_linear_layers_are_the_blocks_of_the_lab():
    blocks = load_model("jsc_three_linear").seq_blocks
    assert isinstance(blocks, nn.Sequential)
    kinds = [type(block).__name__ for block in blocks]
    assert kinds == ["BatchNorm1d", "ReLU", "Linear", "ReLU", "Linear", "ReLU", "Linear", "ReLU"]
    names = [node.name for node in torch.fx.symbolic_trace(load_model("jsc_three_linear")).graph.nodes]
    assert names[1:-1] == [f"seq_blocks_{index}" for index in range(8)]


def test_jsc_mlp_has_the_accuracy_published_with_its_weights(shared_data: Path):
    model = load_model("jsc-mlp", checkpoint=shared_data / "jsc_mlp.npz").eval()
    data = load_data("jsc", standardise="reference", splits=(0, 1, 0))
    with torch.no_grad():
        correct = [(model(x).argmax(dim=1) == y) for x, y in data.val_dataloader()]
    assert round(torch.cat(correct).float().mean().item(), 4) == 0.7598


def test_digits_mlp_takes_images_and_vectors_alike():
    model = load_model("digits-mlp").eval()
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(model(x), model(x.flatten(1)))


def test_seed_decides_the_weights_and_the_random_state_stays():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (state(load_model("jsc-s", seed=seed)) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_own_network_by_name_or_as_it_is(project: Path):
    (project / "own_net.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Linear(3, 2)\nready = nn.Linear(5, 2)\n"
    )
    assert load_model("own_net:build").in_features == 3
    assert same(state(load_model("own_net:build", seed=1)), state(load_model("own_net:build", seed=1)))
    ready = load_model("own_net:ready")
    assert ready.in_features == 5
    assert load_model(ready) is ready


def test_a_module_without_objects_says_so(project: Path):
    (project / "own_empty.py").write_text("")
    with pytest.raises(UserError, match=r"no object named 'build'; own_empty has none$"):
        load_model("own_empty:build")


BAD_MODELS = {
    "unknown": ("jsc-tinny", "no model named 'jsc-tinny'; did you mean jsc-tiny?"),
    "no module": ("no_such_module:Net", "model no_such_module:Net: no module named no_such_module"),
    "no network": (
        "json:JSONEncoder",
        "model json:JSONEncoder: returned a JSONEncoder; return a torch.nn.Module",
    ),
    "needs arguments": ("torch.nn:Linear", "calling it raised TypeError"),
    "no callable": ("sys:path", "is a list; name something that can be called"),
}


@pytest.mark.parametrize(("name", "says"), BAD_MODELS.values(), ids=BAD_MODELS.keys())
def test_bad_network_is_refused(name: str, says: str):
    with pytest.raises(UserError) as caught:
        load_model(name)
    assert says in str(caught.value)


def test_sources_are_checked_by_name_alone():
    assert model_source("JSC_Tiny") == "jsc-tiny"
    assert model_source("own:Net") == "own:Net"


# ---- network and data


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


MISFITS = {
    "features": ("jsc-tiny", "toy_tiny", "samples of shape [4] don't fit the network: its first layer"),
    "named layer": ("jsc-tiny", "digits", "(seq_blocks.0, BatchNorm1d) takes 16 features"),
    "channels": (lambda: nn.Conv2d(3, 4, 3), "digits", "(the network itself, Conv2d) takes 3 channels"),
    "inside": (
        lambda: nn.Sequential(nn.Linear(4, 8), nn.Linear(9, 2)),
        "toy_tiny",
        "it raised RuntimeError: mat1",
    ),
    "too few outputs": (lambda: nn.Linear(16, 4), "jsc", "has 5 classes but the network only 4 outputs"),
    "no scores": (lambda: nn.Flatten(0), "jsc", "the network gives [3280] for 205 samples of shape [16]"),
    "two that fit": (Pair, "jsc", "the network returns 0 [8, 16], 1 [8, 16] for targets of shape [8]"),
}


@pytest.mark.parametrize(("network", "data", "says"), MISFITS.values(), ids=MISFITS.keys())
def test_data_that_does_not_fit_is_refused_in_one_line(network, data: str, says: str):
    model = load_model(network if isinstance(network, str) else network())
    with pytest.raises(UserError) as caught:
        check_data_fits_model(model, load_data(data))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


class Module:
    """A data module whose validation loader is whatever a function gives."""

    def __init__(self, loader: Callable[[], Any]) -> None:
        self.train_dataloader = self.val_dataloader = self.test_dataloader = loader


def failing() -> list[Any]:
    raise OSError("no such disk")


X, Y = torch.zeros(3, 16), torch.tensor([0, 1, 2])
BAD_LOADERS = {
    "empty": (list, "Module: its val_dataloader has no batches"),
    "raises": (failing, "Module: its val_dataloader raised OSError: no such disk"),
    "named": (
        lambda: [{"x": X, "y": Y}],
        "its batches hold y, which the network does not take, but no targets",
    ),
    "three": (lambda: [(X, X, Y)], "its batches hold 2 inputs before the targets, the network takes x"),
    "texts": (lambda: [(["a", "b", "c"], Y)], "its batches are no tensors: (str, str, str)"),
    "real labels": (lambda: [(X, Y.float())], "no task is found for targets float32 [n] and outputs [n, 5]"),
    "one-hot labels": (
        lambda: [(X, torch.eye(3, dtype=torch.int64))],
        "no task is found for targets int64 [n, 3] and outputs [n, 5]",
    ),
    "too few labels": (lambda: [(X, Y[:2])], "its labels are int64 of shape [2] for x of shape [3, 16]"),
}


@pytest.mark.parametrize(("loader", "says"), BAD_LOADERS.values(), ids=BAD_LOADERS.keys())
def test_a_data_module_with_bad_batches_is_refused_in_one_line(loader: Callable[[], Any], says: str):
    with pytest.raises(UserError) as caught:
        check_data_fits_model(load_model("jsc-tiny"), Module(loader))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_checking_the_fit_leaves_mode_and_statistics():
    model = load_model("jsc-toy").train()
    before = state(model)
    check_data_fits_model(model, load_data("jsc"))
    assert model.training
    assert same(state(model), before)
