"""What a round of halving tells of those that it stopped: how they did, and how sure that they are behind."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.figures import shown_figure
from widthwise.metrics.spread import SIGMAS

if TYPE_CHECKING:
    from widthwise.metrics.quality.sureness import Sureness

logger = logging.getLogger(__name__)


def errors_behind(found: Sureness, signs: Mapping[str, int], no_dearer: NDArray[np.bool_]) -> FloatArray:
    """How many standard errors each stopped candidate is behind one that goes on and is no dearer, [stopped].

    found: of the stopped and then of those that go on. signs: 1 or -1 for each quality that is an objective,
    as it is to be great or small. no_dearer [stopped, going on]: whether by all objectives of cost. A pair is
    as far apart as the quality in which it is closest, by the error of the difference on the same samples; of
    all that go on the one furthest ahead counts. Minus infinity where none is as good by all objectives.
    """
    count = len(no_dearer)
    ahead = np.full(no_dearer.shape, np.inf)
    for metric, sign in signs.items():
        figures, covariance = sign * found.figures[metric], found.covariances[metric]
        own = np.diagonal(covariance)
        variance = own[:count, None] + own[None, count:] - 2 * covariance[:count, count:]
        difference = figures[None, count:] - figures[:count, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.where(difference == 0, 0.0, difference / np.sqrt(np.maximum(variance, 0.0)))
        ahead = np.minimum(ahead, each)
    ahead[~no_dearer | (ahead < 0)] = -np.inf
    behind: FloatArray = ahead.max(axis=1, initial=-np.inf)
    return behind


def said_of_stopped(
    stopped: IntArray, behind: FloatArray, quality: Mapping[str, FloatArray], when: str
) -> dict[int, str]:
    """For each stopped row its figures, of qualities [K, repeats], and how far it was behind.

    behind: as `errors_behind` has it; NaN where it isn't known.
    """
    found = {}
    for row, errors in zip(stopped.tolist(), behind.tolist(), strict=True):
        figures = ", ".join(f"{name} {shown_figure(values[row].mean())}" for name, values in quality.items())
        sure = f"{errors:.1f} standard errors behind one that went on"
        if errors == -np.inf:
            sure = "none that went on was as good by all objectives"
        found[row] = f"{when} with {figures}" + ("" if np.isnan(errors) else f"; {sure}")
    return found


def warn_of_near(behind: FloatArray, kept: int, when: str) -> None:
    """One warning of all stopped candidates that are not surely behind one that goes on."""
    near = int((behind <= SIGMAS).sum())
    if near:
        logger.warning(
            "halving stopped %d of %d candidates %s; %d of them were not surely behind one that went on (by "
            "more than %g standard errors), so they may belong to the front; a smaller reduction stops fewer",
            *(len(behind), len(behind) + kept, when, near, SIGMAS),
        )
