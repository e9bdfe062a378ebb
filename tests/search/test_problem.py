"""From a config to a finished search: quantisation and widths, early stops, bounds, what is kept."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import widthwise as ww
from helpers.places import EXAMPLES
from widthwise.config import load_config
from widthwise.config.write import toml_of
from widthwise.core.errors import UserError
from widthwise.data.modules import load_data
from widthwise.evaluators.engine.evaluator import BATCH_FLOPS
from widthwise.metrics.goals.pareto import nondominated
from widthwise.search.limits import Limits
from widthwise.search.problem import load_problem
from widthwise.search.record import float_metrics
from widthwise.study.run_files import run_name

LAB = {
    "model": "jsc-three-linear",
    "dataset": "jsc",
    "search": {
        "search_space": {
            "name": "graph/quantize/mixed_precision_ptq",
            "setup": {"by": "type"},
            "seed": {
                "default": {"config": {"name": ["NA"]}},
                "linear": {
                    "config": {
                        "name": ["integer"],
                        "data_in_width": [4, 8],
                        "data_in_frac_width": ["NA"],
                        "weight_width": [2, 4, 8],
                        "weight_frac_width": ["NA"],
                        "bias_width": [4],
                        "bias_frac_width": ["NA"],
                    }
                },
            },
        },
        "strategy": {
            "name": "brute-force",
            "setup": {},
            "metrics": {
                "accuracy": {"scale": 1.0, "direction": "maximize"},
                "average_bitwidth": {"scale": 0.2, "direction": "minimize"},
            },
        },
    },
}


@pytest.fixture(scope="module")
def trained() -> torch.nn.Module:
    model, data = ww.load_model("jsc-three-linear"), ww.load_data("jsc")
    ww.fit(model, data, epochs=15)
    return model


def fronts(study: ww.Study) -> list[tuple]:
    return sorted((trial.candidate, *trial.scaled_metrics.values()) for trial in study.front)


def test_a_search_keeps_every_trial_the_config_and_the_front(tmp_path: Path, trained: torch.nn.Module):
    study = ww.search(trained, None, LAB, out=tmp_path / "run", page=False)
    assert study.finished == "all 216 candidates proposed"
    table = study.to_pandas()
    assert len(table) == 216
    values = np.column_stack([table["accuracy"], -table["average_bitwidth"]])
    assert sorted(trial.number for trial in study.front) == np.flatnonzero(nondominated(values)).tolist()
    stored = json.loads((tmp_path / "run" / "front.json").read_text())
    assert [trial["number"] for trial in stored["front"]] == [tie.trial.number for tie in study.ties]
    assert stored["float"]["average_bitwidth"] == 32
    again = load_config(tmp_path / "run" / "config.toml")
    assert again == load_config(LAB, {"task": "classification"})  # which was found


def test_every_trial_is_what_its_own_network_gives(tmp_path: Path, trained: torch.nn.Module):
    config = load_config(LAB)
    problem = load_problem(config, model=trained)
    study = ww.search(trained, problem.data, config, out=tmp_path / "run", page=False)
    x, y = (torch.cat(part) for part in zip(*problem.data.val_dataloader(), strict=True))
    for trial in study.front:
        graph = problem.evaluator.network(trial.candidate)
        with torch.no_grad():
            correct = (graph.model.eval()(x).argmax(1) == y).double().mean()
        assert trial.software_metrics["accuracy"] == pytest.approx(float(correct))
        assert ww.evaluate(graph, problem.data, metrics=["accuracy"])["accuracy"] == pytest.approx(
            float(correct)
        )


def test_an_optuna_sampler_takes_the_place_of_the_configs_strategy(tmp_path: Path, trained: torch.nn.Module):
    from optuna.samplers import NSGAIISampler, TPESampler

    config, limits = load_config(LAB), Limits(trials=30)

    def sampler() -> NSGAIISampler:
        return NSGAIISampler(population_size=10, seed=config.seed)

    study = ww.search(
        trained, None, config, out=tmp_path / "run", limits=limits, sampler=sampler(), page=False
    )
    assert study.record.settings.strategy == "NSGAIISampler"
    more = {"out": tmp_path / "run", "limits": Limits(trials=40), "resume": True}
    again = ww.search(trained, None, config, sampler=sampler(), **more, page=False)
    whole = ww.search(
        trained, None, config, out=tmp_path / "whole", limits=Limits(trials=40), sampler=sampler(), page=False
    )
    assert np.array_equal(again.trials.arrays().candidates, whole.trials.arrays().candidates)
    with pytest.raises(UserError, match="strategy"):
        ww.search(trained, None, config, sampler=TPESampler(seed=0), **more, page=False)


@pytest.mark.parametrize("strategy", ["brute-force", "random"])
def test_pruning_finds_the_same_front(tmp_path: Path, trained: torch.nn.Module, strategy: str):
    config = load_config(LAB, {"search.strategy.name": strategy, "data.splits": [0.2, 0.8, 0.0]})
    whole = ww.search(trained, None, config, out=tmp_path / "whole", page=False)
    stopped = ww.search(trained, None, config, out=tmp_path / "stopped", prune=True, page=False)
    states = [trial.state for trial in stopped.trials]
    assert fronts(stopped) == fronts(whole)
    assert len(states) == 216
    assert set(states) == {"complete", "pruned"}


@pytest.mark.parametrize("name", ["random", "brute-force", "tpe", "frontier", "gp"])
def test_bounds_that_nothing_meets_end_a_search_of_a_huge_space_at_once(tmp_path: Path, name: str):
    config = load_config(
        LAB,
        {
            "model": "jsc-s",
            "search.strategy.name": name,
            "search.constraints.average_bitwidth": "<= 1",
            "search.search_space.seed.linear.config.data_in_width": [2, 3, 4, 5, 6, 7, 8],
            "search.search_space.seed.linear.config.weight_width": [2, 3, 4, 5, 6, 7, 8],
            "search.search_space.seed.linear.config.bias_width": [2, 3, 4, 5, 6, 7, 8],
        },
    )
    began = time.monotonic()
    study = ww.search(None, None, config, out=tmp_path / "run", page=False)
    assert time.monotonic() - began < 10
    assert (study.front, study.summary.trials, study.exit_status) == ((), 0, 0)
    assert study.finished == "no candidate within the bounds by its costs was found (average_bitwidth <= 1)"


def test_frontier_proposes_within_bounds_of_cost_alone(tmp_path: Path, trained: torch.nn.Module):
    bounds = {
        "search.strategy.name": "frontier",
        "search.constraints.average_bitwidth": "<= 4",
        "search.strategy.setup.n_trials": 40,
    }
    study = ww.search(trained, None, load_config(LAB, bounds), out=tmp_path / "run", page=False)
    every = ww.search(trained, None, LAB, out=tmp_path / "all", page=False)
    table = every.to_pandas()
    best = table["accuracy"][table["average_bitwidth"] <= 4].max()
    assert study.summary.cut == 0
    assert len(study.trials) == 40
    assert study.pick("best accuracy").software_metrics["accuracy"] == best


def test_a_resumed_search_of_other_weights_is_refused(tmp_path: Path, trained: torch.nn.Module):
    limited = load_config(LAB, {"search.strategy.setup.n_trials": 10})
    ww.search(trained, None, limited, out=tmp_path / "run", page=False)
    other = ww.load_model("jsc-three-linear", seed=5)
    with pytest.raises(UserError, match=r"weights: .* then, .* now"):
        ww.search(other, None, LAB, out=tmp_path / "run", resume=True, page=False)
    resumed = ww.search(trained, None, LAB, out=tmp_path / "run", resume=True, page=False)
    assert len(resumed.trials) == 216


def test_widths_are_searched_from_the_same_config_schema(tmp_path: Path):
    config = {
        "model": "jsc-three-linear",
        "dataset": "jsc",
        "search": {
            "search_space": {
                "name": "graph/width",
                "setup": {"by": "name"},
                "seed": {
                    "seq_blocks_2": {"config": {"channel_multiplier": [0.5, 2]}},
                    "seq_blocks_4": {"config": {"channel_multiplier": [1, 4]}},
                },
            },
            "strategy": {
                "name": "grid",
                "metrics": {"accuracy": {"direction": "maximize"}, "parameters": {"direction": "minimize"}},
            },
            "training": {"epochs": 3},
        },
    }
    study = ww.search(None, None, config, out=tmp_path / "run", page=False)
    assert len(study.trials) == 4
    parameters = [trial.hardware_metrics["parameters"] for trial in study.trials]
    hidden = [(8, 16), (8, 64), (32, 16), (32, 64)]
    assert parameters == [32 + 17 * a + (a + 1) * b + (b + 1) * 5 for a, b in hidden]


@pytest.mark.parametrize("workers", [0, 3])
def test_batches_are_small_where_evaluating_takes_long_so_that_time_is_looked_at(workers: int):
    config = load_config(LAB, {"search.strategy.name": "random"})
    problem = load_problem(config)
    natural = problem.strategy().batch
    assert problem.batch_size_with(natural=natural, workers=workers) == natural == 1024
    units = 2**17
    large = load_problem(config, model=nn.Sequential(nn.Linear(16, units), nn.ReLU(), nn.Linear(units, 5)))
    each = 2 * 21 * units * 205  # samples to judge on
    affordable = int(BATCH_FLOPS / each)
    assert 100 < affordable < 200
    assert large.batch_size_with(natural=natural, workers=workers) == affordable * max(workers, 1)


def test_runs_are_named_after_the_config(tmp_path: Path):
    (tmp_path / "lab three.toml").write_text(toml_of(load_config(LAB)))
    assert run_name(str(tmp_path / "lab three.toml"), "jsc-three-linear") == "lab three"
    assert run_name(load_config(LAB).source, "jsc-three-linear") == "jsc-three-linear"


def test_a_config_without_a_model_says_so():
    with pytest.raises(UserError, match="model: is missing; set it in the config or give --model"):
        load_problem(load_config({**LAB, "model": None}))


class Watched:
    """Jets; keeps how often they were read to the end, as who judges on them does."""

    def __init__(self) -> None:
        self.jets, self.judged = load_data("jsc"), 0
        self.train_dataloader, self.test_dataloader = self.jets.train_dataloader, self.jets.test_dataloader

    def val_dataloader(self):
        yield from self.jets.val_dataloader()
        self.judged += 1


def test_a_strategy_that_cannot_handle_the_space_is_refused_before_anything_is_evaluated(tmp_path: Path):
    widths = EXAMPLES / "three-linear-widths.toml"
    many = {
        "search.strategy.name": "gp",
        "search.search_space.seed.seq_blocks_2.config": {"channels": list(range(600, 0, -1))},
    }
    data = Watched()
    with pytest.raises(UserError, match=r"gp: takes up to 500 choices without .* 600"):
        ww.search(None, data, load_config(widths, many), out=tmp_path / "run", page=False)
    assert data.judged == 0
    assert not any(tmp_path.iterdir())
    float_metrics(load_problem(load_config(widths), data=data))
    assert data.judged > 0


def test_rules_for_another_by_are_logged_where_a_search_is_called_from_python(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = json.loads(json.dumps(LAB))
    space = config["search"]["search_space"]
    space["seed"]["seq_blocks_4"] = {"config": {"name": ["integer"], "weight_width": [4, 8]}}
    for by, size, other in (("type", 216, "names: seq_blocks_4"), ("name", 2, "types: linear")):
        space["setup"]["by"] = by
        caplog.clear()
        study = ww.search(None, None, config, out=tmp_path / by, page=False)
        assert len(study.trials) == size
        assert f'by = "{by}" leaves out the rules for {other}' in caplog.text


def test_a_search_with_nothing_to_choose_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = json.loads(json.dumps(LAB))
    rule = {"name": ["integer"], "weight_width": [4]}
    config["search"]["search_space"]["seed"] = {"linear": {"config": rule}}
    study = ww.search(None, None, config, out=tmp_path / "run", page=False)
    assert len(study.trials) == 1
    assert "there is nothing to choose, the space has a single candidate" in caplog.text
    assert "the rules linear" in caplog.text
