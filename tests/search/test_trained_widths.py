"""Searches that train widths: stored, kept, resumed and exported like any other."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import widthwise as ww
from widthwise.config import load_config
from widthwise.config.trained_template import trained_config_text
from widthwise.core.errors import UserError
from widthwise.spaces.settings import TrainedWidthSearch

SEARCH = {
    "dataset": "jsc",
    "search": {
        "search_space": {"name": "graph/quantize/trained_widths"},
        "training": {"steps": 24, "checkpoints": 4, "batch_size": 16, "price_from": 1.0, "price_to": 8.0},
        "strategy": {
            "name": "gradient",
            "metrics": {"accuracy": {"direction": "maximize"}, "ebops": {"direction": "minimize"}},
        },
    },
}


def changed(**parts):
    return {**SEARCH, "search": {**SEARCH["search"], **parts}}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5))


def told(study):
    return [(t.candidate, t.software_metrics, t.hardware_metrics, t.reason) for t in study.trials]


def test_a_killed_search_goes_on_to_the_same_trials_as_one_that_was_not_and_keeps_its_networks(tmp_path):
    whole = ww.search(network(), None, SEARCH, out=tmp_path / "whole", page=False)
    assert [trial.candidate for trial in whole.trials] == [(0,), (1,), (2,), (3,)]
    assert (tmp_path / "whole" / "path" / "checkpoint-003.safetensors").is_file()

    def kill(progress):
        if progress.trials >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ww.search(network(), None, SEARCH, out=tmp_path / "killed", progress=kill, page=False)
    resumed = ww.search(network(), None, SEARCH, out=tmp_path / "killed", resume=True, page=False)
    assert told(resumed) == told(whole)
    trial = resumed.front[0]
    kept = resumed.network(trial, model=network())
    data = ww.load_data("jsc")
    found = ww.evaluate(kept, data, metrics=["accuracy", "ebops"])
    assert found["ebops"] == trial.hardware_metrics["ebops"]
    assert found["accuracy"] == trial.software_metrics["accuracy"]
    stored = json.loads((tmp_path / "killed" / "realised.json").read_text())[str(trial.number)]
    assert stored["weights"] is True
    assert stored["folded"] is True
    made = ww.export(resumed, trial, "c", tmp_path / "c", model=network())
    assert made.check.largest_difference == 0


def test_the_same_trials_come_of_more_jobs_and_a_target_is_looked_at_in_the_formats_of_the_training(tmp_path):
    one = ww.search(network(), None, SEARCH, out=tmp_path / "one", page=False)
    two = ww.search(
        network(),
        None,
        changed(strategy={**SEARCH["search"]["strategy"], "setup": {"n_jobs": 2}}),
        out=tmp_path / "two",
        target="verilog",
        page=False,
    )
    assert told(one) == told(two)
    with pytest.raises(UserError, match=r"target hls4ml: .*each channel is read in a width of its own"):
        ww.search(network(), None, SEARCH, out=tmp_path / "three", target="hls4ml", page=False)


class Untrained:
    def val_dataloader(self):
        return [(torch.zeros(8, 16), torch.zeros(8, dtype=torch.int64))]

    test_dataloader = val_dataloader

    def train_dataloader(self):
        return []


@pytest.mark.parametrize(
    ("config", "data", "said"),
    [
        (
            changed(strategy={"name": "gradient", "metrics": {"accuracy": {"direction": "maximize"}}}),
            None,
            "no cost is an objective",
        ),
        (
            changed(
                search_space={"name": "graph/quantize/trained_widths", "seed": {"linear": {"config": {}}}}
            ),
            None,
            "search.search_space.seed: has no meaning here",
        ),
        (changed(training={"steps": 5, "checkpoints": 9}), None, "search.training: checkpoints = 9 are more"),
        (changed(training={"stepz": 5}), None, "search.training.stepz: no such key; did you mean steps"),
        (SEARCH, Untrained(), "has no training samples, on which widths are trained"),
    ],
)
def test_what_cannot_be_trained_is_one_line(config, data, said, tmp_path):
    config = {**config, "dataset": None} if data is not None else config
    with pytest.raises(UserError) as caught:
        ww.search(network(), data, config, out=tmp_path / "run", page=False)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_gradient_needs_the_space_of_a_training():
    space = ww.WidthSpace(ww.Graph(ww.load_model("jsc-three-linear")), multipliers=[1, 2])
    with pytest.raises(UserError, match=r'strategy gradient: .*set name = "graph/quantize/trained_widths"'):
        ww.strategy("gradient", space, objectives={"accuracy": "maximize"})


def test_a_training_that_diverges_fails_with_step_and_loss(tmp_path):
    wild = changed(training={**SEARCH["search"]["training"], "learning_rate": 1e30})
    study = ww.search(network(), None, wild, out=tmp_path / "run", page=False)
    assert all("training diverged at step" in trial.reason for trial in study.trials)


def test_the_config_that_init_writes_has_the_defaults_and_the_tasks_own_quality(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = trained_config_text("diabetes-mlp", "diabetes", qualities={"mse": "minimize"})
    (tmp_path / "it.toml").write_text(text)
    found = load_config(tmp_path / "it.toml").search
    assert found.space == TrainedWidthSearch()
    assert [objective.name for objective in found.objectives] == ["mse", "ebops"]
