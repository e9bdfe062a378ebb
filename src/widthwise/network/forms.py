"""Forms that networks are exported in: their names, and what writes each, found when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from widthwise.core.errors import UserError
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


def form_named(text: str, *, where: str = "") -> str:
    """A form with options, "onnx layout=qdq", by its canonical name; imports nothing.

    Raises UserError where there is none, and for what is no option=value.
    """
    name, options = form_of(text, where=where)
    return " ".join([EXPORTERS.find(name, where=where).name, *(f"{key}={options[key]}" for key in options)])


def form_of(text: str, *, where: str = "") -> tuple[str, dict[str, str]]:
    """The name and the options of a form as text, "onnx layout=qdq"; UserError where it can't be read."""
    name, *given = text.split() or [""]
    pairs = [each.partition("=") for each in given]
    if wrong := [
        each for each, (key, is_, value) in zip(given, pairs, strict=True) if not (key and is_ and value)
    ]:
        place = f"{where}: " if where else ""
        raise UserError(f'{place}{wrong[0]!r} is no option=value; write "onnx layout=qdq"')
    return name, {key: value for key, _, value in pairs}


def computes_in_integers(text: str) -> bool:
    """Whether a form, with its options, has nothing but fixed point, so batch norms have to be folded."""
    name, options = form_of(text)
    return name in INTEGERS or (name == "onnx" and options.get("layout") == "qdq")


def made_form(name: str, options: Mapping[str, object] | None = None, *, where: str = "") -> Any:
    """What writes a form, made with options; texts are read as numbers where it takes numbers.

    Raises UserError where there is none, its package is broken, or it has no such option.
    """
    make = EXPORTERS.load(name, where=where)
    takes = {
        key: each.default
        for key, each in signature(make).parameters.items()
        if key not in ("name", "extra", "exact")
    }
    return make(**{key: _read_option(name, key, value, takes) for key, value in (options or {}).items()})


def _read_option(form: str, key: str, value: object, takes: Mapping[str, object]) -> object:
    if key not in takes:
        allowed = ", ".join(takes) or "none"
        raise UserError(f"export form {form}: has no option {key}; allowed: {allowed}")
    if not isinstance(value, str) or isinstance(takes[key], str):
        return value
    try:
        return {"true": True, "false": False}[value] if isinstance(takes[key], bool) else float(value)
    except (KeyError, ValueError):
        kind = "true or false" if isinstance(takes[key], bool) else "a number"
        raise UserError(f"export form {form}: {key} = {value!r}; give {kind}") from None
