"""Which trial a study is about where nobody says: the knee of its front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

KNEE = "knee"


def pick_of(study: Study, rule: str | None) -> Trial | None:
    """The trial that a rule picks, by default the knee of the front; None where there is none.

    Raises UserError for a rule that can't be read or met.
    """
    if not study.front:
        return None
    if rule is not None:
        return study.pick(rule)
    try:
        return study.pick(KNEE)
    except UserError:  # a sum has no knee: all its best are equal
        return study.ties[0].trial
