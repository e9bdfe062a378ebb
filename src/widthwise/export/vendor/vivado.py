"""What Vivado used after synthesis or implementation: the text of `report_utilization`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from widthwise.core.errors import UserError
from widthwise.study.measured import Measured

TOOL = "vivado"
ROWS = {  # of its tables of sites: of UltraScale, of 7 series, of Versal
    "luts": ("CLB LUTs", "Slice LUTs"),
    "registers": ("CLB Registers", "Slice Registers", "Registers"),
    "dsps": ("DSPs", "DSP Slices"),
    "brams": ("Block RAM Tile",),
    "urams": ("URAM",),
    "carries": ("CARRY8", "CARRY4", "LOOKAHEAD8"),
}
NUMBER = re.compile(r"\d[\d,]*(\.\d+)?")


def read_utilisation(text: str, where: str) -> Measured:
    """The figures of the whole design; UserError where it is no such report."""
    used: dict[str, str] = {}
    for name, count in _rows(text):
        used.setdefault(name, count)
    found: dict[str, float] = {}
    for key, names in ROWS.items():
        for name in (name for name in names if name in used):
            found.setdefault(f"{TOOL}_{key}", _number(used[name], f"{where}: {name}"))
    if f"{TOOL}_luts" not in found:
        raise UserError(
            f"{where}: has no table with a row {' or '.join(ROWS['luts'])}; give what `report_utilization "
            "-file FILE` writes, not a hierarchical one"
        )
    about = {key: _head(text, key) for key in ("Tool Version", "Device", "Design State", "Design")}
    notes = [f"{key.lower()} {about[key]}" for key in ("Device", "Design State", "Design") if about[key]]
    return Measured(TOOL, about["Tool Version"] or "of unknown version", found, tuple(notes))


def _rows(text: str) -> Iterator[tuple[str, str]]:
    """The name of each row and what stands in its column Used, of tables that have one."""
    column: int | None = None
    for line in text.splitlines():
        if not line.lstrip().startswith("|"):
            if not line.lstrip().startswith("+"):
                column = None
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] in ("Site Type", "Ref Name"):
            column = cells.index("Used") if "Used" in cells else None
        elif column is not None and column < len(cells):
            yield cells[0].rstrip("*"), cells[column]


def _number(text: str, where: str) -> float:
    if not NUMBER.fullmatch(text):
        raise UserError(f"{where}: is {text[:40]!r}, which is no count")
    return float(text.replace(",", ""))


def _head(text: str, key: str) -> str:
    match = re.search(rf"^\| {re.escape(key)}\s*: (.+)$", text, re.MULTILINE)
    return match[1].strip() if match else ""
