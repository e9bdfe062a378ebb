"""What a search does once it is over: its pick judged on test data and looked at, its page written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.search.detail import keep_detail
from widthwise.search.layer_figures import keep_layers
from widthwise.search.tested import keep_tested
from widthwise.study.looks import looked_at
from widthwise.study.picked import pick_of
from widthwise.study.run_files import DETAIL, LAYERS, PAGE, TESTED

if TYPE_CHECKING:
    from widthwise.search.problem import Problem
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

logger = logging.getLogger(__name__)


def finish(
    problem: Problem,
    study: Study,
    folder: Path,
    *,
    rule: str | None = None,
    page: bool = True,
    step: Callable[[str], None] | None = None,
) -> None:
    """Puts into the run folder what the pick is worth and looks like, and the page of all of it.

    rule: picks, else the knee is taken; one that nothing meets is said by whoever prints the pick. step is
    told what is being done. What can't be had is a warning: what was found is kept already.
    """
    say = step or (lambda doing: None)
    try:
        trial = pick_of(study, rule)
    except UserError:
        rule, trial = None, None
    if trial is not None:
        say("judging the picked trial on test data")
        look_at(problem, study, trial, folder)
    if page:
        say("writing the page")
        keep_page(study, folder, rule)


def keep_page(study: Study, folder: Path, rule: str | None = None) -> None:
    """Puts the page of a study into its run folder; a warning says what keeps it from that."""
    try:
        looked_at("write_page", study, folder / PAGE, rule)
    except (UserError, OSError) as error:
        logger.warning("the page was not written: %s", error)


def look_again(problem: Problem, study: Study, folder: Path) -> None:
    """What stands of picked trials is that of networks that others have taken the place of: the knee anew."""
    for name in (TESTED, LAYERS, DETAIL):
        (folder / name).unlink(missing_ok=True)
    if (trial := pick_of(study, None)) is not None:
        look_at(problem, study, trial, folder)


def look_at(problem: Problem, study: Study, trial: Trial, folder: Path) -> None:
    """What a trial is worth on test data, what formats do to its layers, its quality in detail."""
    for keep in (keep_tested, keep_layers, keep_detail):
        keep(problem, study, trial, folder)
