"""What Vitis HLS (and Vivado HLS before it) estimates: its csynth.xml."""

from __future__ import annotations

import math

from widthwise.core.errors import UserError
from widthwise.export.vendor.xml import texts_of
from widthwise.study.measured import Measured

TOOL = "vitis_hls"
_RESOURCES = "AreaEstimates/Resources/"
_LATENCY = "PerformanceEstimates/SummaryOfOverallLatency/"
PATHS = {  # the first that is there
    "luts": (_RESOURCES + "LUT",),
    "registers": (_RESOURCES + "FF",),
    "dsps": (_RESOURCES + "DSP", _RESOURCES + "DSP48E"),
    "brams": (_RESOURCES + "BRAM_18K",),
    "urams": (_RESOURCES + "URAM",),
    "latency_cycles": (_LATENCY + "Worst-caseLatency",),
    "interval_cycles": (_LATENCY + "Interval-max",),
    "clock_ns": ("PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod",),
}
UNKNOWN = ("undef", "?", "-")  # as it writes what it can't tell


def read_csynth(content: bytes, where: str) -> Measured:
    """The figures of the whole design; latency and interval are the greatest, where it tells them.

    Raises UserError where it is no such report.
    """
    texts = texts_of(content, where)
    found = {}
    for name, paths in PATHS.items():
        text = next((texts[path] for path in paths if path in texts), None)
        if text is not None and text not in UNKNOWN:
            found[f"{TOOL}_{name}"] = _number(text, f"{where}: {paths[0]}")
    if f"{TOOL}_luts" not in found:
        raise UserError(
            f"{where}: has no {PATHS['luts'][0]}, so it is no csynth.xml of Vitis HLS; it lies in "
            "solution1/syn/report of the project"
        )
    version = texts.get("ReportVersion/Version", "of unknown version")
    part, top = texts.get("UserAssignments/Part"), texts.get("UserAssignments/TopModelName")
    notes = [f"{what} {value}" for what, value in (("part", part), ("top", top)) if value]
    return Measured(TOOL, f"Vitis HLS {version}", found, tuple(notes))


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise UserError(f"{where}: is {text[:40]!r}, which is no count")
    return value
