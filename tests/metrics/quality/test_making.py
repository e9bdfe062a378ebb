"""Targets that a task makes: the float network's outputs, and the next of a text's own tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from helpers.dense import Counting, speaking
from helpers.regression import Echoes, Waves, network
from widthwise.core.errors import UserError
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.making import WithTargets, with_targets
from widthwise.metrics.quality.tasks import task_of

CHOICES = {"name": ["integer"], "weight_width": [3, 4, 8], "weight_frac_width": ["auto"]}
SIZE = {"model_size": {"direction": "minimize"}}
SEARCH: dict[str, Any] = {
    "search_space": {
        "name": "graph/quantize/mixed_precision_ptq",
        "setup": {"by": "type"},
        "seed": {"linear": {"config": CHOICES}},
    },
    "strategy": {
        "name": "brute-force",
        "metrics": {"sqnr": {"direction": "maximize"}, "model_size": {"direction": "minimize"}},
    },
}


class Bare(Waves):
    """Inputs alone."""

    def train_dataloader(self) -> list[Tensor]:
        return list(self.x.split(64))

    val_dataloader = test_dataloader = train_dataloader


@pytest.mark.parametrize("wrapped", [lambda x: x, lambda x: (x,), lambda x: {"input": x}])
def test_data_without_targets_is_compared_with_the_float_network(wrapped):
    class Wrapped(Bare):
        def train_dataloader(self):
            return [wrapped(x) for x in self.x.split(64)]

        val_dataloader = test_dataloader = train_dataloader

    fitting = check_data_fits_model(network(5), Wrapped())
    assert fitting.task.name == "closeness"
    assert "the data has no targets" in fitting.output.why
    graph = ww.Graph(network(5))
    space = ww.QuantisationSpace(graph, by="type", seed={"linear": {"config": CHOICES}})
    names = ["sqnr", "agreement", "kl", "worst_mse"]
    candidates = space.sample(6, np.random.default_rng(0))
    bare = ww.Evaluator(graph, space, Wrapped(), metrics=names)(candidates)
    echoed = ww.Evaluator(graph, space, Echoes(5), metrics=names, task="closeness")(candidates)
    for name in names:
        assert bare[name] == pytest.approx(echoed[name]), name
    floats = ww.evaluate(network(5), Wrapped(), metrics=["sqnr", "mse"])
    assert floats["sqnr"] > 120  # but for the rounding of other batches, itself
    assert floats["mse"] < 1e-12


def test_a_search_needs_no_targets_and_its_trials_are_judged_again(tmp_path: Path):
    study = ww.search(network(3), Bare(), {"search": SEARCH}, out=tmp_path / "run", page=False)
    assert ww.load_config(tmp_path / "run" / "config.toml").task == "closeness"
    assert study.record.settings.float_metrics["sqnr"] > 120
    best = study.pick("best sqnr")
    judged = ww.evaluate(study.network(best), Bare(), metrics=["sqnr"])
    assert judged["sqnr"] == pytest.approx(best.metrics["sqnr"], rel=1e-5)


def test_a_search_learns_from_each_answer(tmp_path: Path):
    strategy = {"name": "frontier", "metrics": {"agreement": {"direction": "maximize"}, **SIZE}}
    config = {"search": {**SEARCH, "strategy": strategy}}
    study = ww.search(network(3), Bare(), config, out=tmp_path / "run", page=False)
    assert study.front


def test_what_changes_is_compared_with_what_it_was():
    model = network()
    history = ww.fit(model, Waves(), epochs=1, task="closeness")
    assert history.best.values["sqnr"] > 100  # nothing pulls it away from itself


def test_a_networks_own_outputs_have_to_be_numbers():
    model = network()
    with torch.no_grad():
        model[2].bias.fill_(torch.nan)
    with pytest.raises(UserError, match="the float network gives outputs that are no finite numbers"):
        ww.evaluate(model, Bare(), metrics=["sqnr"])


# ---- tokens


class Texts(Counting):
    """As Hugging Face's collators give them: labels are the inputs, padding is masked."""

    def __init__(self, labels: bool, mask: bool = False) -> None:
        super().__init__()
        self.labels, self.mask = labels, mask

    def train_dataloader(self) -> list[dict[str, Tensor]]:
        found = []
        for x in self.x.split(16):
            batch = {"input_ids": x}
            if self.labels:
                batch["labels"] = x.clone()
            if self.mask:
                batch["attention_mask"] = torch.ones_like(x).index_fill(1, torch.tensor([4]), 0)
            found.append(batch)
        return found

    val_dataloader = test_dataloader = train_dataloader


def told(data: Any) -> Tensor:
    made = with_targets(data, speaking(), task_of("tokens"))
    assert isinstance(made, WithTargets)
    return torch.cat([block.targets for block in made.val_dataloader()])


@pytest.mark.parametrize("labels", [True, False])
def test_labels_that_repeat_the_inputs_stand_for_the_next_token(labels: bool):
    assert torch.equal(told(Texts(labels)), Counting().y)


def test_the_next_token_of_padding_is_left_out():
    expected = Counting().y
    expected[:, 3] = -100
    assert torch.equal(told(Texts(labels=True, mask=True)), expected)


def test_labels_of_their_own_stay():
    assert torch.equal(told(Counting()), Counting().y)


def test_the_figures_are_those_of_the_next_tokens():
    model = speaking()
    names = ["loss", "accuracy"]
    shifted = ww.evaluate(model, Texts(labels=True), metrics=names)
    assert shifted == ww.evaluate(model, Counting(), metrics=names)
    assert shifted == ww.evaluate(model, Texts(labels=False), metrics=names, task="tokens")


def test_tokens_need_tokens():
    class Numbers(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :, None].expand(-1, -1, 4)

    with pytest.raises(UserError, match="neither labels nor whole numbers"):
        ww.evaluate(Numbers(), Bare(), metrics=["loss"], task="tokens")


def test_samples_that_the_float_network_can_not_take_are_one_line():
    for task in (None, "closeness"):
        with pytest.raises(
            UserError, match=r"samples of shape \[\d+\] don't fit the network: its first layer"
        ):
            ww.evaluate(nn.Linear(99, 2), Bare(), metrics=["sqnr"], task=task)
