"""The summary of a quantisation: what changed, by type and by name, and what it does to given data."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from widthwise.core.errors import UserError, unknown
from widthwise.core.files import write_atomically
from widthwise.core.plain import plain_cell
from widthwise.formats.base import Format
from widthwise.formats.statistics import TensorStatistics, statistics
from widthwise.network.calibration import input_values
from widthwise.network.capture import Example
from widthwise.network.graph import Graph
from widthwise.network.passes.calibrate import SAMPLES
from widthwise.network.passes.inputs import some_inputs
from widthwise.network.passes.tables import text_table
from widthwise.network.passes.watch import watch
from widthwise.network.scheme import Scheme

PASS = "summarize_quantization_analysis_pass"
ARGUMENTS = ("original_graph", "ori_graph", "save_dir", "data", "samples")
STATISTICS = ("min", "max", "clipped", "SNR dB")
LAYER_COLUMNS = ("name", "type", "before", "after", "changed")
TYPE_COLUMNS = ("type", "total", "changed", "unchanged", "formats")
TENSOR_COLUMNS = ("layer", "tensor", "format", *STATISTICS)


@dataclass(frozen=True)
class LayerSummary:
    """What one layer computes with."""

    name: str
    type: str
    before: Scheme
    after: Scheme

    @property
    def changed(self) -> bool:
        """Whether the two differ."""
        return self.before != self.after


@dataclass(frozen=True)
class TypeSummary:
    """The layers of one type."""

    type: str
    total: int
    changed: int
    schemes: tuple[Scheme, ...]  # those that its layers have now, each once

    @property
    def unchanged(self) -> int:
        """How many of its layers compute as before."""
        return self.total - self.changed


@dataclass(frozen=True)
class TensorSummary:
    """What a format does to one tensor of a layer."""

    layer: str
    tensor: str  # data_in, or a parameter's name
    format: Format
    statistics: TensorStatistics


@dataclass(frozen=True)
class QuantizationSummary:
    """What a quantisation changed; as text, its tables."""

    layers: tuple[LayerSummary, ...]  # in execution order
    tensors: tuple[TensorSummary, ...] = ()  # where data was given

    @property
    def types(self) -> tuple[TypeSummary, ...]:
        """The layers counted by type, in the order of their first appearance."""
        groups: dict[str, list[LayerSummary]] = defaultdict(list)
        for layer in self.layers:
            groups[layer.type].append(layer)
        return tuple(
            TypeSummary(
                kind,
                len(group),
                sum(layer.changed for layer in group),
                tuple(dict.fromkeys(layer.after for layer in group)),
            )
            for kind, group in groups.items()
        )

    def __str__(self) -> str:
        tables = [
            text_table("Quantised graph, by type", TYPE_COLUMNS, _type_rows(self.types)),
            text_table("Quantised graph, by name", LAYER_COLUMNS, _layer_rows(self.layers)),
        ]
        if self.tensors:
            tables.append(text_table("Quantised tensors", TENSOR_COLUMNS, _tensor_rows(self.tensors)))
        return "\n\n".join(tables)


def summarize_quantization_analysis_pass(
    graph: Graph, pass_args: Mapping[str, Any] | None = None
) -> tuple[Graph, QuantizationSummary]:
    """The graph as it is, and how its layers' schemes differ from the original's.

    pass_args, all optional: "original_graph" (or "ori_graph"), to compare with, by default the float network;
    "data", a data module (its validation part), a loader or inputs, for range, clipping share and
    signal-to-noise ratio of each quantised tensor, from what the quantised network computes on up to
    "samples" (1,024) of them; "save_dir", where quantize_table.csv, quantize_histogram.csv and, with data,
    quantize_tensors.csv are written. Raises UserError for other arguments and for data that does not fit.
    """
    args = dict(pass_args or {})
    for key in args:
        if key not in ARGUMENTS:
            raise unknown("argument", key, ARGUMENTS, where=PASS)
    original = args.get("original_graph", args.get("ori_graph"))
    before, after = original.schemes if original is not None else {}, graph.schemes
    layers = tuple(
        LayerSummary(layer.name, layer.type, before.get(layer.name, Scheme()), after[layer.name])
        for layer in graph.layers
    )
    tensors: tuple[TensorSummary, ...] = ()
    if args.get("data") is not None:
        samples = args.get("samples", SAMPLES)
        tensors = _tensor_summaries(
            graph, some_inputs(graph, args["data"], samples=samples, part="val", where=PASS)
        )
    summary = QuantizationSummary(layers, tensors)
    if args.get("save_dir") is not None:
        _save(summary, Path(args["save_dir"]))
    return graph, summary


def _tensor_summaries(graph: Graph, blocks: Iterable[Example]) -> tuple[TensorSummary, ...]:
    """Every quantised tensor, layer by layer; a layer's inputs are taken together."""
    layers, schemes = {layer.name: layer for layer in graph.layers}, graph.schemes
    read_by: dict[str, list[_Part]] = defaultdict(list)

    def note(name: str, read: tuple[Tensor, ...]) -> None:
        if name in layers and (fmt := schemes[name].data_in) is not None:
            read_by[name] += [_Part.of(fmt, x) for x in input_values(read)]

    for inputs in blocks:
        watch(graph, inputs, before=note, data=True)
    found = []
    for name, layer in layers.items():
        scheme = schemes[name]
        if scheme.data_in is not None and (parts := read_by[name]):
            found.append(TensorSummary(name, "data_in", scheme.data_in, _over(parts)))
        for role, stored in layer.stored.items():
            if (fmt := scheme[role]) is not None:
                found += [TensorSummary(name, x.own_name, fmt, statistics(fmt, x.value)) for x in stored]
    return tuple(found)


