"""Units that bounds may be written in, and the values that metrics can have (imports nothing heavy)."""

from __future__ import annotations

import math

from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import Metric

UNITS: dict[str, float] = {
    "": 1,
    "b": 1,
    "byte": 1,
    "bytes": 1,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "bit": 1,
    "bits": 1,
    "k": 1e3,
    "m": 1e6,
    "g": 1e9,
    "%": 1e-2,
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1,
}
DURATIONS: dict[str, float] = {
    "": 1,
    "s": 1,
    "sec": 1,
    "second": 1,
    "seconds": 1,
    "min": 60,
    "minute": 60,
    "minutes": 60,
    "h": 3600,
    "hour": 3600,
    "hours": 3600,
}
SPELLED_UNITS = "B, kB, MB, GB, KiB, MiB, GiB, bits, k, M, G, %, ns, us, ms, s"
_BYTES = {"b", "byte", "bytes", "kb", "mb", "gb", "kib", "mib", "gib"}
_TIMES = {"ns", "us", "ms", "s"}
_KINDS = ((_BYTES, "bytes"), (_TIMES, "seconds"), ({"%"}, "share"), ({"bit", "bits"}, "bits"))


def in_unit_of(metric: Metric, number: float, written: str, *, where: str) -> float:
    """A number with its unit as written, in the unit that the metric is measured in (None: any).

    Raises UserError for an unknown unit, and for bytes of an accuracy.
    """
    unit, measured = written.lower().replace("µ", "u"), metric.unit
    if unit not in UNITS:
        raise UserError(f"{where}: no unit {written!r}; allowed: {SPELLED_UNITS}")
    if unit in _TIMES and measured in _TIMES:
        return number * UNITS[unit] / UNITS[measured]
    for units, kind in _KINDS:
        if measured is not None and unit in units and measured != kind:
            own = measured or "plain numbers"
            raise UserError(
                f"{where}: {metric.name} is measured in {own}, not in {kind}; leave out {written}"
            )
    # 70 * 0.01 would be 0.7000000000000001
    return number / 100 if unit == "%" else number * UNITS[unit]


def spelled_range(metric: Metric) -> str:
    """The range of a metric in words: "accuracy is from 0 to 1"."""
    name, low, high = metric.name, metric.low, metric.high
    return f"{name} is at least {low:g}" if math.isinf(high) else f"{name} is from {low:g} to {high:g}"


def spelled_number(value: float) -> str:
    """A number in digits: 1268000, 1126.4, 0.726667."""
    whole = value == round(value) and abs(value) < 1e15 if math.isfinite(value) else False
    return f"{value:.0f}" if whole else f"{value:.6g}"


def spelled(metric: Metric, value: float) -> str:
    """A value with its unit, where the metric has one that people write: 1126.4 bytes, 5 bits, 0.72."""
    unit = f" {metric.unit}" if metric.unit in ("bytes", "bits") else ""
    return spelled_number(value) + unit
