"""Adaptive rounding: each weight up or down, as its layer's outputs come nearest those of the float layer.

What a layer gives is wrong by d x for weights that are wrong by d, so its mean squared error on samples
follows from the second moments of what the layer reads in the float network, and from the weight's format: it
is found once for each format, and holds for every candidate that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from widthwise.core.errors import UserError
from widthwise.core.threads import one_torch_thread
from widthwise.formats.base import Format
from widthwise.formats.directions import ADAPTIVE, NEAREST, written_directions
from widthwise.formats.integer import Integer
from widthwise.formats.scaled import ScaledInteger
from widthwise.formats.scales import as_table, fixed
from widthwise.network.calibration import Formats
from widthwise.network.capture import Example
from widthwise.network.graph import Graph
from widthwise.network.layer import Layer
from widthwise.network.passes.watch import watch
from widthwise.network.quantized import is_more_than_its_class
from widthwise.network.scheme import Scheme

Weighted = nn.Linear | nn.Conv1d | nn.Conv2d
MOST_MOMENTS = 2**25  # numbers, of one layer
TURNS = 4  # for each weight of an output, at most
LEAST_GAIN = 1e-12  # as a share of the error


def is_adaptive(fmt: Format | None) -> bool:
    """Whether a format's rounding is still to be found."""
    return getattr(fmt, "rounding", NEAREST) == ADAPTIVE


def with_directions(
    graph: Graph, formats: Mapping[str, Formats], blocks: Callable[[], Iterable[Example]]
) -> dict[str, Formats]:
    """Formats of weights by layer, fixed before, with the rounding found of those that are adaptive.

    blocks: of inputs of the float network. Nothing of it is random, and one thread computes it, so that it is
    found alike each time. Raises UserError for weights that are not those of a linear layer or a convolution
    of one or two dimensions which nothing else reads.
    """
    asked = [name for name, own in formats.items() if any(map(is_adaptive, own))]
    if not asked:
        return dict(formats)
    layers = {layer.name: layer for layer in graph.layers}
    moments = {name: Moments(_checked(graph, layers[name])) for name in asked}

    def note(name: str, read: Sequence[Tensor]) -> None:
        if name in moments:
            moments[name].add(read[0].detach())

    plain = graph.quantized({name: Scheme() for name, scheme in graph.schemes.items() if scheme})
    with one_torch_thread():
        for inputs in blocks():
            watch(plain, inputs, before=note, data=True)
        found = {}
        for name in asked:
            own = formats[name]
            found[name] = tuple(moments[name].directed(fmt) if is_adaptive(fmt) else fmt for fmt in own)
    return {**formats, **found}


@dataclass(eq=False)
class Moments:
    """Second moments of what each output of a layer adds up, over samples and places, in float64.

    sums: [groups, inputs, inputs] of a layer whose weight has so many inputs for each output of a group.
    """

    layer: Weighted
    sums: Tensor = field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        weight = self.layer.weight
        inputs = weight[0].numel()
        self.sums = torch.zeros(self._groups, inputs, inputs, dtype=torch.float64, device=weight.device)

    def add(self, x: Tensor) -> None:
        """What the layer reads, of some samples."""
        read = self._read(x).double()  # [groups, n, inputs]
        self.sums += read.transpose(1, 2) @ read
        self.count += read.shape[1]

    def directed(self, fmt: Format | None) -> Format:
        """The format with the rounding that makes the least error found, beginning at the nearest."""
        assert isinstance(fmt, Integer | ScaledInteger)
        weight = self.layer.weight.detach().double()
        steps, points = _steps(fmt, weight)
        scaled = weight / steps
        low, high = (code - points for code in fmt.codes)
        below = scaled.floor()
        down, up = (each.clamp(min=low, max=high) for each in (below, below + 1))
        nearest = torch.maximum(torch.minimum(scaled.round(), high), low)
        rows = (self._groups, -1, self.sums.shape[-1])
        errors = [((codes - scaled) * steps).reshape(rows) for codes in (down, up)]
        is_up = (nearest == up).reshape(rows)
        found = least_error(errors[0], errors[1], is_up, self.sums / max(self.count, 1))
        return replace(fmt, rounding=written_directions(found.reshape(weight.shape)))

    @property
    def _groups(self) -> int:
        return 1 if isinstance(self.layer, nn.Linear) else self.layer.groups

    def _read(self, x: Tensor) -> Tensor:
        """What is multiplied with the weights of an output, a row for each sample and place."""
        if isinstance(self.layer, nn.Linear):
            return x.reshape(1, -1, x.shape[-1])
        layer = self.layer
        flat = isinstance(layer, nn.Conv1d)
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        pads = layer._reversed_padding_repeated_twice
        x = F.pad(x, tuple(int(pad) for pad in pads), mode=mode)
        x = x.unsqueeze(-2) if flat else x
        one = (1,) if flat else ()
        sizes = [(*one, *each) for each in (layer.kernel_size, layer.dilation, layer.stride)]
        patches = F.unfold(x, sizes[0], dilation=sizes[1], stride=sizes[2])  # [n, channels * kernel, places]
        each = patches.reshape(len(patches), layer.groups, -1, patches.shape[-1]).permute(1, 0, 3, 2)
        return each.reshape(layer.groups, -1, each.shape[-1])


