"""The scaler goes along with an export: its numbers always, as a first layer where that is asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import widthwise as ww
from helpers.configs import FORMATS
from widthwise.core.errors import UserError
from widthwise.data.own import read_samples
from widthwise.data.served import DataModule
from widthwise.export.exporter import Exported
from widthwise.export.scaler import Standardise, scaler_of
from widthwise.network.graph import Graph
from widthwise.network.realised import Realised

WIDTHS = {  # a network in float, as searches of widths find it
    "model": "jsc-three-linear",
    "dataset": "jsc",
    "max_epochs": 1,
    "search": {
        "search_space": {
            "name": "graph/width",
            "setup": {"by": "name"},
            "seed": {"seq_blocks_2": {"config": {"channel_multiplier": [1, 2]}}},
        },
        "training": {"epochs": 1},
        "strategy": {
            "name": "brute-force",
            "metrics": {"accuracy": {"direction": "maximize"}},
            "setup": {"n_trials": 1},
        },
    },
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ww.Study:
    """A finished search of formats on the jets, which are standardised."""
    return ww.search(None, None, FORMATS, out=tmp_path_factory.mktemp("runs") / "run", page=False)


def jets() -> tuple[DataModule, torch.Tensor]:
    """The data of that search, and its validation samples as they were measured."""
    data = ww.load_data("jsc")
    assert isinstance(data, DataModule)
    raw = ww.load_data("jsc", standardise=False)
    assert isinstance(raw, DataModule)
    return data, raw.parts["val"][0]


def written(folder: Path) -> dict:
    return json.loads((folder / "export.json").read_text())


def test_its_numbers_standardise_samples_as_the_data_was(study: ww.Study, tmp_path: Path) -> None:
    ww.export(study, "knee", "torch", tmp_path / "out")
    scaler = written(tmp_path / "out")["scaler"]
    assert scaler["first_layer"] is False
    data, raw = jets()
    mean, scale = (np.array(scaler[key], dtype="f4") for key in ("mean", "scale"))
    assert np.array_equal((raw.numpy() - mean) / scale, data.parts["val"][0].numpy())
    assert scaler["features"] == list(data.feature_names)


def test_as_a_first_layer_in_torch_it_takes_samples_as_they_are(study: ww.Study, tmp_path: Path) -> None:
    plain = ww.export(study, "knee", "torch", tmp_path / "plain")
    first = ww.export(study, "knee", "torch", tmp_path / "first", with_scaler=True)
    data, raw = jets()
    wanted = ww.load(tmp_path / "plain").model(data.parts["val"][0])
    found = ww.load(tmp_path / "first").model
    assert torch.equal(found(raw), wanted)
    assert torch.equal(found(x=raw), wanted)
    assert (first.check.equal, first.check.samples) == (plain.check.equal, plain.check.samples) == (205, 205)
    assert written(tmp_path / "first")["scaler"]["first_layer"] is True
    assert "scaler.safetensors" in written(tmp_path / "first")["files"]


def test_as_first_nodes_in_qonnx_it_is_exact(study: ww.Study, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    done = ww.export(study, "knee", "qonnx", tmp_path / "out", with_scaler=True)
    assert done.check.equal == done.check.samples == 205
    graph = onnx.load(str(tmp_path / "out" / "network.onnx")).graph
    (centring,) = (node for node in graph.node if graph.input[0].name in node.input)
    (scaling,) = (node for node in graph.node if centring.output[0] in node.input)
    assert (centring.op_type, scaling.op_type) == ("Sub", "Div")
    data, raw = jets()
    assert done.exported.run is not None
    wanted = study.network(done.trial).model(data.parts["val"][0][:20])
    assert torch.equal(done.exported.run(raw[:20]), wanted)


def test_as_first_nodes_in_onnx_the_runtime_takes_samples_as_they_are(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    found = ww.search(None, None, WIDTHS, out=tmp_path / "run", page=False)
    done = ww.export(found, 0, "onnx", tmp_path / "out", with_scaler=True)
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "network.onnx"))
    data, raw = jets()
    (outputs,) = session.run(None, {session.get_inputs()[0].name: raw.numpy()})
    wanted = found.network(0).model(data.parts["val"][0]).detach().numpy()
    np.testing.assert_allclose(outputs, wanted, atol=1e-4 * np.abs(wanted).max())
    assert done.check.passes(exact=False)


@dataclass(frozen=True)
class Form:
    """One that writes a line, and has no way to write a scaler."""

    name: str = "mine"
    extra: str = ""
    exact: bool = True

    def refusals(self, realised: Realised, graph: Graph) -> list[str]:
        return []

    def write(self, realised: Realised, graph: Graph, folder: Path, example: tuple) -> Exported:
        (folder / "net.txt").write_text("a network")
        return Exported((folder / "net.txt",), graph.model)


def test_a_form_without_it_is_refused_in_one_line(study: ww.Study, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"with the scaler: mine has no form of it as a layer; its numbers"):
        ww.export(study, "knee", Form(), tmp_path / "out", with_scaler=True)
    assert not (tmp_path / "out").exists()
    ww.export(study, "knee", Form(), tmp_path / "out")
    assert written(tmp_path / "out")["scaler"]["mean"]


def test_where_nothing_was_standardised_there_is_none(tmp_path: Path) -> None:
    plain = {**FORMATS, "data": {"standardise": False}}
    found = ww.search(None, None, plain, out=tmp_path / "run", page=False)
    ww.export(found, "knee", "torch", tmp_path / "out")
    assert written(tmp_path / "out")["scaler"] is None
    with pytest.raises(UserError, match="samples were taken as they are, so there is none; leave it out"):
        ww.export(found, "knee", "torch", tmp_path / "first", with_scaler=True)


def test_data_that_is_gone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    samples = read_samples(Path(ww.__file__).parent / "data" / "jsc_1024.npz")
    assert samples.targets is not None
    frame = pd.DataFrame(np.asarray(samples.x), columns=samples.feature_names)
    frame.assign(label=samples.targets.values).to_csv("jets.csv", index=False)
    found = ww.search(None, None, {**FORMATS, "dataset": "jets.csv"}, out="run", page=False)
    Path("jets.csv").unlink()
    ww.export(found, "knee", "torch", "out")
    assert written(Path("out"))["scaler"]["unknown"].startswith("the data can't be had: an example (jets.csv")
    with pytest.raises(UserError, match="the data that it is of can't be had"):
        ww.export(found, "knee", "torch", "first", with_scaler=True)


def test_the_scaler_has_the_shape_in_which_samples_are_served() -> None:
    flat = ww.load_data("digits", standardise=True, flatten=True)
    assert isinstance(flat, DataModule)
    scaler = scaler_of(flat)
    assert scaler is not None
    raw = ww.load_data("digits", standardise=False, flatten=True)
    assert isinstance(raw, DataModule)
    assert torch.equal(Standardise.of(scaler)(raw.parts["test"][0]), flat.parts["test"][0])
    assert scaler_of(None) is None
