"""Figures: the value again, to the digits that are shown, in at most eleven characters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.figures import shown_figure


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.7543, "0.754"),
        (0.0, "0.000"),
        (-0.0104, "-0.010"),
        (0.00041, "0.00041"),
        (2.5e-05, "2.5e-5"),
        (838.0794, "838.079"),
        (6099.685, "6,099.7"),
        (431204.4, "431,204"),
        (31267337490.241, "3.127e10"),
        (-1e300, "-1.000e300"),
        (math.nan, "NaN"),
        (math.inf, "infinite"),
        (-math.inf, "-infinite"),
    ],
)
def test_figures_are_short_at_any_size(value: float, shown: str) -> None:
    assert shown_figure(value) == shown


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_figure_is_its_value_to_the_digits_that_are_shown(value: float) -> None:
    text = shown_figure(value)
    assert len(text) <= 11
    assert math.isclose(float(text.replace(",", "")), value, rel_tol=0.06, abs_tol=0.0005)
    assert (float(text.replace(",", "")) == 0) == (value == 0)


def test_four_places_are_four_places() -> None:
    assert shown_figure(0.80134, 4) == "0.8013"
    assert shown_figure(0.00009, 4) == "9e-5"
