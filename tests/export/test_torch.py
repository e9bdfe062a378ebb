"""The form "torch": its folder is read back whole, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_weights
from widthwise.export.exporter import exporter
from widthwise.export.torch import TorchExporter, load
from widthwise.network.forms import EXPORTERS
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.realised import Realised


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
