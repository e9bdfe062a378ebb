"""One network trained for all schemes: what it learns, what is kept of it, judged, exported, resumed."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import widthwise as ww
from helpers.running import Run
from widthwise.config import load_config
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.core.toml import dumps
from widthwise.evaluators.drawn import Draw
from widthwise.evaluators.shared import SharedEvaluator
from widthwise.network.checkpoints import read_safetensors
from widthwise.search.limits import Limits
from widthwise.search.problem import Problem, load_problem, problem_of_run
from widthwise.spaces.slots import schemes
from widthwise.study.run_folder import load_run
from widthwise.study.study import Study
from widthwise.training.finetuning.settings import BASE, SHARED, SHARED_ABOUT, Finetuning

STEPS = 40


def config(training: dict[str, Any] | None = None, **search: Any) -> dict[str, Any]:
    widths = {f"{tensor}_width": [2, 3, 8] for tensor in ("data_in", "weight")}
    fractions = {f"{tensor}_frac_width": ["auto"] for tensor in ("data_in", "weight", "bias")}
    rule = {"config": {"name": ["integer"], **widths, **fractions, "bias_width": [8]}}
    return {
        "model": "jsc-three-linear",
        "dataset": "jsc",
        "search": {
            "search_space": {
                "name": "graph/quantize/mixed_precision_ptq",
                "setup": {"by": "type", "weights": "supernet"},
                "seed": {"linear": rule},
            },
            "training": {"steps": STEPS, **(training or {})},
            "strategy": {
                "name": "random",
                "metrics": {"accuracy": {"direction": "maximize"}, "ebops": {"direction": "minimize"}},
            },
            "constraints": {"trials": 12},
            **search,
        },
    }


@pytest.fixture(scope="module")
def data() -> Any:
    return ww.load_data("jsc", seed=0)


@pytest.fixture(scope="module")
def network(data: Any) -> nn.Module:
    model = ww.load_model("jsc-three-linear", seed=0)
    ww.fit(model, data, epochs=10)
    return model


@pytest.fixture(scope="module")
def searched(network: nn.Module, data: Any, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return ww.search(network, data, config(), out=tmp_path_factory.mktemp("searched") / "run")


@pytest.fixture
def run_folder(searched: Study, tmp_path: Path) -> Path:
    assert searched.folder is not None
    return Path(shutil.copytree(searched.folder, tmp_path / "run"))


def problem(network: nn.Module, data: Any, asked: dict[str, Any] | None = None) -> Problem:
    return load_problem(load_config(asked or config()), model=network, data=data)


def figures(study: Study) -> list[tuple[Any, ...]]:
    return [(trial.candidate, trial.metrics, trial.reason) for trial in study.trials]


def test_every_trial_has_the_network_that_was_judged(searched: Study, data: Any) -> None:
    """Whether on the front or not: all have the same weights."""
    assert searched.folder is not None
    kept = read_safetensors(searched.folder / SHARED)
    assert any(trial.number not in {each.number for each in searched.front} for trial in searched.trials)
    for study in (searched, load_run(searched.folder)):
        for trial in study.trials:
            judged = ww.evaluate(study.network(trial.number), data, metrics=list(trial.metrics))
            assert judged == pytest.approx(trial.metrics, abs=0)
    realised = searched.realised(searched.trial(0))
    assert realised.weights is not None
    assert realised.weights.keys() == kept.keys()
    assert all(tensor.equal(kept[name]) for name, tensor in realised.weights.items())


def test_it_is_not_the_network_as_it_was_given(searched: Study, network: nn.Module) -> None:
    assert searched.folder is not None
    kept, given = read_safetensors(searched.folder / SHARED), network.state_dict()
    moved = [name for name, tensor in kept.items() if not tensor.equal(given[name])]
    assert any(name.endswith("weight") for name in moved)
    assert not any("running" in name for name in moved)  # statistics of batch norms
    weights = read_safetensors(searched.folder / "weights.safetensors")
    assert all(tensor.equal(given[name]) for name, tensor in weights.items())


def test_one_step_goes_along_the_gradients_of_the_widest_the_narrowest_and_others(
    network: nn.Module, data: Any
) -> None:
    """Against networks that are quantised one by one, and torch's own way down."""
    posed = problem(network, data, config({"steps": 1, "optimizer": "sgd", "learning_rate": 0.05}))
    evaluator = posed.evaluator
    assert isinstance(evaluator, SharedEvaluator)
    given = evaluator._float
    ends = np.array([[2] * posed.space.cardinalities.size, [0] * posed.space.cardinalities.size])
    drawn = posed.space.sample(2, np.random.default_rng([posed.config.seed, 0]))
    block = next(iter(evaluator.tuner._loader()))[0]
    with torch.no_grad():
        wanted = posed.graph.model.eval()(block)
    expected = {name: p.detach().clone() for name, p in posed.graph.model.named_parameters()}
    for candidate in np.concatenate([ends, drawn]):
        graph = given.network(candidate)
        graph.model.eval().requires_grad_(True)
        distance = posed.judging.task.distance(graph.model(block), wanted, temperature=2.0)
        distance.backward()
        for name, parameter in graph.model.named_parameters():
            expected[name.replace(".layer.", ".")] -= 0.05 * parameter.grad
    found = evaluator.shared().model
    for name, parameter in found.named_parameters():
        assert torch.allclose(parameter, expected[name], atol=1e-6), name


