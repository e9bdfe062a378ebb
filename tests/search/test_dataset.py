"""Data as the task has it: counts that are regressed are split alike, whether the task is said or found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import widthwise as ww
from widthwise.config import load_config
from widthwise.search.dataset import load_dataset


def counts(folder: Path, rare: int = 3) -> Path:
    made = np.random.default_rng(0)
    y = np.concatenate([np.arange(90) % 3, np.full(rare, 3)])
    np.savez(folder / "counts.npz", X=made.normal(size=(len(y), 4)), y=y)
    return folder / "counts.npz"


def parts(data) -> list[torch.Tensor]:
    return [torch.cat([y for _, y in loader()]) for loader in (data.val_dataloader, data.test_dataloader)]


def test_counts_are_split_alike_whether_the_task_is_said_or_found(tmp_path):
    config = {"dataset": str(counts(tmp_path)), "model": "toy"}
    one = nn.Linear(4, 1)
    found = load_dataset(load_config(config), one)
    said = load_dataset(load_config({**config, "task": "regression"}), one)
    for given, other in zip(parts(found), parts(said), strict=True):
        assert given.dtype == torch.float32
        assert given.equal(other)
    classes = load_dataset(load_config(config), nn.Linear(4, 4))
    assert all(y.dtype == torch.int64 and len(y.unique()) == 4 for y in parts(classes))


def test_rare_counts_are_no_rare_classes(tmp_path):
    path = counts(tmp_path, rare=1)
    with pytest.raises(ww.UserError, match=r'too few for 3 splits.* for numbers say task = "regression"'):
        ww.load_data(path)
    assert "numbers from 0 to 3" in ww.load_data(path, task="regression").taken
    assert ww.evaluate(nn.Linear(4, 1), str(path), metrics=["mse"], task="regression")["mse"] > 0


def test_classes_with_names_are_nothing_to_be_near_to(tmp_path):
    (tmp_path / "pets.csv").write_text("a,b,kind\n" + "1,2,cat\n2,1,dog\n3,4,cow\n" * 8)
    data = ww.load_data(tmp_path / "pets.csv")
    with pytest.raises(
        ww.UserError, match=r"has 3 classes \(cat, cow, dog …\) but the network gives \[n, 1\]"
    ):
        ww.evaluate(nn.Linear(2, 1), data, metrics=["mse"])


def test_samples_without_a_label_are_left_out(tmp_path):
    made = np.random.default_rng(0)
    x, y = made.normal(size=(60, 4)), np.arange(60) % 3
    y[::5] = -100
    np.savez(tmp_path / "some.npz", X=x, y=y)
    data = ww.load_data(tmp_path / "some.npz", standardise=False)
    model = nn.Linear(4, 3)
    ww.fit(model, data, epochs=1, class_weights="balanced")
    found = ww.evaluate(model, data, metrics=["accuracy"])["accuracy"]
    given = [(a, b) for a, b in data.val_dataloader()]
    inputs, labels = (torch.cat(part) for part in zip(*given, strict=True))
    right = model(inputs).argmax(1) == labels
    assert (labels == -100).any()
    assert found == pytest.approx(float(right[labels != -100].double().mean()))


@pytest.mark.parametrize("task", [None, "regression"])
def test_data_from_python_is_read_again_as_it_was(tmp_path, task):
    data = ww.load_data(counts(tmp_path), task=task)
    rule = {"name": ["integer"], "weight_width": [4, 8], "weight_frac_width": ["auto"]}
    space = {"name": "graph/quantize/mixed_precision_ptq", "seed": {"linear": {"config": rule}}}
    strategy = {"name": "brute-force", "metrics": {"mse": {"direction": "minimize"}}}
    config = {"search": {"search_space": {**space, "setup": {"by": "type"}}, "strategy": strategy}}
    ww.search(nn.Linear(4, 1), data, config, out=tmp_path / "run", page=False)
    kept = load_config(tmp_path / "run" / "config.toml")
    assert kept.task == "regression"
    for given, other in zip(parts(data), parts(load_dataset(kept)), strict=True):
        assert given.double().equal(other.double())
