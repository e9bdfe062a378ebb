"""The calibration pass: formats that follow the data are fixed once and for all, from typical data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from widthwise.core.errors import UserError, unknown
from widthwise.network.calibration import Formats, Readings, fixed_by_stored
from widthwise.network.capture import Example
from widthwise.network.graph import Graph
from widthwise.network.passes.adaptive_rounding import with_directions
from widthwise.network.passes.inputs import some_inputs
from widthwise.network.passes.watch import watch
from widthwise.network.scheme import Scheme

PASS = "calibrate_transform_pass"
SAMPLES = 1024
ARGUMENTS = ("data", "samples")


def calibrate_transform_pass(graph: Graph, pass_args: Mapping[str, Any]) -> tuple[Graph, dict[str, Scheme]]:
    """A copy of the graph whose formats are fixed where they followed the data ("auto" frac widths, scales).

    pass_args: "data", a loader, a data module (its training part), or inputs as they are; "samples", how many
    are looked at (1,024). Formats of inputs are fixed from what the float network computes on these, formats
    of weights and biases from their values, adaptive rounding of weights from both. What differs from sample
    to sample (scales of blocks) stays as it is, and so do the formats of several weights that one layer has.
    Returns the copy and the scheme of each quantised layer; the graph given stays as it is. Raises UserError
    for data that the network can't take, and for weights whose rounding can't be found.
    """
    for key in pass_args:
        if key not in ARGUMENTS:
            raise unknown("argument", key, ARGUMENTS, where=PASS)
    if pass_args.get("data") is None:
        raise UserError(f'{PASS}: needs data to look at; give {{"data": loader}}')
    samples = pass_args.get("samples", SAMPLES)
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise UserError(f"{PASS}: samples = {samples!r} is no whole number from 1")
    blocks = partial(some_inputs, graph, pass_args["data"], samples=samples, where=PASS)
    schemes = {name: scheme for name, scheme in graph.schemes.items() if scheme}
    inputs = fixed_by_data(graph, {name: (scheme.data_in,) for name, scheme in schemes.items()}, blocks)
    layers = {layer.name: layer for layer in graph.layers}
    stored = {name: fixed_by_stored((each.weight,), layers[name], "weight") for name, each in schemes.items()}
    weights = with_directions(graph, stored, blocks)
    fixed = {}
    for name, scheme in schemes.items():
        (data_in,), (weight,) = inputs[name], weights[name]
        (bias,) = fixed_by_stored((scheme.bias,), layers[name], "bias")
        fixed[name] = Scheme(data_in=data_in, weight=weight, bias=bias)
    return graph.quantized(fixed), fixed


def fixed_by_data(
    graph: Graph, formats: Mapping[str, Formats], blocks: Callable[[], Iterable[Example]]
) -> dict[str, Formats]:
    """Formats of data_in by layer, fixed by what the float network computes on blocks of inputs.

    blocks: gives the same blocks each time that it is called; some formats need to see them twice.
    """
    readings = Readings(formats)
    quantised = {name: Scheme() for name, scheme in graph.schemes.items() if scheme}
    plain = graph.quantized(quantised) if quantised else graph
    unread = True
    while unread or readings.follows:
        unread = False
        for inputs in blocks():
            watch(plain, inputs, before=readings.note, data=True)
            if readings.finished:
                break
        readings.settle()
    return {name: readings.fixed(name) for name in formats}
