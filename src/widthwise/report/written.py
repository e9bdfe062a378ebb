"""A study written for others: as a page, a table or a picture (imports nothing heavy)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from widthwise.report.shown.view import StudyView
    from widthwise.study.study import Study

PICTURES = ("png", "pdf", "svg")
KINDS = ("md", "csv", *PICTURES)


def as_bytes(
    study: Study, rule: str | None, kinds: Sequence[str], *, everything: bool = False
) -> dict[str, bytes]:
    """The study in each of the kinds, "html" or of KINDS; `rule` picks, everything: each row of the front.

    Raises UserError, before the trials are read, where pictures can't be drawn here.
    """
    from widthwise.report.page.study import page_of
    from widthwise.report.pictures import check_pictures, front_picture
    from widthwise.report.plain import comma_separated, markdown
    from widthwise.report.shown.view import study_view

    if any(kind in PICTURES for kind in kinds):
        check_pictures()
    view = study_view(study, rule=rule, everything=everything)
    texts: dict[str, Callable[[StudyView], str]] = {
        "html": page_of,
        "md": markdown,
        "csv": comma_separated,
    }
    return {
        kind: texts[kind](view).encode() if kind in texts else front_picture(view, kind) for kind in kinds
    }
