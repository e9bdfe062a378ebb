"""Programs of integers: rewritten ones compute the same, on narrower numbers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

import widthwise as ww
from widthwise.export.c.stages import c_type, slots, stages_of
from widthwise.export.integers.computing import compute, sample_codes
from widthwise.export.integers.passes import quantised_early
from widthwise.export.integers.reading import read_program, with_shapes
from widthwise.export.integers.steps import MaxPool, Move, Program, Requantise
from widthwise.formats import Integer
from widthwise.network.scheme import Scheme

SCHEME = Scheme(Integer(5, 3), Integer(5, 4), Integer(6, 5))
X = torch.zeros(2, 1, 9, 9)


class Pooled(nn.Module):
    """Maxima of maxima, of which one has two readers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 3, 2), nn.Conv2d(3, 3, 1)
        self.pool, self.flat, self.last = nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.pool(torch.relu(self.a(x)))
        h = self.pool(self.b(h) + h)
        return self.last(self.flat(h))


def program() -> Program:
    torch.manual_seed(0)
    graph = ww.Graph(Pooled().eval(), X)
    names = [layer.name for layer in graph.layers if layer.type in ("conv2d", "linear")]
    made = graph.quantized(dict.fromkeys(names, SCHEME))
    read, reasons = read_program(made)
    assert read is not None, reasons
    return with_shapes(read, made, X)


def test_quantising_early_changes_no_output_and_narrows_what_is_kept() -> None:
    plain, early = program(), quantised_early(program())
    codes = sample_codes(plain, 50)
    assert np.array_equal(compute(plain, codes), compute(early, codes))
    for step in early.steps:
        if isinstance(step, Requantise):
            made_by = next((other for other in early.steps if other.out is step.x), None)
            assert not isinstance(made_by, Move | MaxPool) or len(early.readers(step.x)) > 1

    def kept(given: Program) -> int:
        stages = stages_of(given)
        widths = {value: int(c_type(value).strip("uint_")) for value in slots(given, stages)}
        return sum(given.size(value) * width for value, width in widths.items())

    assert kept(early) < kept(plain)


def test_memory_is_shared_by_values_that_are_not_needed_at_once() -> None:
    made = quantised_early(program())
    stages = stages_of(made)
    where = slots(made, stages)
    assert len(set(where.values())) < len(where)
    names = [stage.out for stage in stages]
    for at, stage in enumerate(stages):
        live = {
            where[value]
            for other in stages[at:]
            for step in (other.step,)
            for value in ((step.x, step.y) if hasattr(step, "y") else (step.x,))
            if value in where and names.index(value) < at
        }
        assert where.get(stage.out) not in live
