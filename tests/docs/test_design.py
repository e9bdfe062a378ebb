"""The page on how widthwise is built says where things are, and they are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from helpers.places import DOCS, ROOT

SOURCE = ROOT / "src" / "widthwise"
TEXT = (DOCS / "design.md").read_text(encoding="utf-8")
ROOMS = re.findall(r"^\| `(\w+)/` \|", TEXT, re.MULTILINE)


def layers() -> list[set[str]]:
    """The rooms from the ground up, those that stand side by side together."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (contract,) = [contract for contract in tables["contracts"] if contract["type"] == "layers"]
    return [set(re.findall(r"\w+", layer)) for layer in reversed(contract["layers"])]


def test_the_table_lists_every_room_once() -> None:
    rooms = [path.parent.name for path in SOURCE.glob("*/__init__.py")]
    assert sorted(ROOMS) == sorted(rooms)


def test_the_table_has_the_order_that_the_linter_holds() -> None:
    left = [room for room in ROOMS if room not in ("mase", "testing")]
    for layer in layers():
        assert set(left[: len(layer)]) == layer
        del left[: len(layer)]
    assert not left


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w./]+\.(?:py|toml|md))`", TEXT))))
def test_a_file_that_the_page_names_is_there(path: str) -> None:
    assert any(Path(folder, path).is_file() for folder in (ROOT, SOURCE))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (name, path)
        for names, path in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| `([\w/]+\.py)` \|", TEXT, re.MULTILINE)
        for name in re.findall(r"\w+", names)
    ],
)
def test_a_contract_is_where_the_page_says(name: str, path: str) -> None:
    assert re.search(rf"^class {name}\b", (SOURCE / path).read_text("utf-8"), re.MULTILINE)
