"""Forms that networks are exported in: their names, and what writes each, found when it is first needed."""

from __future__ import annotations

from widthwise.core.registry import Entry, Registry

INTEGERS = ("c", "hls4ml", "verilog", "vhdl")  # forms that compute in whole numbers alone

EXPORTERS: Registry[None] = Registry(
    "export form",
    [
        Entry(
            "torch",
            "widthwise.export.torch:TorchExporter",
            "weights as safetensors and the rest as JSON; widthwise.load reads it",
        ),
        Entry(
            "onnx",
            "widthwise.export.onnx:OnnxExporter",
            "an ONNX file of a network in float, or in bytes that ONNX Runtime multiplies as integers",
            extra="onnx",
        ),
        Entry(
            "qonnx",
            "widthwise.export.qonnx:QonnxExporter",
            "an ONNX file whose Quant and BipolarQuant nodes are the formats",
            extra="onnx",
        ),
        Entry(
            "c",
            "widthwise.export.c.exporter:CExporter",
            "integer-only C99 of a network in fixed point, with a test main",
        ),
        Entry(
            "hls4ml",
            "widthwise.export.hls4ml.exporter:Hls4mlExporter",
            "a project for high-level synthesis of a network in fixed point",
            extra="hls4ml",
        ),
        Entry(
            "verilog",
            "widthwise.export.rtl:verilog",
            "logic of a network in fixed point, every product unrolled, with a test bench",
            extra="fpga",
        ),
        Entry(
            "vhdl",
            "widthwise.export.rtl:vhdl",
            "the same in VHDL",
            extra="fpga",
        ),
    ],
    group="widthwise.exporters",
    methods=("refusals", "write"),
)
