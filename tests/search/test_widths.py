"""Searches of widths from a config: halved batches, repeats, and what is said about noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import widthwise as ww
from widthwise.config import load_config
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.search.limits import Limits
from widthwise.search.problem import load_problem


def config(training: dict[str, Any], *, multipliers: list[float], **others: Any) -> dict[str, Any]:
    return {
        "model": "jsc-three-linear",
        "dataset": "jsc",
        **others,
        "search": {
            "search_space": {
                "name": "graph/width",
                "seed": {
                    "seq_blocks_2": {"config": {"channel_multiplier": multipliers}},
                    "seq_blocks_4": {"config": {"channel_multiplier": multipliers}},
                },
            },
            "strategy": {
                "name": "grid",
                "metrics": {"accuracy": {"direction": "maximize"}, "parameters": {"direction": "minimize"}},
            },
            "training": training,
        },
    }


HALVED = config(
    {"epochs": 4, "halving": {"reduction": 2, "minimum": 2, "candidates": 6}}, multipliers=[0.5, 1, 2]
)


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> ww.Study:
    return ww.search(None, None, HALVED, out=tmp_path_factory.mktemp("halved") / "run", page=False)


def test_halving_lets_part_of_each_batch_have_all_of_the_training(halved: ww.Study, tmp_path: Path) -> None:
    study = halved
    states = [trial.state for trial in study.trials]
    assert len(states) == 9
    assert states[:6].count("complete") == 3  # half of a batch of six
    assert states[6:].count("complete") == 1  # of the three that are left
    assert set(states) == {"complete", "pruned"}
    assert study.summary.failed == 0
    # who gets through is trained as if nobody had been stopped
    del (plain := tables_of(load_config(HALVED)))["search"]["training"]["halving"]
    whole = ww.search(None, None, plain, out=tmp_path / "whole", page=False)
    assert len(whole.trials) == 9
    for trial, other in zip(study.trials, whole.trials, strict=True):
        assert trial.config == other.config
        assert trial.state == "pruned" or trial.metrics == other.metrics


def test_a_halved_search_goes_on_as_if_it_had_not_stopped(halved: ww.Study, tmp_path: Path) -> None:
    out = tmp_path / "run"
    ww.search(None, None, HALVED, out=out, limits=Limits(trials=6), page=False)
    resumed = ww.search(None, None, HALVED, out=out, resume=True, page=False)
    assert [t.state for t in resumed.trials] == [t.state for t in halved.trials]


def test_as_many_start_as_leave_one_for_the_full_budget() -> None:
    made = config({"epochs": 9, "halving": {}}, multipliers=[0.5, 1, 2, 4])
    assert load_problem(load_config(made)).batch_size_with() == 9
    made["search"]["training"]["epochs"] = 100
    assert load_problem(load_config(made)).batch_size_with() == 16  # 81, but there are no more
    del made["search"]["training"]["halving"]
    assert load_problem(load_config(made)).batch_size_with() == 1


def test_what_would_leave_candidates_alone_is_refused_with_halving(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leave out trial_timeout"):
        ww.search(None, None, HALVED, out=tmp_path / "run", limits=Limits(trial_timeout=1), page=False)
    several = load_config(HALVED, {"search.strategy.setup.n_jobs": 2})
    with pytest.raises(UserError, match="leave out --jobs"):
        ww.search(None, None, several, out=tmp_path / "run", page=False)
    assert not (tmp_path / "run").exists()


def test_candidates_trained_at_once_are_those_trained_alone(tmp_path: Path) -> None:
    stacked = config({"epochs": 2, "repeats": 2, "stacked": True}, multipliers=[0.5, 1, 2])
    together = ww.search(None, None, stacked, out=tmp_path / "together", page=False)
    stacked["search"]["training"]["stacked"] = False
    alone = ww.search(None, None, stacked, out=tmp_path / "alone", page=False)
    assert len(together.trials) == len(alone.trials) == 9
    for trial, other in zip(together.trials, alone.trials, strict=True):
        assert trial.metrics["parameters"] == other.metrics["parameters"]
        assert trial.metrics["accuracy"] == pytest.approx(other.metrics["accuracy"], abs=0.01)  # 2 of 205
        assert 0 <= trial.metrics["accuracy_spread"] < 0.5


def test_a_stacked_search_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    stacked = config({"epochs": 2, "stacked": True}, multipliers=[0.5, 1, 2])
    whole = ww.search(None, None, stacked, out=tmp_path / "whole", page=False)
    ww.search(None, None, stacked, out=tmp_path / "run", limits=Limits(trials=4), page=False)
    resumed = ww.search(None, None, stacked, out=tmp_path / "run", resume=True, page=False)
    assert [t.metrics for t in resumed.trials] == [t.metrics for t in whole.trials]


STACKED_WRONG = {
    "a supernet": ({}, {"weights": "supernet"}, "a supernet is one training"),
    "one loss that is scaled": ({"mixed_precision": True}, {}, "goes without mixed_precision"),
}


@pytest.mark.parametrize(("training", "setup", "says"), STACKED_WRONG.values(), ids=STACKED_WRONG.keys())
def test_what_cant_be_trained_at_once_is_refused(training: dict, setup: dict, says: str) -> None:
    made = config({"stacked": True, **training}, multipliers=[1, 2])
    made["search"]["search_space"]["setup"] = setup
    with pytest.raises(UserError, match=says):
        load_config(made)


def test_mixed_precision_without_a_gpu_is_refused_before_anything_is_trained() -> None:
    made = config({"mixed_precision": True}, multipliers=[1, 2], accelerator="cpu")
    with pytest.raises(UserError, match="mixed_precision needs a GPU"):
        load_problem(load_config(made))
