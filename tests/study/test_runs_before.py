"""Runs that the version before the rooms left behind (begun by it, and stopped) open and go on here."""

from __future__ import annotations

import json
import shutil
import sqlite3
from importlib.metadata import version
from pathlib import Path

import pytest

import widthwise as ww
from widthwise.config import load_config
from widthwise.search.limits import Limits

BEFORE = Path(__file__).parent / "runs_before"
# how many trials each holds, and how many it has when it went on
RUNS = {"brute-force": (10, 18), "frontier": (6, 9), "tpe": (6, 9), "widths": (2, 6)}
GO_ON = {name: RUNS[name] for name in ("frontier", "widths")}
REFUSED = [name for name in RUNS if name not in GO_ON]  # searched by tpe, as it proposed then


@pytest.fixture
def before(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of a run; the versions that it names are those of today, since other tests pin them."""
    folder = tmp_path / request.param
    shutil.copytree(BEFORE / request.param, folder)
    with sqlite3.connect(folder / "study.db") as database:
        ((stored,),) = database.execute("select fingerprint from widthwise_studies").fetchall()
        marks = json.loads(stored)
        marks |= {f"version of {name}": version(name) for name in ("widthwise", "torch", "numpy", "optuna")}
        database.execute("update widthwise_studies set fingerprint = ?", (json.dumps(marks),))
    database.close()
    return folder


@pytest.mark.parametrize(("before", "counts"), RUNS.items(), indirect=["before"], ids=list(RUNS))
def test_a_run_of_the_version_before_opens_as_it_was(before: Path, counts: tuple[int, int]) -> None:
    study = ww.load_run(before)
    front = json.loads((before / "front.json").read_text())["front"]
    assert study.summary.trials == counts[0]
    assert [trial.number for trial in study.front] == [trial["number"] for trial in front]
    for trial, stored in zip(study.front, front, strict=True):
        assert dict(trial.software_metrics) == stored["software_metrics"]
        assert dict(trial.hardware_metrics) == stored["hardware_metrics"]
        assert dict(trial.scaled_metrics) == pytest.approx(stored["scaled_metrics"])
    assert len(study.to_pandas()) == counts[0]


@pytest.mark.parametrize(("before", "counts"), GO_ON.items(), indirect=["before"], ids=list(GO_ON))
def test_a_run_of_the_version_before_goes_on(before: Path, counts: tuple[int, int]) -> None:
    stored = ww.load_run(before).to_pandas()
    config = load_config(before / "config.toml")
    study = ww.search(
        None, None, config, out=before, resume=True, limits=Limits(trials=counts[1]), page=False
    )
    assert study.summary.trials == counts[1]
    assert study.summary.failed == 0
    told = stored.columns.drop(["seconds", "on_front"])  # the front has grown, and its pick is tested now
    assert study.to_pandas()[: counts[0]][told].equals(stored[told])


@pytest.mark.parametrize("before", REFUSED, indirect=True)
def test_a_run_whose_strategy_proposed_otherwise_then_is_refused_with_the_reason(before: Path) -> None:
    with pytest.raises(ww.UserError) as caught:
        ww.search(None, None, load_config(before / "config.toml"), out=before, resume=True, page=False)
    assert (
        "proposals: by the history of one generator then, each from the seed and its number now; "
        "restore that, or start a new study beside it (--force-new)" in str(caught.value)
    )


@pytest.mark.parametrize("before", ["frontier"], indirect=True)
def test_a_run_of_the_version_before_has_its_networks_once_it_is_resumed(before: Path) -> None:
    with pytest.raises(ww.UserError, match="keeps no networks of its trials; resume the run") as caught:
        ww.load_run(before).network(0)
    assert "\n" not in str(caught.value)
    config, trials = load_config(before / "config.toml"), ww.load_run(before).summary.trials
    ww.search(None, None, config, out=before, resume=True, limits=Limits(trials=trials), page=False)
    study = ww.load_run(before)
    assert study.front
    for trial in study.front:
        found = ww.evaluate(study.network(trial), ww.load_data(config.dataset), metrics=["accuracy", "loss"])
        assert found == pytest.approx({name: trial.metrics[name] for name in found}, rel=1e-6)
