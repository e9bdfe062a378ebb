"""What tools measured of trials, as a table and in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.metrics.measured import TOOLS
from widthwise.report.tables import plain_table
from widthwise.report.terminal import shown_number

if TYPE_CHECKING:
    from rich.table import Table

    from widthwise.export.certify import Certificate
    from widthwise.study.measured import Measured
    from widthwise.study.study import Study

HEADERS = ("trial", "measured by", "version", "figures")


def measured_table(study: Study) -> Table | None:
    """A row a trial and tool; None where nothing was measured."""
    rows = [
        [str(number), found.label, found.version, figures(found)]
        for number, measured in study.measured.items()
        for found in measured
    ]
    return plain_table(HEADERS, rows, right=("trial",)) if rows else None


def sum_lines(study: Study) -> list[str]:
    """How far costs of logic, sums over stages, are off the whole network's, where both are known."""
    lines = []
    for name in ("luts", "adders"):
        whole = {
            number: each.metrics[f"alkaid_{name}"]
            for number, found in study.measured.items()
            for each in found
            if each.tool == "alkaid"
        }
        off = [
            abs(trial.metrics[name] / whole[trial.number] - 1)
            for trial in study.front
            if name in trial.metrics and whole.get(trial.number)
        ]
        if off:
            plural = "trial" if len(off) == 1 else "trials"
            lines.append(
                f"{name}, a sum over stages, is off alkaid's estimate of the whole network by at most "
                f"{max(off):.1%} in the {len(off)} {plural} of the front that were measured"
            )
    return lines


def certificate_lines(found: Certificate) -> list[str]:
    """What each tool measured of a trial, or why none did."""
    if found.refused:
        return [f"Trial {found.trial}: not certified: {found.refused}"]
    lines = [f"Trial {found.trial}{' (measured before)' if found.kept else ''}:"]
    for measured in found.measured:
        lines.append(f"  {measured.label} ({measured.version}):")
        lines += measured_lines(measured)
    return lines


def measured_lines(found: Measured) -> list[str]:
    """The figures of a tool, and what else is to know."""
    return [f"    {line}" for line in (figures(found), *found.notes)]


def figures(found: Measured) -> str:
    """`luts 412, registers 0`: by their names without the tool's."""
    known = TOOLS[found.tool].metrics
    return ", ".join(
        f"{name.removeprefix(found.tool + '_')} {shown_number(known[name], value)}"
        for name, value in found.metrics.items()
    )
