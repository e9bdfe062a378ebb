"""Run folders: made whole or not at all, resumed only under the same fingerprint, never overwritten."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from helpers.searches import FINGERPRINT, SPACE, make_record, make_strategy, search
from helpers.searches import Evaluator as Evaluating
from widthwise.core.errors import UserError
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.study.run_files import is_run
from widthwise.study.run_folder import load_run, resume_run, start_run
from widthwise.study.sources import ElsewhereError, run_source


def _files(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_run_holds_its_config_study_front_and_log(tmp_path):
    study = search(tmp_path / "a" / "run", batch_size=100)
    folder = tmp_path / "a" / "run"
    assert (folder / "config.toml").read_text() == 'task = "cls"\n'
    assert json.loads((folder / "front.json").read_text()) == study.as_json()
    assert "all 729 candidates proposed" in (folder / "log.txt").read_text()
    assert load_run(folder).name == "run"
    assert os.listdir(tmp_path / "a") == ["run"]  # noqa: PTH208


@pytest.mark.parametrize("content", ["run", "files", "file"])
def test_what_exists_is_not_overwritten(tmp_path, content):
    folder = tmp_path / "run"
    if content == "run":
        search(folder, limits=Limits(trials=10))
    elif content == "files":
        folder.mkdir()
        (folder / "thesis.tex").write_text("mine")
    else:
        folder.write_text("mine")
    before = _files(tmp_path)
    with pytest.raises(UserError, match=r"has a run already|exists already and is no run"):
        start_run(folder, make_record())
    assert _files(tmp_path) == before


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "run").mkdir()
    assert search(tmp_path / "run").summary.trials == SPACE.size


def test_force_new_starts_beside_it(tmp_path):
    for expected in ("run", "run-2", "run-3"):
        with start_run(tmp_path / "run", make_record(), force_new=True) as run:
            assert run.path == tmp_path / expected
            assert run.writer.study.name == expected


def test_resuming_under_another_fingerprint_is_refused_with_all_that_differs(tmp_path):
    search(tmp_path / "run", limits=Limits(trials=10), batch_size=10)
    with pytest.raises(UserError) as caught:
        resume_run(tmp_path / "run", {"weights": "xyz", "seed": "0", "data": "new"})
    said = str(caught.value)
    assert "weights: abc then, xyz now" in said
    assert "data: none then, new now" in said
    assert "seed" not in said
    assert "--force-new" in said
    with resume_run(tmp_path / "run", FINGERPRINT) as run:  # nobody holds it after the refusal
        assert run.writer.trials == 10


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_what_is_no_run_can_not_be_resumed(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no such run folder|is no run folder"):
        resume_run(tmp_path / name)
    assert _files(tmp_path) == ["empty"]


def test_a_run_that_could_not_be_made_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="no database URL"):
        start_run(tmp_path / "run", make_record(), storage="post gres://x")
    assert _files(tmp_path) == []
    storage = f"sqlite:///{tmp_path / 'all.db'}"
    start_run(tmp_path / "a" / "run", make_record(), storage=storage).close()
    before = _files(tmp_path)
    with pytest.raises(UserError, match="has a study named run already"):
        start_run(tmp_path / "b" / "run", make_record(), storage=storage)
    assert _files(tmp_path) == sorted([*before, "b"])


def test_trials_in_a_database_elsewhere_are_found_through_the_folder(tmp_path):
    storage = f"sqlite:///{tmp_path / 'all.db'}"
    with start_run(tmp_path / "a", make_record(), storage=storage) as run:
        study = run_search(make_strategy(), Evaluating(), run.writer, saved=run.save)
    assert run_source(tmp_path / "a", storage) == (storage, "a")
    with pytest.raises(ElsewhereError) as caught:
        run_source(tmp_path / "a")
    assert caught.value.url == storage
    assert is_run(tmp_path / "a")
    assert not (tmp_path / "a" / "study.db").exists()
    assert load_run(tmp_path / "a", storage=storage).front == study.front


def test_a_search_outside_the_main_thread_works(tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(search(tmp_path / "run", limits=Limits(trials=9))))
    thread.start()
    thread.join()
    assert found[0].summary.trials == 9
    assert np.array_equal(found[0].trials.arrays().candidates, SPACE.at(range(9)))


class Meanwhile(Mapping):
    """A fingerprint; while it is read, as the study is stored, something happens."""

    def __init__(self, happens):
        self.happens = [happens]

    def __getitem__(self, name):
        return FINGERPRINT[name]

    def __iter__(self):
        while self.happens:
            self.happens.pop()()
        return iter(FINGERPRINT)

    def __len__(self):
        return len(FINGERPRINT)


def test_of_two_starts_in_one_folder_the_second_is_told_of_the_first(tmp_path):
    folder = tmp_path / "run"

    def first():
        start_run(folder, make_record()).close()

    with pytest.raises(UserError) as caught:
        start_run(folder, replace(make_record(), fingerprint=Meanwhile(first)))
    who = f"process {os.getpid()} on {socket.gethostname()}"
    assert str(caught.value) == (
        f"{folder}: {who} has just begun a run there; --resume goes on with it once that ends, --force-new "
        "starts one beside it"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_file_system_without_locks_is_said_to_have_none(tmp_path, monkeypatch):
    def no_locks(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(UserError, match=r"can't be locked: No locks available; its file system has no locks"):
        start_run(tmp_path / "run", make_record())
