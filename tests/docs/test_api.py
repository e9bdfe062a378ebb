"""The API pages have an entry for everything that is public, and for nothing else."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

import widthwise as ww
from helpers.places import DOCS

ENTRY = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
ENTRIES = {page.stem: ENTRY.findall(page.read_text("utf-8")) for page in sorted(DOCS.glob("api/*.md"))}


def found_at(path: str) -> Any:
    """The object of a dotted path: the longest module that it begins with, then attributes."""
    module, *names = path.split(".")
    found = import_module(module)
    while names and _is_module(f"{module}.{names[0]}"):
        module = f"{module}.{names.pop(0)}"
        found = import_module(module)
    for name in names:
        found = getattr(found, name)
    return found


def _is_module(path: str) -> bool:
    parent = import_module(path.rpartition(".")[0])
    return hasattr(parent, "__path__") and find_spec(path) is not None


def names_of(page: str) -> list[str]:
    return [path.rpartition(".")[2] for path in ENTRIES[page]]


def test_every_public_name_has_one_entry_and_nothing_else_has() -> None:
    entries = [name for page in ENTRIES if page != "formats" for name in names_of(page)]
    assert sorted(entries) == sorted(set(ww.__all__) - {"formats"})


def test_every_public_name_of_formats_has_one_entry_and_nothing_else_has() -> None:
    assert ENTRIES["formats"][0] == "widthwise.formats"
    assert sorted(names_of("formats")[1:]) == sorted(ww.formats.__all__)


@pytest.mark.parametrize("path", [path for page in ENTRIES.values() for path in page])
def test_an_entry_is_the_object_that_the_public_name_gives(path: str) -> None:
    name = path.rpartition(".")[2]
    home = ww.formats if path.startswith("widthwise.formats.") else ww
    assert found_at(path) is getattr(home, name)
