"""Listing runs, exporting their trials, deleting them and nothing else."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest

from helpers.failing import GivesNaN
from helpers.searches import SPACE, make_record, make_strategy, search, start_or_resume
from widthwise.core.errors import UserError
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.study.run_folder import load_run, start_run
from widthwise.study.runs import export_trials, list_runs, remove_run
from widthwise.study.store import Store
from widthwise.study.sureness import FLOAT
from widthwise.study.tested import KeptTests

READERS = {
    "csv": pd.read_csv,
    "json": lambda out: pd.DataFrame(json.load(out)),
    "parquet": pd.read_parquet,
}


def test_runs_are_listed_with_what_is_in_them(tmp_path):
    search(tmp_path / "b", limits=Limits(trials=20), batch_size=10)
    search(tmp_path / "a", batch_size=100)
    (tmp_path / "no run").mkdir()
    (tmp_path / "broken").mkdir()
    for name in ("config.toml", "study.db"):
        (tmp_path / "broken" / name).write_text("x" * 5000)
    runs = {run.path.name: run for run in list_runs(tmp_path)}
    assert set(runs) == {"a", "b", "broken"}
    assert (runs["b"].trials, runs["b"].finished) == (20, "20 trials done")
    assert (runs["a"].trials, runs["a"].failed, runs["a"].trouble) == (SPACE.size, 0, None)
    assert "study.db: is no SQLite database" in str(runs["broken"].trouble)
    with pytest.raises(UserError, match="no such folder"):
        list_runs(tmp_path / "missing")


@pytest.mark.parametrize("kind", READERS)
def test_exported_trials_read_back_with_every_number(tmp_path, kind):
    with start_or_resume(tmp_path / "run") as run:
        limits = Limits(max_failures=None)
        study = run_search(make_strategy(), GivesNaN(), run.writer, limits=limits)
    out = io.BytesIO()
    assert export_trials(tmp_path / "run", kind, out) == SPACE.size
    out.seek(0)
    read = READERS[kind](out)
    assert read["number"].tolist() == list(range(SPACE.size))
    expected = study.to_pandas()
    front = [trial.number for trial in study.front]
    assert read.loc[read["on_front"], "number"].tolist() == front
    assert expected.loc[expected["on_front"], "number"].tolist() == front
    assert (read["state"] == expected["state"]).all()
    assert read["reason"].isna().sum() == (expected["state"] == "complete").sum() > 0
    if kind == "json":
        values = pd.Series([row["accuracy"] for row in read["software_metrics"]], dtype=float)
    else:
        values = read["accuracy"]
        assert read["layer 3"].tolist() == expected["layer 3"].tolist()
    pd.testing.assert_series_equal(values, expected["accuracy"], check_exact=True, check_names=False)


def test_the_row_of_a_picked_trial_has_its_figures_on_test_data(tmp_path):
    study = search(tmp_path / "run")
    tested = {4: {"accuracy": 0.75}, FLOAT: {"accuracy": 0.9}}
    KeptTests(100, tested, {4: {"accuracy": 0.04}}).write(tmp_path / "run")
    out = io.BytesIO()
    export_trials(tmp_path / "run", "csv", out)
    out.seek(0)
    read = pd.read_csv(out)
    for table in (read, load_run(tmp_path / "run").to_pandas()):
        row = table[table["test.accuracy"].notna()]
        assert row["number"].tolist() == [4]
        assert row[["test.accuracy", "test.accuracy_error"]].to_numpy().tolist() == [[0.75, 0.04]]
    out = io.BytesIO()
    export_trials(tmp_path / "run", "json", out)
    trials = json.loads(out.getvalue())
    assert [(t["test"], t["test_errors"]) for t in trials if "test" in t] == [
        ({"accuracy": 0.75}, {"accuracy": 0.04})
    ]
    assert len(trials) == study.summary.trials


def test_an_unknown_export_format_gets_those_that_there_are(tmp_path):
    with pytest.raises(UserError, match="allowed: csv, json, parquet"):
        export_trials(tmp_path, "xlsx", io.BytesIO())


def test_deleting_a_run_deletes_the_run(tmp_path):
    search(tmp_path / "a")
    search(tmp_path / "b")
    remove_run(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_damaged_run_can_be_deleted(tmp_path):
    search(tmp_path / "a")
    (tmp_path / "a" / "study.db").write_text("broken")
    remove_run(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_deleting_a_run_takes_its_study_out_of_a_database_elsewhere(tmp_path):
    storage = f"sqlite:///{tmp_path / 'all.db'}"
    for name in ("a", "b"):
        start_run(tmp_path / name, make_record(), storage=storage).close()
    remove_run(tmp_path / "a", storage=storage)
    with Store.open(storage) as store:
        assert [study.name for study in store.studies()] == ["b"]
    assert not (tmp_path / "a").exists()


def test_only_run_folders_are_deleted(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_text("x")
    with pytest.raises(UserError, match="is no run folder"):
        remove_run(tmp_path / "photos")
    search(tmp_path / "run", limits=Limits(trials=5))
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(UserError, match="is a link"):
        remove_run(tmp_path / "link")
    with pytest.raises(UserError, match="is in use"), start_or_resume(tmp_path / "run"):
        remove_run(tmp_path / "run")
    (tmp_path / "run" / ".git").mkdir()
    with pytest.raises(UserError, match="holds more than a run"):
        remove_run(tmp_path / "run")
    (tmp_path / "run" / ".git").rmdir()
    monkeypatch.chdir(tmp_path / "run")
    with pytest.raises(UserError, match="is the working directory"):
        remove_run(tmp_path / "run")
    assert (tmp_path / "photos" / "1.jpg").exists()
    assert (tmp_path / "run" / "study.db").exists()
