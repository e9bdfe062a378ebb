"""Estimates of stages kept in a folder, by a hash of what they are of: read as data that may be anybody's."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from widthwise.core.errors import UserError
from widthwise.core.files import write_atomically
from widthwise.core.inside import read_inside
from widthwise.export.rtl.stages import Estimate

FILE = "logic.json"
MOST_BYTES = 64 * 2**20
KEY = re.compile(r"[0-9a-f]{32}")

logger = logging.getLogger(__name__)


def read_kept(folder: Path) -> dict[str, Estimate]:
    """The estimates by key; what is broken or impossible is left out with a warning, and estimated again."""
    try:
        content = read_inside(folder, FILE, most=MOST_BYTES)
        if content is None:
            return {}
        stored = json.loads(content)["stages"]
        found = {key: made for key, values in stored.items() if (made := _estimate(key, values)) is not None}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        logger.warning("%s: is broken (%s) and made again", folder / FILE, type(error).__name__)
        return {}
    if len(found) < len(stored):
        logger.warning("%s: %d estimates are broken, made again", folder / FILE, len(stored) - len(found))
    return found


def keep(folder: Path, found: Mapping[str, Estimate]) -> None:
    """Adds estimates to those that a folder keeps; a warning where it can't be written."""
    values = {key: [each.luts, each.adders, each.delay] for key, each in found.items()}
    text = json.dumps({"stages": values}, indent=0, allow_nan=False)
    try:
        write_atomically(folder / FILE, text.encode() + b"\n")
    except UserError as error:  # they can be estimated again
        logger.warning("%s", error)


def _estimate(key: str, values: Any) -> Estimate | None:
    if not KEY.fullmatch(key) or not isinstance(values, list) or len(values) != 3:
        return None
    if not all(type(value) in (int, float) and math.isfinite(value) and value >= 0 for value in values):
        return None
    luts, adders, delay = map(float, values)
    return Estimate(luts, adders, delay) if adders == int(adders) else None
