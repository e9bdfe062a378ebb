"""How long networks take, as rows of a table and in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.report.sheets import plural

if TYPE_CHECKING:
    from widthwise.export.latency.latency import Latency

HEADERS = ("latency", "of the float's", "quartiles", "float to itself")


def latency_row(found: Latency) -> list[str]:
    """By HEADERS."""
    ratio, control = found.measured.ratio, found.measured.control
    return [f"{found.microseconds:,.1f} us", f"{found.ratio:.3f}", str(ratio), str(control)]


def how_line(found: Latency) -> str:
    """What ran, with how many samples and threads, and what the float network takes."""
    timing = found.timing
    return (
        f"{found.runtime}; {plural(timing.batch, 'sample')} a call, {plural(timing.threads, 'thread')}; "
        f"the float network takes {found.float_microseconds:,.1f} us"
    )
