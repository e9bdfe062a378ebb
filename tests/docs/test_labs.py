"""The pages of the labs do what they say: their blocks run in order and print what stands below."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.pages import run_page
from helpers.places import DOCS


@pytest.mark.parametrize("page", ["lab3.md", "lab4.md"])
def test_every_block_runs_and_prints_what_the_page_shows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # searches make their run folders here
    assert run_page(DOCS / page, capsys) > 10