def test_the_ends_of_a_step_have_the_most_and_the_fewest_bits(network: nn.Module, data: Any) -> None:
    asked = config()
    rule = asked["search"]["search_space"]["seed"]["linear"]["config"]
    rule |= {"name": ["NA", "integer"], "weight_width": [3, 2, 5], "data_in_width": [4]}
    asked["search"]["search_space"]["setup"]["tie"] = True
    posed = problem(network, data, asked)
    evaluator = posed.evaluator
    assert isinstance(evaluator, SharedEvaluator)
    every = np.array(list(product(*(range(n) for n in posed.space.cardinalities))))
    bits = evaluator._float.costs(every)["average_bitwidth"]
    drawn = [
        {name: str(scheme) for name, scheme in evaluator._float.network(every[row]).schemes.items()}
        for row in (bits.argmax(), bits.argmin())
    ]
    rows = Draw.of(posed.space, evaluator.slots, 0, 2)(0)
    for row, wanted in zip(rows[:2], drawn, strict=True):
        own = schemes(evaluator.slots, row)
        assert {name: str(own[name]) for name in own} == {name: wanted[name] for name in own}


def test_costs_that_follow_from_weights_are_known_after_the_training(network: nn.Module, data: Any) -> None:
    posed = problem(network, data)
    candidates = posed.space.sample(9, np.random.default_rng(0))
    before = posed.evaluator.costs(candidates)
    assert "model_size" in before
    assert "ebops" not in before
    results = posed.trained().evaluator(candidates)
    after = posed.evaluator.costs(candidates)
    assert {"model_size", "ebops"} <= after.keys()
    assert all((results[name] == after[name]).all() for name in after)
    assert all((before[name] == after[name]).all() for name in before)
    as_given = problem(network, data, _inherited()).evaluator(candidates)
    assert not np.array_equal(results["ebops"], as_given["ebops"])


def _inherited() -> dict[str, Any]:
    asked = config()
    asked["search"]["search_space"]["setup"].pop("weights")
    asked["search"].pop("training")
    return asked


