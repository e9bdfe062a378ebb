"""A config searched with an evaluator of one's own in place of the one of its kind of space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import widthwise as ww
from helpers.evaluators import EACH
from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Pace, Results
from widthwise.search.limits import Limits

CONFIG = {
    "model": "jsc-tiny",
    "dataset": "jsc",
    "search": {
        "search_space": {
            "name": "graph/quantize/mixed_precision_ptq",
            "setup": {"by": "type"},
            "seed": {"linear": {"config": {"name": ["integer"], "weight_width": [2, 3, 4, 8]}}},
        },
        "strategy": {
            "name": "brute-force",
            "metrics": {"accuracy": {"direction": "maximize"}, "model_size": {"direction": "minimize"}},
        },
    },
}


def judged(candidates: IntArray) -> Results:
    """Wider is better, and greater."""
    total = candidates.sum(axis=1).astype(float)
    return Results({"accuracy": total / 100, "model_size": total})


@dataclass(frozen=True)
class Whole:
    """The same with the whole contract, and a figure that no config names."""

    columns: tuple[str, ...] = ("accuracy", "model_size", "luts")
    pace: Pace = EACH
    describe: str = "candidates put into hardware"

    def __call__(self, candidates: IntArray) -> Results:
        return Results({**judged(candidates), "luts": np.full(len(candidates), 7.0)})

    def costs(self, candidates: IntArray) -> dict[str, np.ndarray]:
        return {"model_size": judged(candidates)["model_size"]}


def test_a_function_judges_what_the_config_names(tmp_path: Path):
    study = ww.search(None, None, CONFIG, out=tmp_path / "run", evaluator=judged, page=False)
    candidates = study.trials.arrays().candidates
    assert len(candidates) == 4
    table = study.to_pandas()
    np.testing.assert_array_equal(table["accuracy"], judged(candidates)["accuracy"])
    assert study.record.columns == ("accuracy", "model_size")
    assert study.record.settings.float_metrics == {}  # nobody judged the network as it is
    assert len(ww.load_run(tmp_path / "run").front) == len(study.front) == 4


def test_the_whole_contract_is_used(tmp_path: Path):
    study = ww.search(None, None, CONFIG, out=tmp_path / "run", evaluator=Whole(), page=False)
    assert study.record.columns == ("accuracy", "model_size", "luts")
    assert study.to_pandas()["luts"].tolist() == [7.0] * 4
    bounded = {**CONFIG, "search": {**CONFIG["search"], "constraints": {"model_size": "<= 1"}}}
    cut = ww.search(None, None, bounded, out=tmp_path / "cut", evaluator=Whole(), page=False)
    assert (cut.summary.trials, cut.summary.cut) == (2, 2)  # by its costs, unevaluated


def test_a_search_goes_on_with_the_evaluator_that_it_began_with(tmp_path: Path):
    out = tmp_path / "run"
    ww.search(None, None, CONFIG, out=out, evaluator=judged, limits=Limits(trials=1), page=False)
    with pytest.raises(UserError, match="was searched with something else"):
        ww.search(None, None, CONFIG, out=out, resume=True, page=False)
    assert len(ww.search(None, None, CONFIG, out=out, evaluator=judged, resume=True, page=False).trials) == 4


def test_what_it_can_not_do_is_said_before_anything_is_evaluated(tmp_path: Path):
    out = tmp_path / "run"
    missing = Whole(columns=("accuracy", "luts"))
    with pytest.raises(UserError, match="what the evaluator gives: no metric named 'model_size'"):
        ww.search(None, None, CONFIG, out=out, evaluator=missing, page=False)
    with pytest.raises(UserError, match="prune: these candidates can't be stopped early"):
        ww.search(None, None, CONFIG, out=out, evaluator=judged, prune=True, page=False)
    several = ww.load_config(CONFIG, {"search.strategy.setup.n_jobs": 2})
    with pytest.raises(UserError, match="evaluator: was given, and workers make theirs from the config"):
        ww.search(None, None, several, out=out, evaluator=judged, page=False)
    assert not out.exists()
