"""Ranges that keep a share of the values, or have the least error, against numpy and brute force."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import widthwise as ww
from helpers.formats.observing import held_by, observed
from widthwise.formats import Format, from_config, parse
from widthwise.formats.integer import Integer
from widthwise.formats.quantiles import Ranked
from widthwise.formats.scaled import ScaledInteger
from widthwise.testing import check_format

SHARES = ("50", "90", "99", "99.9", "99.99")
WORDS = ("auto", "auto-mse", *(f"auto-{share}" for share in SHARES))


@st.composite
def heavy_tails(draw: st.DrawFn) -> Tensor:
    """Values [n, 3] of which a few are far off, with ties and both zeros."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    x = rng.standard_t(2, (draw(st.integers(1, 400)), 3)) * 2.0 ** draw(st.integers(-20, 20))
    if draw(st.booleans()):
        x = np.round(x)
    x.flat[rng.integers(x.size)] = -0.0
    return torch.from_numpy(x.astype(draw(st.sampled_from(["f4", "f8"]))))


def allowed(share: str, count: int, ends: int = 1) -> int:
    return math.floor(count * (1 - Fraction(share) / 100) / ends)


@given(heavy_tails(), st.sampled_from(SHARES), st.integers(2, 12), st.booleans())
def test_frac_width_is_the_greatest_with_few_enough_beyond_the_codes(
    x: Tensor, share: str, width: int, signed: bool
) -> None:
    fixed = Integer(width, f"auto-{share}", signed=signed).calibrated(x)
    low, high = fixed.codes

    def beyond(fraction: int) -> int:
        codes = np.round(np.ldexp(x.double().numpy(), fraction))
        return int((codes > high).sum() + ((codes < low).sum() if signed else 0))

    if (x > 0).any() or (signed and x.any()):
        fitting = [fraction for fraction in range(-64, 65) if beyond(fraction) <= allowed(share, x.numel())]
        # no more than that of the finest with which all that remains is cut off
        widest = Integer(width, "auto", signed=signed).calibrated(x).fraction
        assert fixed.fraction == min(max(fitting), widest + width)
    else:
        assert fixed == Integer(width, signed=signed)


@given(heavy_tails(), st.sampled_from(SHARES), st.sampled_from([None, 1]))
def test_scale_takes_numpys_percentile_of_magnitudes_to_the_greatest_code(
    x: Tensor, share: str, axis: int | None
) -> None:
    per = "tensor" if axis is None else "channel"
    fixed = ScaledInteger(6, scale=f"auto-{share}", per=per, axis=axis).calibrated(x)
    rows = [x.flatten()] if axis is None else list(x.t())
    for row, scale in zip(rows, fixed.scale, strict=True):  # type: ignore[arg-type]
        ordered = np.sort(np.abs(row.numpy()))
        wanted = ordered[len(ordered) - 1 - allowed(share, len(ordered))]
        assert scale == pytest.approx(float(wanted) / 31 or 1.0, rel=1e-6)
    if axis is None and x.numel() % 1000 != 0:  # where rounding of numpy's rank can't matter
        quantile = np.quantile(np.abs(x.numpy()), float(share) / 100, method="inverted_cdf")
        assert fixed.range[1] == pytest.approx(float(quantile) or 31.0, rel=1e-5)


@given(heavy_tails(), st.sampled_from(SHARES))
def test_without_symmetry_half_of_what_is_left_out_lies_at_each_end(x: Tensor, share: str) -> None:
    fixed = ScaledInteger(8, symmetric=False, scale=f"auto-{share}").calibrated(x)
    ordered, out = np.sort(x.double().numpy().ravel()), allowed(share, x.numel(), 2)
    low, high = min(ordered[out], 0.0), max(ordered[-1 - out], 0.0)
    assert fixed.scale[0] == pytest.approx((high - low) / 255 or 1.0, rel=1e-5)  # type: ignore[index]


