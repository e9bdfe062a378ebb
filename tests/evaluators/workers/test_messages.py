"""Messages: what is packed comes out again, and bytes that are no message run nothing."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from widthwise.evaluators.protocol import Results
from widthwise.evaluators.workers.messages import (
    WorkerError,
    pack,
    pack_error,
    pack_results,
    unpack,
    unpack_results,
)

values = arrays.arrays(
    st.sampled_from(["<i8", "<f8", "|u1"]), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0)
)


@given(st.dictionaries(st.text(), st.integers() | st.text()), st.dictionaries(st.text(), values))
def test_what_is_packed_comes_out(head, given_arrays):
    found_head, found = unpack(pack(head, given_arrays))
    assert found_head == head
    assert list(found) == list(given_arrays)
    for name, array in given_arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_results_come_out_to_the_last_bit():
    metrics = {"accuracy": np.array([np.nan, 1 / 3, np.inf]), "loss": np.array([-0.0, 5e-324, 1e300])}
    results = Results(
        metrics, {np.int64(0): "späße\n\u2028"}, frozenset([np.int64(2)]), notes={1: ("a", "b\n")}
    )
    found = unpack_results(pack_results(results))
    assert isinstance(found, Results)
    assert found.failures == {0: "späße\n\u2028"}
    assert found.pruned == {2}
    assert found.notes == {1: ("a", "b\n")}
    for name, array in metrics.items():
        assert found[name].tobytes() == array.tobytes()


def test_an_error_is_no_result():
    assert unpack_results(pack_error("boom", by_user=True)) == WorkerError("boom", by_user=True)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_error(content):
    with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError, RecursionError, MemoryError):
        unpack(content)


def test_objects_are_refused():
    with pytest.raises(TypeError, match="x is object"):
        pack({}, {"x": np.array([{}], dtype=object)})
