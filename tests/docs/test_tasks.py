"""The pages on tasks do what they say: their blocks run, and each task has one, its metrics in the table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.pages import run_page
from helpers.places import DOCS
from widthwise.metrics.catalogue import METRICS
from widthwise.metrics.quality.tasks import TASKS

PAGES = sorted((DOCS / "tasks").glob("*.md"))
TEXT = (DOCS / "tasks.md").read_text(encoding="utf-8")


def test_every_task_has_a_page_and_its_metrics_in_the_table() -> None:
    assert {page.stem for page in PAGES} == set(TASKS.own)
    for name, entry in TASKS.own.items():
        (row,) = (line for line in TEXT.splitlines() if line.startswith(f"| [`{name}`](tasks/{name}.md)"))
        assert set(entry.about or ()) <= set(re.findall(r"`([a-z0-9_]+)`", row)), name
        assert all(f"`{alias}`" in row for alias in entry.aliases)
        assert all(METRICS[metric].kind == "quality" for metric in entry.about or ())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_page(page, capsys) >= 1
