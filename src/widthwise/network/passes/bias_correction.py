"""Correcting biases: each gets what the rounding of its layer's weight takes from the outputs on average.

What a layer gives is wrong by d x for weights that are wrong by d, so on average by d times the mean of what
it reads: that follows from the float network and the weight's format alone, so it is found once for each
format, and holds for every candidate that has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from widthwise.core.threads import one_torch_thread
from widthwise.formats.base import Format
from widthwise.formats.corrected import Corrected
from widthwise.network.calibration import Formats
from widthwise.network.capture import Example
from widthwise.network.graph import Graph
from widthwise.network.layer import Layer
from widthwise.network.passes.watch import watch
from widthwise.network.quantized import is_more_than_its_class
from widthwise.network.scheme import Scheme

Biased = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def why_not_corrected(graph: Graph, layer: Layer) -> str:
    """Why the bias of a layer with a weight can't be corrected; "" where it can."""
    if graph.capture != "fx":
        return f"the network runs as it is ({graph.capture_error})"
    if not isinstance(layer.module, Biased) or is_more_than_its_class(layer.module):
        return f"a {layer.type} is none of torch's linear layers and convolutions"
    biases = layer.stored.get("bias", ())
    if len(biases) != 1:
        return "has no bias"
    every = [one.identity for other in graph.layers for one in other.stored.get("bias", ())]
    if every.count(biases[0].identity) > 1:
        return "its bias is read by several layers"
    return ""


def with_corrections(
    graph: Graph,
    biases: Mapping[str, Formats],
    weights: Mapping[str, Mapping[Format, Format]],
    blocks: Callable[[], Iterable[Example]],
) -> dict[str, Formats]:
    """Formats of biases by layer, with what corrects them found, and fixed by the corrected values.

    weights: by layer, of each format of the weight the one that it was fixed to. blocks: of inputs of the
    float network. Nothing of it is random, and one thread computes it, so that it is found alike each time.
    """
    asked = [name for name, own in biases.items() if any(isinstance(fmt, Corrected) for fmt in own)]
    if not asked:
        return dict(biases)
    layers = {layer.name: layer for layer in graph.layers}
    means = {name: Means(_module(layers[name])) for name in asked}

    def note(name: str, read: Sequence[Tensor]) -> None:
        if name in means:
            means[name].add(read[0].detach())

    plain = graph.quantized({name: Scheme() for name, scheme in graph.schemes.items() if scheme})
    with one_torch_thread():
        for inputs in blocks():
            watch(plain, inputs, before=note, data=True)
        found = {
            name: tuple(means[name].corrected(fmt, weights.get(name, {})) for fmt in biases[name])
            for name in asked
        }
    return {**biases, **found}


@dataclass(eq=False)
class Means:
    """Means of what each output of a layer adds up, over samples and places, in float64.

    sums: [groups, inputs] of a layer whose weight has so many inputs for each output of a group.
    """

    layer: Biased
    sums: Tensor = field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        weight = self.layer.weight
        shape = (self._groups, weight[0].numel())
        self.sums = torch.zeros(shape, dtype=torch.float64, device=weight.device)

    def add(self, x: Tensor) -> None:
        """What the layer reads, of some samples."""
        if isinstance(self.layer, nn.Linear):
            rows = x.reshape(-1, x.shape[-1])
            sums, count = rows.sum(0, dtype=torch.float64), len(rows)
        else:
            sums, count = _of_places(self.layer, x)
        self.sums += sums.reshape(self.sums.shape)
        self.count += count

    def corrected(self, fmt: Format | None, weights: Mapping[Format, Format]) -> Format | None:
        """The format of the bias with what makes up for its weight's rounding, fixed by what comes out."""
        if not isinstance(fmt, Corrected) or fmt.weight is None:
            return fmt
        weight, bias = self.layer.weight.detach(), self.layer.bias
        assert bias is not None
        made = weights[fmt.weight].quantize(weight)
        wrong = (made.double() - weight.double()).reshape(self._groups, -1, self.sums.shape[-1])
        lost = (wrong @ (self.sums / max(self.count, 1)).unsqueeze(-1)).flatten()
        shift = tuple((-lost).to(bias.dtype).tolist())
        return Corrected(fmt.of, None, shift).calibrated(bias.detach())

    @property
    def _groups(self) -> int:
        return 1 if isinstance(self.layer, nn.Linear) else self.layer.groups


def _of_places(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, x: Tensor) -> tuple[Tensor, int]:
    """Sums over samples and places of what parts of the kernel read [channels, parts]; how many places."""
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    x = x if x.ndim == layer.weight.ndim else x[None]
    pads = tuple(int(pad) for pad in layer._reversed_padding_repeated_twice)
    x = F.pad(x, pads, mode=mode)
    window = (layer.kernel_size, layer.stride, layer.dilation)
    places = [
        torch.arange((size - dilation * (kernel - 1) - 1) // stride + 1, device=x.device) * stride
        for size, kernel, stride, dilation in zip(x.shape[2:], *window, strict=True)
    ]
    sums = []
    for part in product(*(range(kernel) for kernel in layer.kernel_size)):
        seen = x
        for axis, (at, first, dilation) in enumerate(zip(places, part, layer.dilation, strict=True), start=2):
            seen = seen.index_select(axis, at + first * dilation)
        sums.append(seen.sum([0, *range(2, x.ndim)], dtype=torch.float64))
    return torch.stack(sums, dim=1), len(x) * math.prod(map(len, places))


def _module(layer: Layer) -> Biased:
    module: Any = layer.module
    assert isinstance(module, Biased)
    return module
