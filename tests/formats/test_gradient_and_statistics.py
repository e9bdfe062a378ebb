"""Straight-through gradients, and what statistics say of a tensor."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from torch import Tensor

from helpers.formats.strategies import any_format, tables
from widthwise.formats import Format, Integer, MXInt, NamedFloat, ScaledInteger
from widthwise.formats.gradient import straight_through
from widthwise.formats.statistics import statistics


@given(any_format, tables)
def test_gradients_pass_inside_the_range_and_stop_outside(fmt: Format, x: Tensor) -> None:
    x.requires_grad_()
    upstream = torch.linspace(-1, 1, x.numel()).reshape(x.shape)
    y = straight_through(fmt, x)
    assert torch.equal(y.detach(), fmt.quantize(x))
    y.backward(upstream)
    passed = (
        fmt.inside(x.detach()) if any(map(math.isfinite, fmt.range)) else torch.ones_like(x, dtype=torch.bool)
    )
    assert torch.equal(x.grad, torch.where(passed, upstream, 0.0))


def test_the_ends_of_the_range_pass_and_nan_does_not() -> None:
    x = torch.tensor([-8.0, -8.01, 7.9375, 7.95, math.nan, 0.3], requires_grad=True)
    straight_through(Integer(8, 4), x).nansum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 0, 1, 0, 0, 1]


def test_without_gradients_it_is_quantize() -> None:
    x = torch.tensor([0.3], requires_grad=True)
    with torch.no_grad():
        assert not straight_through(Integer(8, 4), x).requires_grad
    assert not straight_through(Integer(8, 4), x.detach()).requires_grad


def test_statistics_are_those_of_the_definition() -> None:
    x = torch.tensor([0.0, 0.5, 1.3, -9.0, 100.0, math.inf, math.nan])
    found = statistics(Integer(8, 4), x)
    errors = [0.0, 0.0, 1.3125 - float(torch.tensor(1.3)), 1.0, 100 - 7.9375]
    noise, signal = sum(e * e for e in errors), 0.25 + float(torch.tensor(1.3)) ** 2 + 81 + 10_000
    assert (found.minimum, found.maximum) == (-9.0, 100.0)
    assert found.clipped == 2 / 5
    assert found.mse == pytest.approx(noise / 5)
    assert found.snr_db == pytest.approx(10 * math.log10(signal / noise))
    assert (found.elements, found.not_finite) == (7, 2)


def test_statistics_without_error_signal_or_elements() -> None:
    assert statistics(Integer(8, 4), torch.ones(3)).snr_db == math.inf
    assert statistics(NamedFloat("e4m3"), torch.empty(0)).elements == 0
    assert math.isnan(statistics(NamedFloat("e4m3"), torch.tensor([math.nan])).minimum)
    assert statistics(MXInt(), torch.zeros(4)).snr_db == math.inf


@given(any_format, tables)
def test_statistics_are_finite_numbers_of_finite_data(fmt: Format, x: Tensor) -> None:
    found = statistics(fmt, x)
    assert 0 <= found.clipped <= 1
    assert found.mse >= 0
    assert not math.isnan(found.snr_db)
    assert found.not_finite == 0


def test_more_bits_are_a_better_signal() -> None:
    x = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    ratios = [statistics(ScaledInteger(width), x).snr_db for width in range(3, 13)]
    gains = torch.tensor(ratios).diff()
    assert ((gains > 5) & (gains < 9)).all()  # about 6 dB a bit
