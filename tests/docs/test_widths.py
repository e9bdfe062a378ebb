"""The page on widths does what it says: its blocks run in order, and its configs are searches."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from helpers.places import DOCS
from widthwise.config import load_config
from widthwise.core.toml import parse_toml
from widthwise.search.problem import load_problem
from widthwise.spaces.settings import WidthSearch
from widthwise.training import Settings

PAGE = DOCS / "widths.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def test_every_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "widths"}
    blocks = [block for block in BLOCK.finditer(TEXT) if block[1] == "python"]
    assert len(blocks) >= 6
    for block in blocks:
        # as many lines before it as on the page, so that a traceback names the page's line
        code = compile("\n" * (TEXT[: block.start()].count("\n") + 1) + block[2], str(PAGE), "exec")
        exec(code, names)


def test_every_config_is_a_search_of_widths() -> None:
    configs = [
        load_config(parse_toml(block[2], label="page"))
        for block in BLOCK.finditer(TEXT)
        if block[1] == "toml"
    ]
    assert [config.ignored for config in configs] == [(), ()]
    grid, pairs = (load_problem(config) for config in configs)
    assert [grid.space.size, pairs.space.size] == [4, 16]
    assert (grid.batch_size_with(), pairs.batch_size_with()) == (4, 16)
    spaces = [config.search.space for config in configs]
    assert all(isinstance(space, WidthSearch) for space in spaces)
    assert spaces[0].training == Settings(epochs=20, schedule="one-cycle")
