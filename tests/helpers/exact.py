"""Networks in fixed point by Python's fractions, which never round."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction

import torch
import torchmetrics
from torch import Tensor, nn

from widthwise.formats import Integer

Scheme = Mapping[str, Integer]


def read(value: Fraction, fmt: Integer) -> Fraction:
    """The value in a format: to the nearest, halves to even, saturated."""
    low, high = fmt.codes
    return min(max(round(value * Fraction(2) ** fmt.fraction), low), high) * Fraction(2) ** -fmt.fraction


def perceptron(x: Tensor, network: nn.Module, formats: Sequence[Scheme]) -> list[list[Fraction]]:
    """Outputs of linear layers with ReLUs between them for samples x [n, inputs]."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    found = []
    for sample in x.tolist():
        values = [Fraction(number) for number in sample]
        for layer, own in zip(layers, formats, strict=True):
            given = [read(value, own["data_in"]) for value in values]
            rows = [[read(Fraction(w), own["weight"]) for w in row] for row in layer.weight.tolist()]
            biases = [read(Fraction(b), own["bias"]) for b in layer.bias.tolist()]
            sums = [
                sum((w * g for w, g in zip(row, given, strict=True)), start=bias)
                for row, bias in zip(rows, biases, strict=True)
            ]
            values = sums if layer is layers[-1] else [max(value, Fraction(0)) for value in sums]
        found.append(values)
    return found


class Digest(torchmetrics.Metric):
    """Of all outputs, bit for bit: equal where they are."""

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("seen", default=[], dist_reduce_fx="cat")

    def update(self, scores: Tensor, labels: Tensor) -> None:
        """Takes in outputs [n, ...]."""
        self.seen.append(scores.detach().clone())

    def compute(self) -> Tensor:
        """A whole number below 2^48."""
        return torch.tensor(float(digest(torch.cat(list(self.seen)))), dtype=torch.float64)


def digest(outputs: Tensor) -> int:
    """Of outputs, by all of their bits."""
    content = (outputs + 0.0).contiguous().numpy().tobytes()
    return int.from_bytes(hashlib.sha256(content).digest()[:6], "big")


DIGEST = "helpers.exact:Digest"  # as a metric
