"""Adaptive rounding: each weight up or down, as its layer's outputs come nearest those of the float layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from widthwise.formats.integer import Integer
from widthwise.formats.learned import LearnedStep
from widthwise.formats.scaled import ScaledInteger
from widthwise.formats.scales import as_table
from widthwise.network.holding import called_with

if TYPE_CHECKING:
    from widthwise.formats.base import Format
    from widthwise.network.scheme import Scheme

WIDEST = 4  # bits of a weight for which it pays
STRETCH = (-0.1, 1.1)  # of the sigmoid, so that 0 and 1 are reached
PRICE, WARM_UP, RATE, BATCH = 0.01, 0.2, 1e-2, 256
STEEPEST, FLATTEST = 20.0, 2.0


def can_round(fmt: Format | None) -> str | None:
    """Why weights in a format are not rounded adaptively; None where they are."""
    if LearnedStep.of(fmt) is None or (isinstance(fmt, ScaledInteger) and not fmt.symmetric):
        return "as it has no fixed steps from zero"
    assert isinstance(fmt, Integer | ScaledInteger)
    return None if fmt.width <= WIDEST else f"as it has more than {WIDEST} bits"


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A layer with its scheme, what it reads in the network with formats, what it should give [n, ...]."""

    layer: nn.Module
    scheme: Scheme
    inputs: Tensor
    outputs: Tensor

    @property
    def weight(self) -> nn.Parameter:
        """Of the layer, in float."""
        return cast(nn.Parameter, self.layer.weight)

    @cached_property
    def read(self) -> Tensor:
        """The inputs as they are read."""
        fmt = self.scheme.data_in
        return self.inputs if fmt is None else fmt.quantize(self.inputs)

    @cached_property
    def steps(self) -> Tensor:
        """Of each weight, like the weight."""
        fmt, weight = self.scheme.weight, self.weight.detach()
        if isinstance(fmt, Integer):
            return torch.full_like(weight, 2.0**-fmt.fraction)
        assert isinstance(fmt, ScaledInteger)
        assert isinstance(fmt.scale, tuple)
        tiles = fmt.tiling(weight.shape)
        ones = tiles.split(torch.ones_like(weight))
        return tiles.join(ones * as_table(fmt.scale, tiles, ones, repr(fmt)))

    def given(self, weight: Tensor, rows: Tensor | slice) -> Tensor:
        """What the layer gives with a weight for some samples."""
        bias = cast("Tensor | None", self.layer.bias)
        held = {"weight": weight}
        if bias is not None:
            held["bias"] = (
                bias.detach() if self.scheme.bias is None else self.scheme.bias.quantize(bias.detach())
            )
        found: Tensor = called_with(self.layer, held, (self.read[rows],), {})
        return found

    def error(self, weight: Tensor, rows: Tensor | slice = slice(None)) -> Tensor:
        """Squared differences from what it should give, added up over a sample, in the mean over samples."""
        apart = self.given(weight, rows) - self.outputs[rows]
        return apart.square().flatten(1).sum(1).mean()


def adaptively_rounded(layer: Reconstruction, steps: int, seed: int) -> None:
    """Puts the layer's weight, in place, onto values of its format next to it; the nearest where these are no
    worse.

    h = clip(1.2 * sigmoid(V) - 0.1, 0, 1) says how far each weight goes up from the code below, and is driven
    to 0 or 1 by the price of 1 - |2h - 1|^b, b falling from 20 to 2. Source: Nagel et al. 2020, AdaRound,
    equations 21 to 25.
    """
    fmt = layer.scheme.weight
    assert isinstance(fmt, Integer | ScaledInteger)
    parameter, size = layer.weight, layer.steps
    scaled = parameter.detach() / size
    below = scaled.floor()
    low, high = STRETCH
    begin = ((scaled - below - low) / (high - low)).clamp(1e-3, 1 - 1e-3)
    free = torch.logit(begin).requires_grad_(True)
    optimizer = torch.optim.Adam([free], lr=RATE)
    generator = torch.Generator().manual_seed(seed)

    def rounded(up: Tensor) -> Tensor:
        return (below + up).clamp(*fmt.codes) * size

    for step in range(steps):
        rows = torch.randint(len(layer.read), (min(BATCH, len(layer.read)),), generator=generator)
        up = (torch.sigmoid(free) * (high - low) + low).clamp(0, 1)
        loss = layer.error(rounded(up), rows.to(free.device))
        share = (step / steps - WARM_UP) / (1 - WARM_UP)
        if share > 0:
            steep = STEEPEST + (FLATTEST - STEEPEST) * share
            loss = loss + PRICE * (1 - (2 * up - 1).abs().pow(steep)).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        found, nearest = rounded((free >= 0).to(size)), fmt.quantize(parameter.detach())
        better = layer.error(found) < layer.error(nearest)
        parameter.copy_(fmt.quantize(found) if better else nearest)
