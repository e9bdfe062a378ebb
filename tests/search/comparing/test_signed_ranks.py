"""Tests of pairs against all signs gone through by hand, and Holm's correction against closed testing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.search.comparing.signed_ranks import holm, least_p, pair_tests, signed_rank_p


def _p_of_all_signs(differences):
    """The share of all signs for which the smaller sum of ranks is as small; ties share ranks, zeros go."""
    left = [d for d in differences if d != 0]
    sizes = [abs(d) for d in left]
    ranks = [sum(s < size for s in sizes) + (sum(s == size for s in sizes) + 1) / 2 for size in sizes]
    whole = sum(ranks)

    def smaller(signs):
        positive = sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign > 0)
        return min(positive, whole - positive)

    seen = smaller([1 if d > 0 else -1 for d in left])
    signs = list(itertools.product([1, -1], repeat=len(left)))
    return sum(smaller(s) <= seen for s in signs) / len(signs) if left else 1.0


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_p_is_the_exact_one_with_ties_and_zeros(differences):
    found = signed_rank_p(np.array(differences, dtype=np.float64))
    assert found == pytest.approx(min(1.0, _p_of_all_signs(differences)))


def test_differences_equal_but_for_rounding_share_a_rank():
    rounded = np.array([0.1, 0.2, -0.1, 0.3, 0.3, 0.1, -0.2])
    noisy = rounded + np.array([1, -1, 1, -1, 1, -1, 1]) * 1e-13
    assert signed_rank_p(noisy) == pytest.approx(_p_of_all_signs(rounded.tolist()))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_closed_testing_with_bonferroni(ps):
    """A hypothesis is rejected where every set that it is in is: the greatest of those sets' p."""
    indices = range(len(ps))
    sets = [s for size in range(1, len(ps) + 1) for s in itertools.combinations(indices, size)]
    expected = [max(min(1.0, len(s) * min(ps[j] for j in s)) for s in sets if i in s) for i in indices]
    assert holm(ps) == pytest.approx(expected)


def test_pairs_count_seeds_and_correct_over_all_of_them():
    rng = np.random.default_rng(0)
    low = rng.random(10)
    scores = {"bad": low, "good": low + 0.5, "same": low + 0.5}
    first, second, third = pair_tests("mean share", scores)
    assert (first.first, first.second) == ("bad", "good")
    assert (first.better, first.worse, first.equal) == (0, 10, 0)
    assert first.difference == pytest.approx(-0.5)
    assert first.p == least_p(10) == 2 / 2**10
    assert first.holm == second.holm == pytest.approx(3 * first.p)
    assert (third.equal, third.p, third.holm) == (10, 1.0, 1.0)


def test_one_strategy_has_no_pairs():
    assert pair_tests("mean share", {"only": np.ones(3)}) == ()
