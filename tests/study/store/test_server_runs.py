"""Runs that keep their trials on a server: found through their folder, resumed, with no password in it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from helpers.searches import FINGERPRINT, SPACE, Evaluator, make_record, make_strategy
from widthwise.cli import main
from widthwise.core.errors import UserError
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.study.run_folder import STARTING, load_run, resume_run, start_run
from widthwise.study.runs import remove_run
from widthwise.study.store import Store


def test_a_run_on_a_server_is_resumed_and_removed(tmp_path, postgres):
    with start_run(tmp_path / "run", make_record(), storage=postgres) as run:
        run_search(make_strategy(), Evaluator(), run.writer, limits=Limits(trials=100), saved=run.save)
        with pytest.raises(UserError, match="study run is in use: process"):
            resume_run(tmp_path / "run", storage=postgres)
    with resume_run(tmp_path / "run", FINGERPRINT, storage=postgres) as run:
        assert run.writer.trials == 100
        study = run_search(make_strategy(), Evaluator(), run.writer, saved=run.save)
    assert np.array_equal(study.trials.arrays().candidates, SPACE.at(range(SPACE.size)))
    with pytest.raises(UserError, match=re.escape(f"outside of it, in {postgres}")):
        load_run(tmp_path / "run")
    assert load_run(tmp_path / "run", storage=postgres).front == study.front
    remove_run(tmp_path / "run", storage=postgres)
    with Store.open(postgres) as store:
        assert store.studies() == []


@pytest.fixture
def locked(postgres: str) -> str:
    """The URL, without its password, of a database whose user has one: "secret"."""
    engine = sa.create_engine(postgres)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS locked")
        connection.exec_driver_sql("CREATE ROLE locked SUPERUSER LOGIN PASSWORD 'secret'")
    engine.dispose()
    return postgres.replace("postgres@", "locked@")


def test_a_run_with_a_password_is_read_and_removed_with_it_and_keeps_it_nowhere(
    tmp_path: Path, locked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    run, with_password = tmp_path / "run", locked.replace("locked@", "locked:secret@")
    with start_run(run, make_record(), storage=with_password) as started:
        study = run_search(
            make_strategy(), Evaluator(), started.writer, limits=Limits(trials=5), saved=started.save
        )
    assert "secret" not in repr(study)
    for path in run.iterdir():
        assert b"secret" not in path.read_bytes()
        assert b"***" not in path.read_bytes()
    with pytest.raises(UserError, match="no password supplied") as caught:
        load_run(run, storage=locked)
    assert "\n" not in str(caught.value)
    assert load_run(run, storage=with_password).summary.trials == 5
    monkeypatch.setenv("PGPASSWORD", "secret")
    with pytest.raises(
        UserError, match=re.escape(f"--storage {locked}")
    ):  # it is sent to nobody who was not named
        load_run(run)
    for url in (locked, locked.replace("locked@", "locked:***@")):  # as older versions wrote it
        assert load_run(run, storage=url).summary.trials == 5
    assert main(["report", str(run), "--storage", locked]) == 0
    monkeypatch.setenv("WIDTHWISE_STORAGE", locked)
    assert main(["rm", "--yes", str(run)]) == 0
    with Store.open(locked) as store:
        assert store.studies() == []


@pytest.fixture
def reader(postgres: str) -> str:
    """The URL of a database whose user may only read what is there."""
    engine = sa.create_engine(postgres)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS reader")
        connection.exec_driver_sql("CREATE ROLE reader LOGIN")
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    engine.dispose()
    return postgres.replace("postgres@", "reader@")


def test_missing_rights_are_told_in_a_line(tmp_path: Path, postgres: str, reader: str) -> None:
    with pytest.raises(UserError, match=r"its user may not do what is asked \(permission denied"):
        start_run(tmp_path / "run", make_record(), storage=reader)
    with start_run(tmp_path / "run", make_record(), storage=postgres):
        pass
    with pytest.raises(UserError, match="its user may not do what is asked"):
        resume_run(tmp_path / "run", storage=reader)
    assert not any("begun" in path.name for path in tmp_path.iterdir())


def test_a_database_that_may_only_be_read_is_told_in_a_line(tmp_path: Path, postgres: str) -> None:
    start_run(tmp_path / "run", make_record(), storage=postgres).close()
    only_read = f"{postgres}?options=-c%20default_transaction_read_only%3Don"
    for start in (
        lambda: start_run(tmp_path / "other", make_record(), storage=only_read),
        lambda: resume_run(tmp_path / "run", storage=only_read),
    ):
        with pytest.raises(UserError, match="may only be read"):
            start()


def test_a_start_that_died_before_its_folder_leaves_the_name_free(tmp_path: Path, postgres: str) -> None:
    """The study is there, as a crash between it and the folder leaves it."""
    left = replace(make_record("run"), finished=STARTING, created="2020-01-01T00:00:00+00:00")
    with Store.create(postgres) as store:
        store.create_study(left)
    with start_run(tmp_path / "run", make_record(), storage=postgres) as run:
        assert run.writer.study.id != left.id
        assert [study.name for study in run.writer.store.studies()] == ["run"]
    with pytest.raises(UserError, match="study named run already"):  # one that is whole is nobody's to take
        start_run(tmp_path / "elsewhere" / "run", make_record(), storage=postgres)
