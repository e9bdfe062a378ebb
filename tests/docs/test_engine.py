"""The page on the engine prints what it says, and its drawing is one that reads in light and dark."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from helpers.pages import run_page
from helpers.places import DOCS

SVG = "{http://www.w3.org/2000/svg}"


def test_every_block_prints_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_page(DOCS / "engine.md", capsys) == 2


def test_the_drawing_follows_the_readers_colours_and_says_what_it_shows() -> None:
    drawing = ElementTree.parse(Path(DOCS / "pictures" / "engine.svg")).getroot()
    assert "prefers-color-scheme: dark" in (drawing.findtext(f"{SVG}style") or "")
    assert drawing.findtext(f"{SVG}desc")
    colours = [element.get("fill") for element in drawing.iter() if element.get("fill")]
    assert not colours  # all are those of the style
