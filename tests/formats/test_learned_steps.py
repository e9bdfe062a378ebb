"""Steps that are trained: what they compute is what formats do, and gradients are the papers'."""

from __future__ import annotations

from math import log, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from widthwise.formats.base import Format
from widthwise.formats.binary import Binary
from widthwise.formats.gradient import straight_through
from widthwise.formats.integer import Integer
from widthwise.formats.learned import LearnedStep
from widthwise.formats.scaled import ScaledInteger


def learned(fmt: Format) -> LearnedStep:
    found = LearnedStep.of(fmt)
    assert found is not None
    return found


def lsq(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """LSQ by autograd alone, as its authors write it (Esser et al. 2020, section 2, appendix A)."""
    scale = 1 / sqrt(x.numel() / step.numel() * high)
    scaled = (step - step * scale).detach() + step * scale
    v = (x / scaled).clamp(low, high)
    return (v + (v.round() - v).detach()) * scaled


@given(st.integers(2, 8), st.integers(0, 2**31), st.booleans())
def test_gradients_are_those_of_lsq(width: int, seed: int, each: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(6, 40, generator=generator, dtype=torch.float64).requires_grad_(True)
    scale = torch.rand(6 if each else 1, generator=generator, dtype=torch.float64) + 0.05
    fmt = ScaledInteger(width, per="channel" if each else "tensor", scale=tuple(scale.tolist()))
    trained, weights = learned(fmt), torch.randn(6, 40, generator=generator, dtype=torch.float64)
    (trained.learned(x) * weights).sum().backward()
    other = x.detach().clone().requires_grad_(True)
    step = scale.clone().requires_grad_(True)
    (lsq(other, step[:, None] if each else step, *fmt.codes) * weights).sum().backward()
    assert x.grad is not None and other.grad is not None and step.grad is not None  # noqa: PT018
    assert torch.allclose(x.grad, other.grad)
    assert trained.growth.grad is not None
    of_logarithm = step.grad * scale * log(2)  # d step / d log2 step
    assert torch.allclose(trained.growth.grad.double(), of_logarithm, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("growth", [-1.2, -0.4, 0.0, 0.3, 2.0])
@pytest.mark.parametrize(
    "fmt", [Integer(4, 3), Integer(3, -2, signed=False), ScaledInteger(4, scale=0.3)], ids=repr
)
def test_it_quantises_as_the_format_that_it_is_now(fmt: Integer | ScaledInteger, growth: float) -> None:
    trained = learned(fmt)
    with torch.no_grad():
        trained.growth.fill_(growth)
    x = torch.randn(500, generator=torch.Generator().manual_seed(0)) * 3
    assert straight_through(trained, x).equal(trained.now.quantize(x))
    if growth == 0:
        assert trained.now == fmt
    if isinstance(fmt, Integer):
        assert trained.now == Integer(fmt.width, fmt.fraction - round(growth), signed=fmt.signed)


def test_formats_without_a_fixed_step_have_none_to_train() -> None:
    assert LearnedStep.of(Integer(4, "auto")) is None
    assert LearnedStep.of(ScaledInteger(4)) is None
    assert LearnedStep.of(Binary()) is None
    assert LearnedStep.of(None) is None
