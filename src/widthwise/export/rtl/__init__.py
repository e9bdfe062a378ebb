"""Networks in fixed point as logic: every multiplication unrolled to adders, in Verilog or VHDL."""

from __future__ import annotations

from widthwise.export.rtl.exporter import RtlExporter


def verilog(pipeline: float = 0.0, simulate: bool = True, ternary: bool = True) -> RtlExporter:
    """The form "verilog"."""
    return RtlExporter("verilog", pipeline, simulate, ternary)


def vhdl(pipeline: float = 0.0, simulate: bool = True, ternary: bool = True) -> RtlExporter:
    """The form "vhdl"."""
    return RtlExporter("vhdl", pipeline, simulate, ternary)
