"""Number formats as one HTML page that needs no network: their values, and how far off rounding is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.formats import Binary, Format, ScaledInteger, Ternary
from widthwise.formats.blocks import BlockFormat
from widthwise.formats.scales import fixed
from widthwise.formats.statistics import statistics
from widthwise.report.charts import COLOURS, DASHES, Chart, chart_page, plotly_text
from widthwise.report.sheets import Sheet

MOST_VALUES = 3000  # ticks of a format that are drawn
OCTAVES = (-16, 16)  # of the relative errors
BINS = 8  # in an octave

NOTES = (
    "Values and errors are those of quantize, in float64. A format whose scale follows the data, a block "
    "format too, is drawn for data that reaches from the left to the right end of the first chart.",
    "The relative error is the greatest of 32 numbers in each eighth of an octave: what a number of that "
    "size has to expect at worst. 100 % is a number that becomes zero.",
    "Signal to noise is measured on 65,536 numbers of a normal distribution with mean 0 and deviation 1.",
)


@dataclass(frozen=True)
class Drawn:
    """A format, its values, and its errors at the numbers that the second and the third chart show."""

    fmt: Format
    values: Tensor  # rising
    errors: Tensor  # [points]
    relative: Tensor  # [bins], NaN beyond the data of a scale that follows it


def formats_page(formats: Sequence[Format]) -> str:
    """The whole page, for one or more formats: a table, value sets, errors. Raises UserError for none."""
    if not formats:
        raise UserError("no formats to draw; name some, such as fixed<8,4> or e4m3")
    chosen = list(dict.fromkeys(formats))
    reach = _reach(chosen)
    x = torch.linspace(-reach, reach, 1601, dtype=torch.float64)
    drawn = [_drawn(fmt, x) for fmt in chosen]
    return chart_page(
        title="Number formats",
        lines=[", ".join(map(repr, chosen))],
        warnings=[],
        charts=[_value_chart(drawn, reach), _error_chart(drawn, x), _relative_chart(drawn)],
        sheets=[_table(drawn)],
        notes=NOTES,
    )


def _reach(formats: Sequence[Format]) -> float:
    """How far axes go: a little beyond where the first of the formats saturates; 1 where none does."""
    ends = [fmt.range[1] for fmt in formats if _range_is_fixed(fmt)]
    return 1.125 * min(ends) if ends else 1.0


def _range_is_fixed(fmt: Format) -> bool:
    return not isinstance(fmt, BlockFormat) and math.isfinite(fmt.range[1])


def _drawn(fmt: Format, x: Tensor) -> Drawn:
    reach = float(x[-1])
    alone = _one_part(fmt)
    near_zero = reach * torch.exp2(torch.linspace(-40, 0, 4001, dtype=torch.float64))
    dense = torch.cat([torch.linspace(-reach, reach, 16_001, dtype=torch.float64), near_zero, -near_zero])
    low, high = OCTAVES
    edges = torch.linspace(low, high, (high - low) * BINS * 32 + 1, dtype=torch.float64)[:-1]
    sizes = torch.exp2(edges)
    within = sizes <= reach if not alone.elementwise else torch.ones_like(sizes, dtype=torch.bool)
    data = torch.cat([torch.where(within, sizes, 0.0), x[[0, -1]]])  # what a scale follows
    relative = ((alone.quantize(data)[:-2] - sizes).abs() / sizes).where(within, math.nan)
    return Drawn(
        fmt=fmt,
        values=alone.quantize(dense).unique(),  # type: ignore[no-untyped-call]
        errors=alone.quantize(x) - x,
        relative=relative.reshape(-1, 32).amax(1),
    )


def _one_part(fmt: Format) -> Format:
    """The format for data that all shares one scale: what one block, one channel, one group looks like."""
    if isinstance(fmt, BlockFormat):
        return replace(fmt, block_size=-1, axis=-1, skip_first_dim=False)
    if isinstance(fmt, ScaledInteger):
        first = replace(fmt, scale=None, zero_point=None, per="tensor", axis=None, group_size=None)
        points = fmt.zero_point[:1] if isinstance(fmt.zero_point, tuple) else None
        return replace(first, scale=(fixed(fmt.scale) or ())[:1] or None, zero_point=points)
    if isinstance(fmt, Binary):
        return replace(fmt, axis=None, scale=(fixed(fmt.scale) or ())[:1] or None)
    if isinstance(fmt, Ternary):
        threshold = (fixed(fmt.threshold) or ())[:1] or None
        return replace(fmt, axis=None, threshold=threshold, scale=(fixed(fmt.scale) or ())[:1] or None)
    return fmt


def _value_chart(drawn: Sequence[Drawn], reach: float) -> Chart:
    traces = []
    for number, one in reversed(list(enumerate(drawn))):  # the first on top
        inside = one.values[one.values.abs() <= reach]
        shown = inside[:: -(-len(inside) // MOST_VALUES)] if len(inside) else inside
        marker = {"symbol": "line-ns-open", "size": 16, "color": _colour(number)}
        name = plotly_text(repr(one.fmt))
        points = {"x": shown.tolist(), "y": [name] * len(shown)}
        trace = {"type": "scatter", "mode": "markers", "name": name, "showlegend": False}
        traces.append({**trace, "marker": marker, **points})
    return Chart("values", "Values", tuple(traces), "value", "")


def _error_chart(drawn: Sequence[Drawn], x: Tensor) -> Chart:
    traces = [_line(one, number, x, one.errors) for number, one in enumerate(drawn)]
    return Chart("errors", "Error of each number", tuple(traces), "number", "quantised - number")


def _relative_chart(drawn: Sequence[Drawn]) -> Chart:
    low, high = OCTAVES
    sizes = torch.exp2(low + torch.arange((high - low) * BINS, dtype=torch.float64) / BINS)
    traces = [_line(one, number, sizes.log2(), 100 * one.relative) for number, one in enumerate(drawn)]
    title = "Relative error by size"
    return Chart(
        "relative", title, tuple(traces), "number, power of 2", "greatest error, %", logarithmic=True
    )


def _line(one: Drawn, number: int, x: Tensor, y: Tensor) -> dict[str, Any]:
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plotly_text(repr(one.fmt)),
        "x": x.tolist(),
        "y": y.tolist(),
        "line": {"color": _colour(number), "dash": dash, "width": 1.5},
    }


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _table(drawn: Sequence[Drawn]) -> Sheet:
    rows = []
    for one in drawn:
        positive = one.values[one.values > 0]
        low, high = one.fmt.range
        fixed_range = _range_is_fixed(one.fmt)
        rows.append(
            (
                repr(one.fmt),
                f"{one.fmt.bits:g}",
                f"{low:g}" if fixed_range else "follows the data",
                f"{high:g}" if fixed_range else "follows the data",
                f"{positive.min():g}" if fixed_range and len(positive) else "-",
                f"{_signal_to_noise(one.fmt):.1f}",
            )
        )
    headers = ("format", "bits", "least", "greatest", "least above 0", "signal to noise, dB")
    return Sheet("Formats", headers, tuple(rows))


def _signal_to_noise(fmt: Format) -> float:
    """On normal numbers; of a format made for tensors of another shape, what one of its parts gives."""
    normal = torch.randn(64, 1024, generator=torch.Generator().manual_seed(0))
    try:
        return statistics(fmt, normal).snr_db
    except UserError:
        return statistics(_one_part(fmt), normal).snr_db
