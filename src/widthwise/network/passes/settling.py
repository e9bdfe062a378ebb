"""Settling: help that formats carry becomes weights and biases of the network, and the formats plain ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from widthwise.formats.base import Format
from widthwise.formats.corrected import Corrected
from widthwise.formats.directions import NEAREST, is_found
from widthwise.network.graph import Graph
from widthwise.network.scheme import Scheme


def settled(graph: Graph, schemes: Mapping[str, Scheme]) -> tuple[Graph, dict[str, Scheme]]:
    """A float graph whose weights are those that the schemes round adaptively, whose biases those that they
    correct, and schemes that keep them.

    The graph itself where there are none; with them it computes what it does with the schemes that are given.
    """
    helped = {name: scheme for name, scheme in schemes.items() if _is_helped(scheme)}
    if not helped:
        return graph, dict(schemes)
    made = graph.copy()
    layers = {layer.name: layer for layer in made.layers}
    kept = dict(schemes)
    with torch.no_grad():
        for name, scheme in helped.items():
            kept[name] = _settle(layers[name].module, scheme)
    return made, kept


def _settle(module: Any, scheme: Scheme) -> Scheme:
    weight: Any = scheme.weight
    if _is_directed(weight):
        module.weight.copy_(weight.quantize(module.weight))
        scheme = replace(scheme, weight=replace(weight, rounding=NEAREST))
    if isinstance(scheme.bias, Corrected):
        module.bias.copy_(scheme.bias.moved(module.bias))
        scheme = replace(scheme, bias=scheme.bias.of)
    return scheme


def _is_helped(scheme: Scheme) -> bool:
    return _is_directed(scheme.weight) or isinstance(scheme.bias, Corrected)


def _is_directed(fmt: Format | None) -> bool:
    return is_found(getattr(fmt, "rounding", NEAREST))
