"""Runs that keep their trials on a server: found through their folder, resumed, with no password in it."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.searches import FINGERPRINT, SPACE, Evaluator, make_record, make_strategy
from widthwise.core.errors import UserError
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.study.run_folder import load_run, resume_run, start_run
from widthwise.study.runs import remove_run
from widthwise.study.store import Store


def test_a_run_on_a_server_is_resumed_and_removed(tmp_path, postgres):
    with start_run(tmp_path / "run", make_record(), storage=postgres) as run:
        run_search(make_strategy(), Evaluator(), run.writer, limits=Limits(trials=100), saved=run.save)
        with pytest.raises(UserError, match="study run is in use: process"):
            resume_run(tmp_path / "run")
    with resume_run(tmp_path / "run", FINGERPRINT) as run:
        assert run.writer.trials == 100
        study = run_search(make_strategy(), Evaluator(), run.writer, saved=run.save)
    assert np.array_equal(study.trials.arrays().candidates, SPACE.at(range(SPACE.size)))
    assert load_run(tmp_path / "run").front == study.front
    remove_run(tmp_path / "run")
    with Store.open(postgres) as store:
        assert store.studies() == []


def test_a_password_is_not_written_into_the_folder(tmp_path, postgres):
    with_password = postgres.replace("postgres@", "postgres:secret@")
    with start_run(tmp_path / "run", make_record(), storage=with_password) as run:
        run_search(make_strategy(), Evaluator(), run.writer, limits=Limits(trials=5), saved=run.save)
    for path in (tmp_path / "run").iterdir():
        assert b"secret" not in path.read_bytes()
    assert load_run(tmp_path / "run").summary.trials == 5  # this server asks for none