@given(heavy_tails(), st.integers(2, 8), st.booleans(), st.sampled_from([None, 0, 1]))
def test_least_error_of_a_scale_is_that_of_all_tried(
    x: Tensor, width: int, symmetric: bool, axis: int | None
) -> None:
    per = "tensor" if axis is None else "channel"
    fmt = ScaledInteger(width, symmetric=symmetric, per=per, axis=axis)
    found = ScaledInteger(width, symmetric=symmetric, per=per, axis=axis, scale="auto-mse").calibrated(x)

    def errors(fixed: ScaledInteger) -> np.ndarray:
        squares = (fixed.quantize(x.double()) - x.double()).square().numpy()
        return squares.sum() if axis is None else squares.sum(1 - axis)

    widest = fmt.calibrated(x)
    for step in range(25):
        scales = tuple(scale * 2.0 ** (-step / 6) for scale in widest.scale)  # type: ignore[union-attr]
        other = ScaledInteger(width, symmetric, True, per, axis, None, scales, widest.zero_point)
        assert (errors(found) <= errors(other) * (1 + 1e-9) + 1e-300).all()


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "fmt",
    [
        {"name": "integer", "width": 6, "key": "frac_width"},
        {"name": "integer", "width": 26, "signed": False, "key": "frac_width"},
        {"name": "int", "width": 4, "key": "scale"},
        {"name": "uint", "width": 4, "key": "scale"},
        {"name": "affine", "width": 18, "key": "scale"},
        {"name": "int", "width": 4, "per": "channel", "axis": 1, "key": "scale"},
    ],
    ids=lambda config: f"{config['name']}{config['width']}{config.get('per', '')}",
)
class TestEveryWord:
    def format(self, fmt: dict[str, object], word: str) -> Format:
        rest = {key: value for key, value in fmt.items() if key != "key"}
        return from_config({**rest, str(fmt["key"]): word})

    def test_is_a_format_like_all(self, fmt: dict[str, object], word: str) -> None:
        if word in ("auto-mse", "auto-90"):
            check_format(self.format(fmt, word))
        assert parse(repr(self.format(fmt, word))) == self.format(fmt, word)

    def test_is_fixed_from_blocks_as_from_all_at_once(self, fmt: dict[str, object], word: str) -> None:
        made = self.format(fmt, word)
        x = torch.from_numpy(np.random.default_rng(3).standard_t(2, (200, 3, 5)).astype("f4"))
        x[7, 1, 2] = math.nan
        blocks = list(x.split([1, 99, 40, 60]))
        assert observed(made, blocks) == made.calibrated(torch.cat(blocks))

    def test_keeps_little_while_it_reads(self, fmt: dict[str, object], word: str) -> None:
        observer = self.format(fmt, word).observer()
        x = torch.randn(64, 32, 40)
        while not isinstance(observer, Format):
            assert observer is not None
            for _ in range(3):
                observer.see(x)
            assert held_by(observer) <= 40 * 2**8 + 2 * 2**16 + 200 < 3 * x.numel()  # histograms alone
            observer = observer.settled()


@given(heavy_tails(), st.integers(0, 40))
def test_ranks_of_many_parts_are_those_of_sorting(x: Tensor, out: int) -> None:
    rows = x.abs().t().repeat(3, 1)
    ranked = Ranked(lambda count: min(out, count - 1))
    finished = False
    while not finished:
        for block in rows.split(50, dim=1):
            ranked.see(block)
        finished = ranked.settle()
    wanted = rows.sort(descending=True).values[:, min(out, rows.shape[1] - 1)]
    assert ranked.values is not None
    assert torch.equal(ranked.values, wanted)


@pytest.mark.parametrize("word", ["auto-percentile", "auto-49", "auto-100", "auto-9.9", "auto-99,9", "auto-"])
def test_other_words_are_refused_with_those_there_are(word: str) -> None:
    for config in ({"name": "integer", "frac_width": word}, {"name": "int", "scale": word}):
        with pytest.raises(ww.UserError, match=r'auto, auto-mse, "auto-99.9" or any share'):
            from_config({**config, "width": 4})


def test_a_share_is_written_one_way_and_groups_have_none() -> None:
    assert Integer(4, "auto-99.90") == Integer(4, "auto-99.9")
    assert ScaledInteger(4, scale="auto-99.0").scale == "auto-99"
    assert ScaledInteger(4, scale="auto") == ScaledInteger(4)
    with pytest.raises(ww.UserError, match='goes with per = "tensor" or "channel"'):
        ScaledInteger(4, per="group", scale="auto-99")
