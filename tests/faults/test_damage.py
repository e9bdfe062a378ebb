"""Stores that are damaged before a run is opened: named, and never overwritten."""

from __future__ import annotations

import pytest

from helpers.searches import SPACE, make_record, search
from widthwise.core.errors import UserError
from widthwise.study.run_folder import load_run, resume_run, start_run
from widthwise.study.runs import list_runs


def _zeros_inside(content: bytes) -> bytes:
    return content[:8192] + bytes(4096) + content[12288:]


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "text": lambda content: b"not a database at all, but long enough to be looked at as one" * 100,
    "header overwritten": lambda content: bytes(100) + content[100:],
    "a page overwritten": _zeros_inside,
    "one odd byte at the end": lambda content: content[:-4096] + b"\xff" * 4096,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_named_and_left_as_it_is(tmp_path, damage):
    folder = tmp_path / "run"
    search(folder, batch_size=7)
    store = folder / "study.db"
    broken = DAMAGES[damage](store.read_bytes())
    store.write_bytes(broken)
    for opening in (resume_run, load_run):
        with pytest.raises(UserError) as caught:
            opening(folder)
        assert str(caught.value).startswith(f"{store}: ")
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="has a run already"):
        start_run(folder, make_record())
    assert store.read_bytes() == broken
    (listed,) = list_runs(tmp_path)
    assert listed.trouble is not None


def test_a_store_that_is_gone_is_named(tmp_path):
    search(tmp_path / "run", batch_size=7)
    (tmp_path / "run" / "study.db").unlink()
    with pytest.raises(UserError, match=r"is no run folder: it has no study\.db"):
        resume_run(tmp_path / "run")


def test_broken_storage_settings_are_named(tmp_path):
    search(tmp_path / "run", batch_size=7)
    (tmp_path / "run" / "storage.json").write_text("{")
    with pytest.raises(UserError, match=r"storage\.json: is broken"):
        load_run(tmp_path / "run")


def test_the_front_file_can_be_lost(tmp_path):
    study = search(tmp_path / "run", batch_size=7)
    (tmp_path / "run" / "front.json").unlink()
    assert load_run(tmp_path / "run").front == study.front
    assert study.summary.trials == SPACE.size
