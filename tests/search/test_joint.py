"""Searches of formats and channels together: each network once, resumed alike, exported as judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import widthwise as ww
from widthwise.config import load_config
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.data.modules import load_data
from widthwise.evaluators.engine import evaluate
from widthwise.report.shown.layers import layer_map
from widthwise.search.limits import Limits
from widthwise.search.problem import load_problem

INTEGER = {
    "name": ["NA", "integer"],
    "data_in_width": [8],
    "data_in_frac_width": [4],
    "weight_width": [3, 8],
    "weight_frac_width": ["auto"],
    "bias_width": [8],
    "bias_frac_width": [4],
}
RULE = {**INTEGER, "channel_multiplier": [0.5, 1]}


def config(
    strategy: str = "random",
    *,
    setup: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    constraints: dict[str, Any] | None = None,
    **rules: Any,
) -> dict[str, Any]:
    seed = {key: {"config": rule} for key, rule in (rules or {"linear": RULE}).items()}
    space = {"name": "graph/joint", "setup": {"by": "type", **(setup or {})}, "seed": seed}
    goals = {"accuracy": {"direction": "maximize"}, "bops": {"direction": "minimize"}}
    return {
        "model": "jsc-three-linear",
        "dataset": "jsc",
        "search": {
            "search_space": space,
            "training": {"epochs": 1, **(training or {})},
            "strategy": {"name": strategy, "metrics": goals},
            "constraints": constraints or {},
        },
    }


def trials_of(study: ww.Study) -> list[tuple[Any, ...]]:
    return [(trial.candidate, dict(trial.metrics)) for trial in study.trials]


def test_every_network_is_judged_once(tmp_path: Path) -> None:
    study = ww.search(None, None, config("brute-force"), out=tmp_path / "run", page=False)
    problem = load_problem(load_config(config()))
    chosen = [slot.formats for slot in problem.space.slots]  # type: ignore[attr-defined]
    nets = set()
    for trial in study.trials:
        sizes = problem.space.sizes(trial.candidate)  # type: ignore[attr-defined]
        formats = [
            repr(choices[int(slot.choices(torch.tensor([trial.candidate]).numpy())[0])])
            for slot, choices in zip(problem.space.slots, chosen, strict=True)  # type: ignore[attr-defined]
        ]
        nets.add((*sizes.values(), *formats))
    assert len(study.trials) == len(nets) == 2 * 2 * 3**3
    assert study.summary.cut == problem.space.size - len(nets)
    assert study.each_once


@pytest.mark.parametrize("strategy", ["tpe", "frontier", "local"])
def test_resumed_it_goes_on_as_uninterrupted(strategy: str, tmp_path: Path) -> None:
    given = config(strategy)
    whole = ww.search(None, None, given, out=tmp_path / "whole", limits=Limits(trials=12), page=False)
    ww.search(None, None, given, out=tmp_path / "parts", limits=Limits(trials=5), page=False)
    parts = ww.search(
        None, None, given, out=tmp_path / "parts", limits=Limits(trials=12), resume=True, page=False
    )
    assert trials_of(parts) == trials_of(whole)


@pytest.mark.parametrize(
    ("model", "setup"),
    [
        ("jsc-three-linear", {}),
        ("jsc-three-linear", {"weights": "supernet"}),
        ("jsc-three-linear", {"fold_batchnorm": True, "weights": "scratch"}),
    ],
)
def test_what_is_kept_and_exported_is_what_was_judged(
    model: str, setup: dict[str, Any], tmp_path: Path
) -> None:
    given = {**config(setup=setup), "model": model}
    study = ww.search(None, None, given, out=tmp_path / "run", limits=Limits(trials=20), page=False)
    data = load_data("jsc", seed=0)
    narrow = 0
    for trial in study.front:
        graph = study.network(trial)
        found = evaluate(graph, data, metrics=["accuracy", "bops", "model_size", "parameters"])
        assert {name: found[name] for name in found} == {name: trial.metrics[name] for name in found}
        narrow += found["parameters"] < 661
    assert narrow
    exported = ww.export(study, study.pick("knee"), "torch", tmp_path / "made")
    assert exported is not None
    assert (tmp_path / "made" / "weights.safetensors").is_file()


def test_a_trial_that_is_not_on_the_front_is_never_taken_for_another_width(tmp_path: Path) -> None:
    study = ww.search(None, None, config("brute-force"), out=tmp_path / "run", page=False)
    front = {trial.number for trial in study.front}
    other = next(trial for trial in study.trials if trial.number not in front)
    with pytest.raises(UserError, match="keeps no network of trial"):
        study.network(other)
    problem = load_problem(load_config(config()))
    assert problem.network_of(other.candidate).model is not None


def test_a_config_is_written_as_it_is_read() -> None:
    rules = {
        "seq_blocks_2": {**INTEGER, "channel_multiplier": [1, 2]},
        "seq_blocks_4": {"channels": [8, 16]},
        "default": {"name": ["integer"], "data_in_width": [8], "weight_width": [4], "bias_width": [8]},
    }
    read = load_config(config(setup={"by": "name", "round_to": 4, "tie": True}, **rules))
    assert load_config(tables_of(read)).search == read.search
    every = load_config(config(all={"channel_multiplier": [0.5, 1]}, linear=INTEGER))
    assert load_config(tables_of(every)).search == every.search
    space = load_problem(every).space
    assert space.decisions[0].name == "all/channel_multiplier"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no channels": (config(linear=INTEGER), "changes no width; give a rule channel_multiplier"),
    "no formats": (config(linear={"channel_multiplier": [1, 2]}), "keeps every layer in float; give a rule"),
    "a side among formats": (
        config(linear={**RULE, "name": ["integer", "both"]}),
        "both is a side of a layer and the others are formats",
    ),
    "a key that isn't": (config(linear={**RULE, "chanels": [4]}), "chanels"),
    "a size of nothing": (config(linear={**RULE, "channel_multiplier": [0]}), "is no number above 0"),
    "repeats": (config(training={"repeats": 3}), "searches of channels alone"),
    "halving": (config(training={"halving": {}}), "searches of channels alone"),
    "a key of setup": (config(setup={"round_too": 4}), "did you mean round_to"),
    "distil from a supernet": (
        config(setup={"weights": "supernet"}, training={"distil": 0.5}),
        "needs a teacher",
    ),
    "all for formats": (config(setup={"by": "all"}), "unknown"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_means_nothing_is_told_in_a_line(case: str) -> None:
    given, said = BAD[case]
    with pytest.raises(UserError) as error:
        load_config(given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_outputs_of_the_network_stay_as_they_are() -> None:
    rules = {"seq_blocks_6": RULE}
    with pytest.raises(UserError, match="outputs of seq_blocks_6 can't change"):
        load_problem(load_config(config(setup={"by": "name"}, **rules)))


def test_a_target_leaves_out_what_its_form_can_t_write(tmp_path: Path) -> None:
    norm = {key: choices[-1:] for key, choices in INTEGER.items()}
    given = config("brute-force", constraints={"target": "c"}, linear=RULE, batch_norm1d=norm)
    study = ww.search(None, None, given, out=tmp_path / "run", page=False)
    assert study.trials
    for trial in study.trials:
        names = {value for key, value in trial.config.items() if key.endswith("/name")}
        assert names == {"integer"}


def test_the_map_of_the_front_has_channels_and_bits_each_on_its_own_scale(tmp_path: Path) -> None:
    study = ww.search(None, None, config(), out=tmp_path / "run", limits=Limits(trials=12), page=False)
    found = layer_map(study, study.front)
    assert found is not None
    rows = dict(zip(found.names, zip(found.words, found.levels, strict=True), strict=True))
    words, levels = rows["seq_blocks_2/channel_multiplier"]
    assert levels == tuple(float(word) for word in words)
    words, levels = rows["seq_blocks_2/weight_width"]
    assert levels == tuple(int(word) / 8 for word in words)
    assert found.measure == "of the row's greatest choice"


def test_bounds_of_costs_know_channels_and_formats(tmp_path: Path) -> None:
    given = config(constraints={"model_size": "<= 500 B", "accuracy": ">= 0.0"})
    study = ww.search(None, None, given, out=tmp_path / "run", page=False)
    assert study.trials
    assert all(trial.metrics["model_size"] <= 500 for trial in study.trials)
