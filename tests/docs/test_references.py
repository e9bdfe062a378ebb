"""The references of configs and commands are what the code says today, and have all keys of examples."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest

from helpers.places import DOCS, EXAMPLES, ROOT
from widthwise.config import load_config

STALE = "is not what the code says today; `make references` writes it"


@pytest.fixture(scope="module")
def references() -> Any:
    """The script that writes them."""
    spec = spec_from_file_location("references", ROOT / "benchmarks" / "references.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["references"] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["config-reference.md", "command-reference.md"])
def test_a_reference_is_not_stale(references: Any, name: str) -> None:
    assert references.PAGES[name]() == (DOCS / name).read_text("utf-8"), f"docs/{name} {STALE}"


def keys_of(tables: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Dotted paths of all values."""
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from keys_of(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def test_every_key_of_the_examples_has_a_row(references: Any) -> None:
    page = (DOCS / "config-reference.md").read_text("utf-8")
    rows: set[str] = set()
    for section in page.split("\n## ")[1:]:
        title = section.splitlines()[0]
        table = re.match(r"`\[(.*?)\]`", title)
        prefix = f"{table[1]}." if table else ""
        rows |= {f"{prefix}{key}" for key in re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)}
    for path in [*EXAMPLES.glob("*.toml"), *ROOT.glob("src/widthwise/examples/*.toml")]:
        without_meaning = load_config(path).ignored
        for key in keys_of(tomllib.loads(path.read_text("utf-8"))):
            general = references.generalised(key)
            if not (general.startswith("search.strategy.options.") or key.startswith(without_meaning)):
                assert general in rows, f"{path.name}: {key}"
