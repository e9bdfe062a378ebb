"""Disks that are full or read-only, and files that are deleted or cut while the search runs."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import searches
from helpers.searches import AIM, SPACE, Evaluator, make_record, make_strategy, search, start_or_resume
from widthwise.core.errors import UserError
from widthwise.search.loop import run_search
from widthwise.study.run_folder import load_run, resume_run, start_run
from widthwise.study.runs import export_trials


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB."""
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_one_line_and_what_is_stored_is_kept(small_disk, tmp_path):
    folder = small_disk / "run"
    done = 0
    with start_or_resume(folder) as run:
        (small_disk / "filling").write_bytes(bytes(shutil.disk_usage(small_disk).free - 200_000))
        with pytest.raises(UserError, match=r"disk is full|disk full") as caught:
            run_search(make_strategy(), Evaluator(), run.writer, batch_size=7, saved=run.save)
        done = run.writer.trials
    assert "\n" not in str(caught.value)
    assert 0 < done < SPACE.size
    (small_disk / "filling").unlink()
    assert load_run(folder).summary.trials == done
    assert search(folder, batch_size=7).summary.trials == SPACE.size


def test_a_size_limit_is_one_line_and_what_is_stored_is_kept(tmp_path):
    folder = tmp_path / "run"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))

    command = [sys.executable, searches.__file__, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {folder / 'study.db'}: ")
    assert done.stderr.count("\n") == 1
    kept = load_run(folder).summary.trials
    assert 0 < kept < SPACE.size
    assert search(folder, batch_size=7).summary.trials == SPACE.size


@pytest.fixture
def read_only(tmp_path):
    """A run that ended early, on a file system that can't be written; root ignores mere permissions."""
    folder = tmp_path / "archive" / "run"
    folder.parent.mkdir()
    search(folder, batch_size=7)
    where = str(folder.parent)
    bind = ["mount", "--bind", where, where]
    if os.geteuid() != 0 or subprocess.run(bind, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system read-only needs root")
    subprocess.run(["mount", "-o", "remount,ro,bind", where], check=True)
    yield folder
    subprocess.run(["umount", "-l", where], check=True)


def test_a_run_on_a_read_only_disk_can_be_read_but_not_resumed(read_only, tmp_path):
    assert load_run(read_only).summary.trials == SPACE.size
    with (tmp_path / "trials.csv").open("wb") as out:
        assert export_trials(read_only, "csv", out) == SPACE.size
    with pytest.raises(UserError, match="may not be written; check"):
        resume_run(read_only)


def test_a_new_run_on_a_read_only_disk_is_one_line_and_leaves_nothing(read_only):
    new = read_only.parent / "new"
    with pytest.raises(UserError, match="can't be written: Read-only file system; choose another folder"):
        start_run(new, make_record())
    assert os.listdir(read_only.parent) == ["run"]  # noqa: PTH208


class _Breaks(Evaluator):
    """Does something to the run folder in the middle of the search."""

    def __call__(self, candidates):
        results = super().__call__(candidates)
        if SPACE.positions(candidates)[0] == 350:
            self.damage()
        return results


def _breaking(folder: Path, damage):
    """Search with the damage done after 350 trials; the error."""
    evaluator = _Breaks()
    object.__setattr__(evaluator, "damage", damage)
    with start_or_resume(folder) as run:
        with pytest.raises(UserError) as caught:
            run_search(make_strategy(), evaluator, run.writer, batch_size=7, saved=run.save)
        assert run.writer.trials in (350, 357)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_store_deleted_while_running_is_saved_beside_its_place(tmp_path):
    folder = tmp_path / "run"
    said = _breaking(folder, (folder / "study.db").unlink)
    assert f"{folder / 'study.db'}: was deleted or moved" in said
    (folder / "study-rescued.db").rename(folder / "study.db")
    assert load_run(folder).summary.trials == 350
    assert search(folder, batch_size=7).summary.trials == SPACE.size


def test_a_run_folder_deleted_while_running_leaves_its_trials_beside_it(tmp_path):
    folder = tmp_path / "run"
    said = _breaking(folder, lambda: shutil.rmtree(folder))
    assert str(tmp_path / "run-rescued.db") in said
    assert searches.Study.load(tmp_path / "run-rescued.db").summary.trials == 350


def test_a_store_replaced_while_running_is_not_written_to(tmp_path):
    folder = tmp_path / "run"

    def damage() -> None:
        (folder / "study.db").unlink()
        (folder / "study.db").write_text("someone else's")

    assert "was replaced by another file" in _breaking(folder, damage)
    assert (folder / "study.db").read_text() == "someone else's"


@pytest.mark.parametrize("name", ["study.db", "study.db-wal"])
def test_a_store_cut_short_while_running_stops_the_search_and_keeps_the_front(tmp_path, name):
    folder = tmp_path / "run"
    said = _breaking(folder, lambda: os.truncate(folder / name, 100))
    assert f"{folder / name}: was cut from " in said
    kept = json.loads((folder / "front.json").read_text())
    assert kept["trials"] == 350
    block = search(tmp_path / "other", batch_size=7).trials.arrays()
    values = AIM.values({"accuracy": block.metrics[:350, 0], "model_size": block.metrics[:350, 1]})
    better = (values[:, None] >= values).all(axis=2) & (values[:, None] > values).any(axis=2)
    assert (
        sorted(n for t in kept["front"] for n in (t["number"], *t["alike"]))
        == block.numbers[:350][~better.any(axis=0)].tolist()
    )
