"""Counts of each class over many versions: what numpy counts one by one, ties and NaN included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widthwise.metrics.quality import outcomes
from widthwise.metrics.quality.outcomes import count_outcomes


@given(
    versions=st.integers(1, 9),
    samples=st.integers(1, 40),
    classes=st.sampled_from([1, 2, 3, 5, 32, 33, 70]),
    levels=st.sampled_from([1, 2, 5, 10_000]),
    seed=st.integers(0, 1000),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_counts_are_those_of_the_first_of_the_greatest(
    versions: int, samples: int, classes: int, levels: int, seed: int, dtype: torch.dtype
):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (versions, samples, classes)).astype(np.float64)
    scores[rng.random(scores.shape) < 0.05] = np.inf
    labels = rng.integers(0, classes, samples)
    found = count_outcomes(torch.from_numpy(scores).to(dtype), torch.from_numpy(labels), loss=False)
    predicted = scores.argmax(2)
    assert not found.broken.any()
    for version in range(versions):
        hits = np.bincount(labels[predicted[version] == labels], minlength=classes)
        assert found.hits[version].tolist() == hits.tolist()
        assert (
            found.predicted[version].tolist() == np.bincount(predicted[version], minlength=classes).tolist()
        )


@pytest.mark.parametrize("classes", [3, 50])
def test_a_version_with_nan_is_broken_and_no_other(classes: int):
    scores = torch.randn(4, 10, classes)
    scores[1, 3, 2] = torch.nan
    found = count_outcomes(scores, torch.zeros(10, dtype=torch.int64), loss=False)
    assert found.broken.tolist() == [False, True, False, False]


def test_parts_of_a_stack_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch):
    scores, labels = torch.randn(13, 20, 4), torch.randint(0, 4, (20,))
    whole = count_outcomes(scores, labels, loss=True)
    monkeypatch.setattr(outcomes, "AT_ONCE", 60)
    parts = count_outcomes(scores, labels, loss=True)
    for name in ("hits", "predicted", "loss_sum", "broken"):
        assert torch.equal(getattr(whole, name), getattr(parts, name))