@pytest.mark.parametrize("strategy", ["random", "frontier"])
def test_a_search_that_was_stopped_goes_on_with_the_very_network(
    strategy: str, network: nn.Module, data: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = config()
    asked["search"]["strategy"]["name"] = strategy
    whole = ww.search(network, data, asked, out=tmp_path / "whole", page=False)
    stopped = ww.search(network, data, asked, out=tmp_path / "run", limits=Limits(trials=5), page=False)
    assert len(stopped.trials) == 5
    gone_on = ww.search(network, data, asked, out=tmp_path / "run", resume=True, page=False)
    assert figures(gone_on) == figures(whole)
    assert not any("trained again" in message for message in caplog.messages)
    (tmp_path / "again").mkdir()
    shutil.copytree(tmp_path / "whole", tmp_path / "again" / "run")
    (tmp_path / "again" / "run" / SHARED).unlink()
    again = problem_of_run(tmp_path / "again" / "run").evaluator
    rows = np.array([trial.candidate for trial in whole.trials])
    assert again(rows)["accuracy"].tolist() == [trial.metrics["accuracy"] for trial in whole.trials]


def test_a_run_that_is_opened_trains_nothing(
    run_folder: Path, searched: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("widthwise.evaluators.shared.train_shared", never)
    posed = problem_of_run(run_folder)
    trial = searched.trial(3)
    assert posed.evaluator(np.array([trial.candidate]))["accuracy"][0] == trial.metrics["accuracy"]


@pytest.mark.parametrize("damage", ["weights", "mark"])
def test_weights_that_are_not_what_was_written_are_not_taken(
    damage: str, run_folder: Path, searched: Study, caplog: pytest.LogCaptureFixture
) -> None:
    if damage == "weights":
        content = bytearray((run_folder / SHARED).read_bytes())
        content[-1] ^= 1
        (run_folder / SHARED).write_bytes(content)
        with pytest.raises(UserError, match="the weights are not those that were judged"):
            load_run(run_folder).network(0)
    else:
        about = json.loads((run_folder / SHARED_ABOUT).read_text())
        (run_folder / SHARED_ABOUT).write_text(json.dumps({**about, "mark": "another"}))
    with caplog.at_level(logging.WARNING):
        posed = problem_of_run(run_folder)
    assert any("the shared network is trained again" in message for message in caplog.messages)
    trial = searched.trial(3)
    assert posed.evaluator(np.array([trial.candidate]))["accuracy"][0] == trial.metrics["accuracy"]


def test_exports_are_of_the_shared_network(searched: Study, tmp_path: Path) -> None:
    done = ww.export(searched, searched.front[0].number, "torch", tmp_path / "torch")
    assert done.check.equal == done.check.samples


@pytest.mark.slow
def test_members_of_the_front_are_tuned_from_the_shared_weights(
    run_folder: Path, data: Any, tmp_path: Path
) -> None:
    settings = Finetuning(most=2, training=replace(BASE, steps=30))
    other = Path(shutil.copytree(run_folder, tmp_path / "as-others"))
    tuned = ww.finetune(run_folder, settings=settings)
    assert len(tuned.finetuned) == 2
    assert ww.finetune(other, settings=settings, jobs=2).finetuned == tuned.finetuned
    for number, found in tuned.finetuned.items():
        assert found.reason is None
        assert found.before == load_run(run_folder).as_searched().trial(number).metrics
        judged = ww.evaluate(tuned.network(number), data, metrics=["accuracy", "ebops"])
        stands = found.after if found.better else found.before
        assert judged["accuracy"] == stands["accuracy"]
        assert judged["ebops"] == stands["ebops"]


def test_a_training_that_diverges_is_told_in_a_line(network: nn.Module, data: Any, tmp_path: Path) -> None:
    asked = config({"learning_rate": 1e6})
    with pytest.raises(UserError, match="the network that all candidates share: training diverged: at step"):
        ww.search(network, data, asked, out=tmp_path / "run")


def test_a_network_that_runs_as_it_is_can_be_shared(data: Any, tmp_path: Path) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(16, 8), nn.Linear(8, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            return self.last(torch.relu(x) if float(x.detach().sum()) < 1e9 else x)

    model = Branching()
    ww.fit(model, data, epochs=2)
    asked = {key: value for key, value in config().items() if key != "model"}
    study = ww.search(model, data, asked, out=tmp_path / "run", page=False)
    for trial in study.trials[:3]:
        found = study.network(trial.number, model=model)
        assert found.capture == "running"
        judged = ww.evaluate(found, data, metrics=["accuracy"])
        assert judged["accuracy"] == trial.metrics["accuracy"]


def test_a_target_is_kept_with_the_formats_of_the_trained_weights(
    network: nn.Module, data: Any, tmp_path: Path
) -> None:
    asked = config(constraints={"trials": 4, "target": "c"})
    rules = asked["search"]["search_space"]["seed"]
    wide = {name: value if "frac" in name else [8] for name, value in rules["linear"]["config"].items()}
    rules["batch_norm1d"] = {"config": {**wide, "name": ["integer"]}}
    study = ww.search(network, data, asked, out=tmp_path / "run", page=False)
    assert len(study.trials) == 4
    for trial in study.trials:
        done = ww.export(study, trial.number, "c", tmp_path / f"c{trial.number}")
        assert done.check.equal == done.check.samples


def test_a_config_is_written_as_it_is_read() -> None:
    read = load_config(config({"distil": 0.5, "learning_rate": 0.01}))
    assert load_config(tables_of(read)) == read
    both = load_config(config(finetune={"most": 3}))
    assert load_config(tables_of(both)) == both
    assert both.search.finetune is not None
    assert both.search.finetune.training.steps == STEPS


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "patience": ({"training": {"patience": 3}}, "search.training: patience: fine-tuning has no use for it"),
    "share": ({"training": {"distil": 2}}, "search.training.distil: 2 is no share from 0 to 1"),
    "key": ({"training": {"repeats": 2}}, "search.training.repeats: no such key"),
}


@pytest.mark.parametrize(("given", "error"), WRONG.values(), ids=WRONG)
def test_a_config_that_is_wrong_is_refused_in_a_line(given: dict[str, Any], error: str) -> None:
    with pytest.raises(UserError, match=error):
        load_config(config() | {"search": config()["search"] | given})


def test_scratch_is_no_way_for_formats() -> None:
    asked = config()
    asked["search"]["search_space"]["setup"]["weights"] = "scratch"
    with pytest.raises(UserError, match=r"weights: 'scratch' is unknown; allowed: inherit, supernet"):
        load_config(asked)


def test_there_has_to_be_training_data(network: nn.Module) -> None:
    class Judged:
        def __init__(self, data: Any) -> None:
            self.val_dataloader = data.val_dataloader

        def train_dataloader(self) -> Any:
            raise UserError("no training part")

        test_dataloader = train_dataloader

    with pytest.raises(UserError, match="no training part"):
        problem(network, Judged(ww.load_data("jsc", seed=0)))


def test_the_command_line(run: Run, place: Path) -> None:
    (place / "net.toml").write_text(written())
    done = run("search", "net.toml", "--train", "--out", "runs/net")
    assert done.status == 0, done.err
    assert "one network of shared weights" in done.out + done.err
    assert run("check", "runs/net").status == 0
    trial = load_run(place / "runs/net").trial(5)
    shown = run("test", "--run", "runs/net", "--trial", "5", "--part", "val", "--json").out
    assert f'"accuracy": {trial.metrics["accuracy"]}' in shown


def written() -> str:
    return dumps({"max_epochs": 3, **config()})