@dataclass(frozen=True)
class _Part:
    """The statistics of one tensor, and the sum of its squares."""

    statistics: TensorStatistics
    signal: float

    @classmethod
    def of(cls, fmt: Format, x: Tensor) -> _Part:
        """Of a tensor that is quantised by itself."""
        return cls(statistics(fmt, x), float(x[x.isfinite()].double().square().sum()))


def _over(read: Sequence[_Part]) -> TensorStatistics:
    """Statistics of several tensors together."""
    parts = [part.statistics for part in read]
    if len(parts) == 1:
        return parts[0]
    counts = torch.tensor([part.elements - part.not_finite for part in parts], dtype=torch.float64)
    share = counts / counts.sum().clamp_min(1)
    noise = float(sum(part.mse * float(count) for part, count in zip(parts, counts, strict=True)))
    signal = sum(part.signal for part in read)
    clipped = float(share @ torch.tensor([part.clipped for part in parts], dtype=torch.float64))
    return TensorStatistics(
        minimum=min(part.minimum for part in parts),
        maximum=max(part.maximum for part in parts),
        clipped=clipped,
        snr_db=_decibels(signal, noise),
        mse=noise / max(float(counts.sum()), 1.0),
        elements=sum(part.elements for part in parts),
        not_finite=sum(part.not_finite for part in parts),
    )


def _decibels(signal: float, noise: float) -> float:
    return (
        float(10 * torch.log10(torch.tensor(signal, dtype=torch.float64) / noise)) if noise else float("inf")
    )


def _type_rows(types: Sequence[TypeSummary]) -> list[tuple[object, ...]]:
    return [
        (
            kind.type,
            kind.total,
            kind.changed,
            kind.unchanged,
            " | ".join(str(scheme) for scheme in kind.schemes),
        )
        for kind in types
    ]


def _layer_rows(layers: Sequence[LayerSummary]) -> list[tuple[object, ...]]:
    return [
        (layer.name, layer.type, str(layer.before), str(layer.after), "yes" if layer.changed else "no")
        for layer in layers
    ]


def _tensor_rows(tensors: Sequence[TensorSummary]) -> list[tuple[object, ...]]:
    return [(row.layer, row.tensor, repr(row.format), *_figures(row.statistics)) for row in tensors]


def _figures(found: TensorStatistics) -> tuple[object, ...]:
    return (found.minimum, found.maximum, f"{100 * found.clipped:.2f} %", found.snr_db)


def _save(summary: QuantizationSummary, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: can't be made: {error.strerror}; give another save_dir") from error
    _write_csv(folder / "quantize_table.csv", LAYER_COLUMNS, _layer_rows(summary.layers))
    _write_csv(folder / "quantize_histogram.csv", TYPE_COLUMNS, _type_rows(summary.types))
    if summary.tensors:
        _write_csv(folder / "quantize_tensors.csv", TENSOR_COLUMNS, _tensor_rows(summary.tensors))


def _write_csv(path: Path, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headers)
    writer.writerows([plain_cell(cell) for cell in row] for row in rows)
    write_atomically(path, text.getvalue().encode())
