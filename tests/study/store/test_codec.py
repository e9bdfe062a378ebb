"""Rows as text, and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from widthwise.study.store.codec import (
    MOST_CHOICES,
    candidates_to_text,
    metrics_to_text,
    text_to_candidates,
    text_to_metrics,
)

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6)


@given(arrays(np.int64, SHAPES, elements=st.integers(0, MOST_CHOICES - 1)))
def test_candidates_read_back_as_written(candidates):
    texts = candidates_to_text(candidates)
    assert [len(text) for text in texts] == [candidates.shape[1]] * len(candidates)
    "".join(texts).encode("utf-8")  # every database can hold it
    assert np.array_equal(text_to_candidates("".join(texts), *candidates.shape), candidates)


def test_candidates_of_ten_choices_are_written_as_digits():
    assert candidates_to_text(np.array([[0, 9, 3], [1, 1, 1]])) == ["093", "111"]


@given(arrays(np.float64, SHAPES, elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_metrics_read_back_bit_for_bit(values):
    texts = metrics_to_text(values)
    assert len(texts) == len(values)
    read = text_to_metrics(",".join(texts), *values.shape)
    same = np.where(np.isnan(values), np.isnan(read), read.view(np.int64) == values.view(np.int64))
    assert same.all()


@pytest.mark.parametrize("metrics", [1, 3])
def test_many_metrics_read_back_bit_for_bit(metrics):
    rng = np.random.default_rng(0)
    bits = rng.integers(-(2**63), 2**63 - 1, (20_000, metrics), dtype=np.int64)
    values = bits.view(np.float64)  # every kind of float64: tiny, huge, infinite, NaN
    values[:5] = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])[:, None]
    values[5:9000] = rng.random((8995, metrics))
    values[9000:12_000] = rng.integers(0, 10**12, (3000, metrics))
    read = text_to_metrics(",".join(metrics_to_text(values)), *values.shape)
    same = np.where(np.isnan(values), np.isnan(read), read.view(np.int64) == values.view(np.int64))
    assert same.all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e-320, 0.1])
def test_metrics_are_written_as_json_that_every_reader_takes(value):
    (text,) = metrics_to_text(np.array([[value, 1.0]]))

    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is no JSON")

    assert len(json.loads(text, parse_constant=refuse)) == 2
