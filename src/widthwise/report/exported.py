"""What was written of a trial and how it was checked, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from widthwise.export.write import Export

FILES_TOLD = 6


def files_listed(files: Sequence[Path]) -> str:
    """The names of the first files, and how many more there are."""
    more = f" and {len(files) - FILES_TOLD} more" if len(files) > FILES_TOLD else ""
    return ", ".join(path.name for path in files[:FILES_TOLD]) + more


def export_lines(done: Export) -> list[str]:
    """What it was run on, how samples come to it, and what else is to know."""
    check = done.check
    return [
        f"Run on {check.on}: {check.equal:,} of {check.samples:,} outputs equal, largest difference "
        f"{check.largest_difference:.3g}",
        *_scaler_lines(done),
        *map(_sentence, done.exported.notes),
    ]


def _sentence(note: str) -> str:
    """With a capital, but where it begins with the name of a file."""
    return note if "." in note.split(maxsplit=1)[0].rstrip(".:,") else note[0].upper() + note[1:]


def _scaler_lines(done: Export) -> list[str]:
    """What its user has to do to samples first, where anything."""
    if done.scaler is None:
        return []
    if "unknown" in done.scaler:
        return [f"Whether samples have to be standardised first isn't known: {done.scaler['unknown']}"]
    if done.scaler["first_layer"]:
        return ["It takes samples as they are: standardising them is its first layer"]
    return ["It takes standardised samples, (x - mean) / scale: both are in export.json"]
