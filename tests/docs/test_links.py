"""Links from a page to a heading of a page: the heading is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.places import DOCS, ROOT

PAGES = [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """What links to the headings of a page name, as GitHub and Python-Markdown make it."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", re.sub(r"\]\(.*?\)", "", title)).strip().lower() for title in titles]
    return {re.sub(r"[\s]+", "-", title) for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_a_page_and_a_heading(page: Path) -> None:
    for path, anchor in LINK.findall(FENCED.sub("", page.read_text("utf-8"))):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        if anchor and target.suffix == ".md":
            assert anchor in anchors_of(target), f"{path}#{anchor}"
