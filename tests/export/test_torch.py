"""The form "torch": what is read back computes what the network computes, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from helpers.judged import every_layer, made
from helpers.networks import tagged
from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_weights
from widthwise.evaluators.engine import Evaluator
from widthwise.export.exporter import EXPORTERS, exporter
from widthwise.export.torch import TorchExporter, load
from widthwise.metrics.quality.outcomes import first_output
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.realised import Realised

FORMATS = {
    "integer": {
        "name": ["integer"],
        "data_in_width": [5],
        "weight_width": [4],
        "weight_frac_width": ["auto"],
    },
    "scaled": {
        "name": ["scaled_integer"],
        "data_in_width": [6],
        "weight_width": [4],
        "weight_per": ["channel"],
    },
    "block": {"name": ["mxint8"], "weight_block_size": [4], "data_in_block_size": [2]},
    "float": {"name": ["fp8_e4m3"], "weight_saturating": [True], "data_in_saturating": [True]},
    "ternary": {"name": ["ternary"], "weight_scaling_factor": [True]},
}


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("name", tagged("classes"))
def test_what_was_written_computes_what_the_network_computes(name: str, form: str, tmp_path: Path) -> None:
    graph, data = made(name)
    space = every_layer(graph, FORMATS[form])
    evaluator = Evaluator(graph, space, data, metrics=["accuracy"])
    candidate = np.zeros(len(space.decisions), dtype=np.int64)
    realised = evaluator.realise(candidate).complete(made(name)[0].model)
    exact = TorchExporter()
    assert any(realised.schemes.values())
    assert exact.refusals(realised, realised.graph()) == []
    exported = exact.write(realised, realised.graph(), tmp_path, realised.example())
    assert all(path.is_file() for path in exported.files)
    loaded = load(tmp_path, model=made(name)[0].model)
    with torch.no_grad():
        wanted = first_output(evaluator.network(candidate).model(*(x.clone() for x in data.inputs)))
        for run in (exported.run, loaded.model):
            found = first_output(run(*(x.clone() for x in data.inputs)))
            assert torch.equal(found, wanted)


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
