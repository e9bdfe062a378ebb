"""The page on tasks does what it says: its blocks run in order, and it has a section for each task."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from helpers.places import DOCS
from widthwise.metrics.catalogue import METRICS
from widthwise.metrics.quality.tasks import TASKS

PAGE = DOCS / "tasks.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_every_task_has_a_section_and_its_metrics_in_the_table() -> None:
    for name, entry in TASKS.own.items():
        assert f"\n## {name.capitalize()}\n" in TEXT
        (row,) = (line for line in TEXT.splitlines() if line.startswith(f"| [`{name}`]"))
        assert set(entry.about or ()) <= set(re.findall(r"`([a-z0-9_]+)`", row)), name
        assert all(f"`{alias}`" in row for alias in entry.aliases)
        assert all(METRICS[metric].kind == "quality" for metric in entry.about or ())


def test_every_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "tasks"}
    blocks = list(re.finditer(r"```python\n(.*?)```", TEXT, re.DOTALL))
    assert len(blocks) >= 3
    for block in blocks:
        # as many lines before it as on the page, so that a traceback names the page's line
        code = compile("\n" * (TEXT[: block.start()].count("\n") + 1) + block[1], str(PAGE), "exec")
        exec(code, names)
