"""The tables of the package say what the network gives, and are whole."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import widthwise as ww
from widthwise.evaluators.tabled.reading import FOLDER, TABLES
from widthwise.network.passes.fold import fold_batchnorm_transform_pass

SIZES = {"jets": 2**4 * 3**8, "digits-cnn": 5**6}
MOST_BYTES = 1_000_000
JETS = Path(ww.__file__).parent / "data" / "jsc_1024.npz"


class Whole:
    """All jets as the validation part."""

    def __init__(self) -> None:
        with np.load(JETS, allow_pickle=False) as jets:
            x = ((jets["X"] - jets["scaler_mean"]) / jets["scaler_scale"]).astype(np.float32)
            self.samples = TensorDataset(torch.from_numpy(x), torch.from_numpy(jets["y"].astype(np.int64)))

    def train_dataloader(self) -> DataLoader[Any]:
        """At once."""
        return DataLoader(self.samples, batch_size=1024)

    val_dataloader = test_dataloader = train_dataloader


def network(table: ww.SearchTable) -> ww.Graph:
    """The table's, made again from what the table says of it."""
    model = ww.load_model(table.about["model"])
    model.load_state_dict({name: torch.from_numpy(array) for name, array in table.weights.items()})
    graph = ww.Graph(model.eval())
    if table.about["space"]["fold_batchnorm"]:
        graph, _ = fold_batchnorm_transform_pass(graph, {})
    return graph


def evaluator(table: ww.SearchTable, metrics: list[str]) -> ww.Evaluator:
    """Of that network, in the space that the table says."""
    graph, space = network(table), table.about["space"]
    data = Whole() if table.name == "jets" else ww.load_data("digits", seed=0)
    searched = ww.QuantisationSpace(graph, by=space["by"], seed=space["seed"])
    assert searched.decisions == table.decisions
    return ww.Evaluator(graph, searched, data, metrics=metrics)


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_what_the_network_gives(name: str) -> None:
    table = ww.load_table(name)
    rows = np.random.default_rng(1).integers(len(table), size=24)
    given = evaluator(table, ["accuracy", "loss", "model_size", "bops", "ebops"])(table.candidates[rows])
    for metric in given:
        # other processors round sums of floats otherwise: a sample may fall to the other side
        close = {"accuracy": 2.5 / table.about["data"]["samples"], "loss": 1e-3}.get(metric, 0.0)
        assert np.allclose(given[metric], table[metric][rows], rtol=1e-9, atol=close), metric


@pytest.mark.slow
@pytest.mark.parametrize(("name", "share"), [("jets", 0.0), ("jets", 0.33), ("digits-cnn", 0.0)])
def test_luts_are_those_that_a_search_would_count(name: str, share: float) -> None:
    table = ww.load_table(name)
    rows = [int(share * len(table))]
    found = evaluator(table, ["luts"]).costs(table.candidates[rows])["luts"]
    assert found == pytest.approx(table["luts"][rows], abs=0.01)


@pytest.mark.parametrize("name", TABLES)
def test_every_scheme_is_there_once_with_figures_in_their_ranges(name: str) -> None:
    table = ww.load_table(name)
    chosen = table.to_pandas()[[decision.name for decision in table.decisions]]
    assert len(table) == SIZES[name] == len(set(chosen.itertuples(index=False, name=None)))
    assert set(table.columns) == {"accuracy", "loss", "model_size", "bops", "ebops", "luts"}
    for metric, values in table.values.items():
        assert np.isfinite(values).all(), metric
        assert values.min() >= table.metrics[metric].low
        assert values.max() <= table.metrics[metric].high


@pytest.mark.parametrize("name", TABLES)
def test_sizes_are_bits_of_weights_and_biases(name: str) -> None:
    table = ww.load_table(name)
    counts = {
        (layer.name, tensor): value.numel()
        for layer in network(table).layers
        if layer.module is not None
        for tensor, value in layer.module.named_parameters()
    }
    bits = np.zeros(len(table))
    for (layer, tensor), count in counts.items():
        widths = table.to_pandas().get(f"{layer}/{tensor}_width", 8)  # one choice is no decision
        bits = bits + count * np.asarray(widths, dtype=np.float64)
    assert np.allclose(bits / 8, table["model_size"])


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_small_and_says_whose_it_is(name: str) -> None:
    assert (FOLDER / f"{name}.parquet").stat().st_size < MOST_BYTES
    about = ww.load_table(name).about
    for part, key in product(("weights", "data"), ("origin", "licence")):
        assert about[part][key]
    assert {"widthwise", "torch", "numpy", "python", "by"} <= set(about["made"])
    assert name in (FOLDER / "README.md").read_text("utf-8")
