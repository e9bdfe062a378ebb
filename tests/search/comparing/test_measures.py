"""Shares, best values and evaluations to reach a level, against volumes counted cell by cell."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from widthwise.search.comparing.measures import (
    MARGIN,
    best_curve,
    carried,
    evaluations_to_reach,
    share_curve,
    yardstick,
)
from widthwise.search.comparing.result import quartiles


def _volume(points, corner):
    """Between the corner and points: the sum of all cells of the grid of coordinates that a point covers."""
    axes = [sorted({corner[d], *(max(point[d], corner[d]) for point in points)}) for d in range(len(corner))]
    total = 0.0
    for cell in itertools.product(*(range(len(axis) - 1) for axis in axes)):
        top = [axes[d][i + 1] for d, i in enumerate(cell)]
        if any(all(p >= t for p, t in zip(point, top, strict=True)) for point in points):
            total += math.prod(axes[d][i + 1] - axes[d][i] for d, i in enumerate(cell))
    return total


tables = st.integers(1, 3).flatmap(
    lambda m: arrays(np.float64, st.tuples(st.integers(1, 8), st.just(m)), elements=st.integers(-4, 4))
)


@given(tables)
def test_the_share_is_that_of_the_volumes_counted_cell_by_cell(values):
    yard = yardstick(values)
    curve = share_curve(values, yard, len(values))
    whole = _volume(values.tolist(), yard.reference.tolist())
    for n in range(1, len(values) + 1):
        expected = _volume(values[:n].tolist(), yard.reference.tolist()) / whole
        assert curve[n - 1] == pytest.approx(expected, abs=1e-9)


@given(tables, st.randoms(use_true_random=False))
def test_any_order_of_everything_ends_at_exactly_1_and_never_falls(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    curve = share_curve(values[order], yardstick(values), len(values) + 2)
    assert (np.diff(curve) >= 0).all()
    assert curve[-3:].tolist() == [1.0] * min(3, len(curve))


@given(tables, st.floats(0.01, 100), st.floats(-50, 50))
def test_shares_know_nothing_of_units(values, scale, shift):
    other = values * scale + shift
    first = share_curve(values, yardstick(values), len(values))
    assert first == pytest.approx(share_curve(other, yardstick(other), len(values)), abs=1e-6)


def test_both_ends_of_a_front_count():
    values = np.array([[1.0, 0.0], [0.0, 1.0]])
    yard = yardstick(values)
    assert yard.reference.tolist() == [-MARGIN, -MARGIN]
    assert share_curve(values, yard, 2).tolist() == [pytest.approx(0.5 + MARGIN / (2 * (2 + MARGIN))), 1.0]


def test_failures_count_as_evaluations_and_add_nothing():
    values = np.array([[np.nan, 1.0], [1.0, 1.0], [np.nan, np.nan]])
    yard = yardstick(np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert share_curve(values, yard, 5).tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert share_curve(np.full((2, 2), np.nan), yard, 3).tolist() == [0.0, 0.0, 0.0]


def test_points_worse_than_the_reference_add_nothing():
    yard = yardstick(np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert share_curve(np.array([[-5.0, 0.9]]), yard, 1).tolist() == [0.0]


@given(arrays(np.float64, (6, 2), elements=st.one_of(st.integers(-3, 3), st.just(np.nan))))
def test_the_best_so_far_is_the_greatest_number_before(values):
    curve = best_curve(values, 8)
    for n in range(1, 9):
        for column in range(2):
            known = [value for value in values[:n, column] if not math.isnan(value)]
            found = curve[n - 1, column]
            assert found == max(known) if known else math.isnan(found)


@given(arrays(np.float64, (3, 5), elements=st.sampled_from([0.0, 0.5, 0.9, 1.0])))
def test_evaluations_to_reach_count_from_1(shares):
    shares = np.maximum.accumulate(shares, axis=1)
    for row, found in zip(shares.tolist(), evaluations_to_reach(shares, 0.9).tolist(), strict=True):
        reached = [n for n, share in enumerate(row, 1) if share >= 0.9]
        assert found == reached[0] if reached else math.isnan(found)


def test_a_series_goes_on_with_its_last_value():
    assert carried(np.array([1.0, 2.0]), 4).tolist() == [1.0, 2.0, 2.0, 2.0]
    assert carried(np.array([]), 2).tolist() == [0.0, 0.0]


def test_quartiles_are_numpys_where_all_is_known_and_never_where_it_is_not():
    values = np.array([3.0, 1.0, 4.0, 1.0, 5.0])
    assert quartiles(values).tolist() == np.percentile(values, [25, 50, 75]).tolist()
    assert np.isnan(quartiles(np.array([1.0, np.nan, np.nan, np.nan]))).all()
    low, middle, high = quartiles(np.array([1.0, 2.0, 3.0, 4.0, np.nan]))
    assert (low, middle, high) == (2.0, 3.0, 4.0)
