"""The page on tables does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.pages import run_page
from helpers.places import DOCS


def test_every_block_runs_and_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # a table is written here
    assert run_page(DOCS / "tables.md", capsys) == 6