def least_error(down: Tensor, up: Tensor, is_up: Tensor, moments: Tensor) -> Tensor:
    """Which weights go up, [groups, outputs, inputs], so that no single other choice has a smaller error.

    down, up: how much each is wrong by, either way. is_up: where to begin. The error of an output whose
    weights are wrong by d is d M d, with moments M [groups, inputs, inputs] (Nagel et al. 2020, AdaRound,
    equation 13); at each turn each output takes the change that lowers it most.
    """
    is_up = is_up.clone()
    wrong = torch.where(is_up, up, down)
    pull = wrong @ moments
    own = torch.diagonal(moments, dim1=-2, dim2=-1)[:, None, :]
    least = LEAST_GAIN * (wrong * pull).sum(-1).clamp_min(0)
    for _ in range(TURNS * wrong.shape[-1]):
        change = torch.where(is_up, down, up) - wrong
        gain, at = (change * (2 * pull + change * own)).min(-1)  # [groups, outputs]
        better = gain < -least
        if not bool(better.any()):
            break
        group, output = better.nonzero(as_tuple=True)
        place = at[group, output]
        moved = change[group, output, place]
        wrong[group, output, place] += moved
        is_up[group, output, place] ^= True
        pull[group, output] += moved[:, None] * moments[group, place]
    return is_up


def _steps(fmt: Integer | ScaledInteger, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The step and the zero point of each weight, like it."""
    if isinstance(fmt, Integer):
        return torch.full_like(weight, 2.0**-fmt.fraction), torch.zeros_like(weight)
    tiles, scales = fmt.tiling(weight.shape), fixed(fmt.scale) or (1.0,)
    ones = tiles.split(torch.ones_like(weight))
    steps = tiles.join(ones * as_table(scales, tiles, ones, repr(fmt)))
    if not isinstance(fmt.zero_point, tuple):
        return steps, torch.zeros_like(weight)
    return steps, tiles.join(ones * as_table(fmt.zero_point, tiles, ones, repr(fmt)))


def _checked(graph: Graph, layer: Layer) -> Weighted:
    """The layer's module; UserError where its weight can't be rounded so."""
    stored = layer.stored.get("weight", ())
    module = layer.module
    every = [one.identity for other in graph.layers for one in other.stored.get("weight", ())]
    readers = every.count(stored[0].identity) if stored else 0
    why = ""
    if graph.capture != "fx":
        why = f"the network runs as it is ({graph.capture_error})"
    elif not isinstance(module, Weighted) or is_more_than_its_class(module) or len(stored) != 1:
        why = f"a {layer.type} is none of torch's linear layers and convolutions of one or two dimensions"
    elif readers > 1:
        why = f"its weight is read by {readers} layers"
    elif module.weight[0].numel() ** 2 * (getattr(module, "groups", 1)) > MOST_MOMENTS:
        why = f"its {module.weight[0].numel()} inputs are too many"
    if why:
        raise UserError(f'{layer.name}: rounding = "adaptive" can\'t be found: {why}; leave it out there')
    assert isinstance(module, Weighted)
    return module
