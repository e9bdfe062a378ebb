"""A study as one HTML page that opens without a network: to choose from, and to see why."""

from __future__ import annotations

from widthwise.report.document import document, paragraphs, text
from widthwise.report.page.data import study_data
from widthwise.report.page.detail import detail_section
from widthwise.report.page.front import front_section
from widthwise.report.page.layers import layers_section
from widthwise.report.page.parts import (
    course_section,
    damage_section,
    get_section,
    mixing_section,
)
from widthwise.report.page.section import SECTIONS
from widthwise.report.shown.view import StudyView, study_view
from widthwise.study.study import Study


def study_page(study: Study, *, rule: str | None = None) -> str:
    """The whole page; `rule` picks the trial that it speaks of, by default the knee of the front."""
    return page_of(study_view(study, rule=rule))


def page_of(view: StudyView, *, live: bool = False) -> str:
    """The page of a study as it is shown; live: it follows the server that gave it."""
    parts = [
        _overview(view, live=live),
        front_section(view),
        mixing_section(view),
        layers_section(view),
        detail_section(view),
        damage_section(view),
        course_section(view),
        get_section(view),
    ]
    return document(
        title=f"{view.study.name}: widths of {view.study.record.settings.model or 'a network'}",
        body="\n".join(parts),
        data={"study": study_data(view, live=live)},
        scripts=["study.js"],
        live=live,
    )


def _overview(view: StudyView, *, live: bool) -> str:
    links = " ".join(f'<a href="#{key}">{text(name)}</a>' for key, name in SECTIONS[1:])
    first, *others = view.lines
    return "\n".join(
        [
            '<p class="soft" id="live">Live: follows the search.</p>' if live else "",
            f'<nav aria-label="parts of this page">{links}</nav>',
            f'<section id="overview">\n<p class="lead">{text(first)}</p>',
            paragraphs(view.trouble, "warning"),
            *(f'<p class="lead">{text(line)}</p>' for line in others[:1]),
            paragraphs(others[1:], "soft"),
            "</section>",
        ]
    )
