"""The form "torch": its folder is read back whole, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_weights
from widthwise.export.exporter import exporter
from widthwise.export.torch import TorchExporter, load
from widthwise.network.forms import EXPORTERS
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.realised import Realised, inputs_of
from widthwise.network.widths.resize import resize


def written(network: nn.Module, folder: Path, name: str | None) -> None:
    """The network exported, under this name."""
    marks = {"weights": hash_weights(Graph(network).model)}
    realised = Realised((), {}, {}, marks=marks, model=name).complete(network)
    TorchExporter().write(realised, realised.graph(), folder, ())


def test_a_named_network_is_made_by_its_name(tmp_path: Path) -> None:
    network = load_model("jsc-tiny", seed=3)
    written(network, tmp_path, "jsc-tiny")
    again = load(tmp_path).model
    assert hash_weights(again) == hash_weights(Graph(network).model)


def test_a_name_of_another_network_is_not_written(tmp_path: Path) -> None:
    written(nn.Sequential(nn.Linear(3, 2)), tmp_path, "jsc-tiny")
    assert json.loads((tmp_path / "network.json").read_text())["model"] is None
    with pytest.raises(UserError, match="was given from Python, so it has no name"):
        load(tmp_path)


class Own(nn.Module):
    """Convolutions with a batch norm and a residual sum, in code of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [n, 3] of images [n, 1, h, w]."""
        x = torch.relu(self.norm(self.first(x)))
        x = x + torch.relu(self.second(x))
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


class Deciding(Own):
    """Takes another way where values say so, which torch.fx can't trace."""

    def forward(self, x: Tensor) -> Tensor:
        """As Own, of the positive values where any is large."""
        return super().forward(x.relu() if x.max() > 2 else x)


def searched(network: nn.Module, folder: Path, **setup: object) -> ww.Study:
    """A search of weight formats of a network that is given from Python."""
    images = torch.rand(60, 1, 6, 6, generator=torch.Generator().manual_seed(0)).numpy()
    np.savez("images.npz", X=images, y=np.arange(60) % 3)
    rule = {"config": {"name": ["integer"], "weight_width": [3, 5]}}
    space = {"name": "graph/quantize/mixed_precision_ptq", "setup": {"by": "type", **setup}}
    metrics = {"loss": {"direction": "minimize"}, "model_size": {"direction": "minimize"}}
    strategy = {"name": "brute-force", "metrics": metrics}
    config = {"search": {"search_space": {**space, "seed": {"conv2d": rule}}, "strategy": strategy}}
    return ww.search(network, ww.load_data("images.npz"), config, out=folder, page=False)


@pytest.mark.parametrize("setup", [{}, {"fold_batchnorm": True}])
def test_a_network_that_was_given_in_memory_is_read_back_without_it(
    setup: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = searched(Own(), tmp_path / "run", **setup)
    done = ww.export(study, 1, "torch", "out")
    assert {path.name for path in done.exported.files} >= {"calls.json", "weights.safetensors"}
    x = torch.randn(20, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    again = load("out")
    assert again.schemes == study.network(1).schemes
    assert torch.equal(again.model(x), study.network(1).model(x))


def test_resized_networks_are_read_back_without_the_one_that_was_given(tmp_path: Path) -> None:
    network = Own().eval()
    x = torch.randn(20, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    captured = Graph(network, {"x": x})
    space = ww.WidthSpace(captured, multipliers=[1, 2])
    sizes = space.sizes([1] * len(space.decisions))
    assert sizes
    wide = resize(captured, sizes, weights="scratch", example=(x,))
    realised = Realised(
        (0,),
        sizes,
        {},
        weights=wide.model.state_dict(),
        marks={"weights": hash_weights(wide.model)},
        inputs=inputs_of(["x"], [x]),
        network=network,
    )
    TorchExporter().write(realised, realised.graph(), tmp_path, (x,))
    assert torch.equal(load(tmp_path).model(x), wide.model.eval()(x))


def test_what_has_no_calls_is_said_to_need_its_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    network = Deciding()
    study = searched(network, tmp_path / "run")
    done = ww.export(study, 1, "torch", "out", model=network)
    assert any("needs the network, load(path, model=network)" in note for note in done.exported.notes)
    with pytest.raises(UserError, match="give it again"):
        load("out")
    x = torch.randn(20, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    assert torch.equal(load("out", model=network).model(x), study.network(1).model(x))


def test_broken_calls_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ww.export(searched(Own(), tmp_path / "run"), 1, "torch", "out")
    for content in ("{", "[]", '{"version": 1, "layers": {"a": {"kind": "eval", "arguments": {}}}}'):
        (tmp_path / "out" / "calls.json").write_text(content)
        with pytest.raises(UserError, match=r"calls\.json") as caught:
            load("out")
        assert "\n" not in str(caught.value)


def test_tampered_weights_are_refused(tmp_path: Path) -> None:
    written(load_model("jsc-tiny"), tmp_path, "jsc-tiny")
    file = tmp_path / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(UserError, match="the weights are not those that were judged"):
        load(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 99}', '{"version": 1}', "{"])
def test_a_broken_folder_is_one_line(content: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no network\.json"):
        load(tmp_path)
    written(load_model("jsc-tiny"), tmp_path, "jsc-tiny")
    (tmp_path / "network.json").write_text(content)
    with pytest.raises(UserError, match=r"network\.json") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_forms_are_found_by_name() -> None:
    assert exporter("Torch").name == "torch"
    assert not EXPORTERS.is_code("torch")
    with pytest.raises(UserError, match="no export form named 'onx'"):
        exporter("onx")
