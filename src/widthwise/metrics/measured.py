"""Figures that tools measure of exported networks: each tool with its metrics (imports no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from widthwise.metrics.catalogue import Direction, Metric


@dataclass(frozen=True)
class Tool:
    """Who measured. label: what it is called, and what its figures are not. metrics: by name."""

    key: str
    label: str
    metrics: Mapping[str, Metric]


_RESOURCES = {
    "luts": ("LUTs", "LUTs"),
    "registers": ("registers", "flip-flops"),
    "dsps": ("DSPs", "DSP blocks"),
    "brams": ("BRAMs", "blocks of RAM"),
    "urams": ("URAMs", "blocks of UltraRAM"),
    "carries": ("cells", "carry chain cells"),
    "cells": ("cells", "logic cells"),
    "adders": ("adders", "additions and subtractions"),
    "latency_cycles": ("clocks", "clocks from input to output"),
    "interval_cycles": ("clocks", "clocks from one input to the next"),
    "clock_ns": ("ns", "length of a clock"),
    "mhz": ("MHz", "clocks in a microsecond"),
}


def _tool(key: str, label: str, *names: str) -> Tool:
    metrics = {}
    for name in names:
        unit, what = _RESOURCES[name]
        direction: Direction = "maximize" if name == "mhz" else "minimize"
        full = f"{key}_{name}"
        metrics[full] = Metric(full, "measured", direction, unit, f"{what} by {label}", 0.0)
    return Tool(key, label, metrics)


TOOLS: dict[str, Tool] = {
    tool.key: tool
    for tool in (
        _tool("alkaid", "alkaid's estimate of the whole network", "luts", "adders", "latency_cycles"),
        _tool("yosys", "Yosys, not Vivado", "luts", "registers", "dsps", "carries"),
        _tool("nextpnr", "nextpnr on an iCE40 HX8K", "cells", "mhz"),
        _tool("vivado", "Vivado", "luts", "registers", "dsps", "brams", "urams", "carries"),
        _tool(
            "vitis_hls",
            "Vitis HLS' estimate",
            *("luts", "registers", "dsps", "brams", "urams"),
            *("latency_cycles", "interval_cycles", "clock_ns"),
        ),
    )
}
MEASURED: dict[str, Metric] = {
    name: metric for tool in TOOLS.values() for name, metric in tool.metrics.items()
}
