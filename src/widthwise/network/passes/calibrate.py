"""The calibration pass: formats that follow the data are fixed once and for all, from typical data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from widthwise.core.errors import UserError, unknown
from widthwise.formats.base import Format
from widthwise.network.graph import Graph
from widthwise.network.passes.inputs import some_inputs
from widthwise.network.passes.watch import watch
from widthwise.network.quantized import parameter_role
from widthwise.network.scheme import Scheme, TensorName

PASS = "calibrate_transform_pass"
SAMPLES = 1024
ARGUMENTS = ("data", "samples")


def calibrate_transform_pass(graph: Graph, pass_args: Mapping[str, Any]) -> tuple[Graph, dict[str, Scheme]]:
    """A copy of the graph whose formats are fixed where they followed the data ("auto" frac widths, scales).

    pass_args: "data", a loader, a data module (its training part), or inputs as they are; "samples", how many
    are looked at (1,024). Formats of inputs are fixed from what the float network computes on these, formats
    of weights and biases from their values. What differs from sample to sample (scales of blocks) stays as it
    is, and so do the formats of several weights that one layer has. Returns the copy and the scheme of each
    quantised layer; the graph given stays as it is. Raises UserError for data that the network can't take.
    """
    for key in pass_args:
        if key not in ARGUMENTS:
            raise unknown("argument", key, ARGUMENTS, where=PASS)
    if pass_args.get("data") is None:
        raise UserError(f'{PASS}: needs data to look at; give {{"data": loader}}')
    samples = pass_args.get("samples", SAMPLES)
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise UserError(f"{PASS}: samples = {samples!r} is no whole number from 1")
    inputs = some_inputs(pass_args["data"], samples=samples, where=PASS)
    schemes = {name: scheme for name, scheme in graph.schemes.items() if scheme}
    types = {layer.name: layer.type for layer in graph.layers}
    seen: dict[str, list[Tensor]] = defaultdict(list)

    def note(name: str, read: tuple[Tensor, ...]) -> None:
        fmt = schemes[name].data_in if name in schemes else None
        values = [] if fmt is None else input_values(types[name], read)
        if fmt is not None and fixed_for_inputs(fmt, values) != fmt:  # it follows the data
            seen[name] += [x.clone() for x in values]  # a later layer may change them in place

    watch(graph.quantized({name: Scheme() for name in schemes}), inputs, before=note, masks=False)
    modules = {layer.name: layer.module for layer in graph.layers}
    fixed = {name: _fixed(modules[name], scheme, seen[name]) for name, scheme in schemes.items()}
    return graph.quantized(fixed), fixed


def input_values(layer_type: str, read: Sequence[Tensor]) -> list[Tensor]:
    """Of the tensors that a layer reads those that its data_in format applies to: floats, no masks."""
    read = read[:3] if layer_type == "multihead_attention" else read
    return [x.detach() for x in read if x.is_floating_point()]


def fixed_for_inputs(fmt: Format, values: Sequence[Tensor]) -> Format:
    """The format with what follows the data fixed from all these values of inputs [samples, …].

    A format that would then fit only as many samples as there are here stays as it is.
    """
    if not values:
        return fmt
    fixed = fmt.calibrated(_joined(fmt, values))
    try:
        for x in values:
            fixed.quantize(x[:1])
    except UserError:
        return fmt
    return fixed


def _fixed(module: nn.Module | None, scheme: Scheme, inputs: Sequence[Tensor]) -> Scheme:
    formats: dict[TensorName, Format | None] = {"weight": scheme.weight, "bias": scheme.bias}
    for role, fmt in formats.items():
        held = [] if module is None else list(module.named_parameters())
        own = [value.detach() for parameter, value in held if parameter_role(parameter) == role]
        if fmt is not None and len(own) == 1:
            formats[role] = fmt.calibrated(own[0])
    data_in = scheme.data_in and fixed_for_inputs(scheme.data_in, inputs)
    return Scheme(data_in=data_in, weight=formats["weight"], bias=formats["bias"])


def _joined(fmt: Format, values: Sequence[Tensor]) -> Tensor:
    """All values in one tensor; for formats with scales along an axis those of the first one's shape."""
    first = values[0]
    alike = [x for x in values if x.ndim and x.shape[1:] == first.shape[1:]]
    if len(alike) == len(values) or _has_axis(fmt):
        return torch.cat(alike) if len(alike) > 1 else first
    return torch.cat([x.flatten() for x in values])


def _has_axis(fmt: Format) -> bool:
    return getattr(fmt, "per", "tensor") != "tensor" or getattr(fmt, "axis", None) is not None
