"""The page on bits and channels together does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from helpers.places import DOCS
from widthwise.config import load_config
from widthwise.core.toml import parse_toml
from widthwise.search.problem import load_problem
from widthwise.spaces.settings import JointSearch

PAGE = DOCS / "joint.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(kind: str) -> list[str]:
    return [block[2] for block in BLOCK.finditer(TEXT) if block[1] == kind]


def test_its_search_from_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "joint"}
    (block,) = blocks("python")
    exec(compile(block, str(PAGE), "exec"), names)
    assert names["study"].front


def test_its_config_is_a_joint_search() -> None:
    (block,) = blocks("toml")
    config = load_config(parse_toml(block, label="page"))
    assert config.ignored == ()
    assert isinstance(config.search.space, JointSearch)
    assert load_problem(config).space.size == 4**2 * (2 * 3 * 5) ** 3
