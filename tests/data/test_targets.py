"""What targets are taken for: classes or numbers, one or several a sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from widthwise.core.errors import UserError
from widthwise.data.targets import MOST_UNSAID, read_targets


@given(st.lists(st.integers(0, 6), min_size=2), st.sampled_from(["i1", "u8", "f4", "f8"]))
def test_whole_numbers_from_0_without_a_gap_are_classes(codes: list, dtype: str):
    found = sorted(set(codes))
    given_codes = np.array([found.index(code) for code in codes], dtype)
    if len(found) < 2:
        return
    targets = read_targets(given_codes, name="own")
    assert targets.values.dtype == np.int64
    assert targets.values.tolist() == given_codes.tolist()
    assert targets.class_names == tuple(map(str, range(len(found))))


@given(st.lists(st.integers(-99, 99), min_size=2).filter(lambda codes: len(set(codes)) > 1))
def test_other_whole_numbers_are_what_is_said(codes: list):
    classes, numbers = (read_targets(codes, name="own", kind=kind) for kind in ("classes", "numbers"))  # type: ignore[arg-type]
    assert [int(classes.class_names[code]) for code in classes.values] == codes
    assert numbers.values.tolist() == codes
    assert (numbers.values.dtype, numbers.class_names) == (np.float32, ())


@given(arrays.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e9, 1e9)))
def test_fractions_are_numbers(values: np.ndarray):
    values[0] = 0.25
    assert np.array_equal(read_targets(values, name="own").values, values.astype("f4"))


def test_a_task_tells_what_could_be_both_and_nothing_else():
    assert read_targets([1, 2, 3], name="own", unclear="numbers").values.tolist() == [1, 2, 3]
    assert read_targets([1, 2, 3], name="own", unclear="classes").class_names == ("1", "2", "3")
    assert read_targets([0, 1, 2], name="own", unclear="numbers").values.dtype == np.float32
    assert len(read_targets(np.arange(1, 103), name="own", unclear="classes").class_names) == 102
    assert read_targets([0.5, 1, 2], name="own", unclear="classes").values.dtype == np.float32
    assert read_targets([0.5, 1, 2], name="own", unclear="classes").values.dtype == np.float32


def test_many_whole_numbers_are_numbers_and_few_have_to_be_said():
    assert read_targets(np.arange(1, MOST_UNSAID + 2), name="own").values.dtype == np.float32
    with pytest.raises(
        UserError, match="50 different whole numbers from 2 to 51, not 0 to 49, so they may be"
    ):
        read_targets(np.arange(2, MOST_UNSAID + 2), name="own")


def test_whole_numbers_from_one_are_classes_up_to_many():
    found = read_targets(np.arange(1, MOST_UNSAID + 1), name="own")
    assert found.values.tolist() == list(range(MOST_UNSAID))
    assert str(found) == "50 classes, numbered from 1"
    assert read_targets([1, 2, -100, 3], name="own").values.tolist() == [0, 1, -100, 2]
    with pytest.raises(UserError, match="3 different whole numbers from 1 to 4"):
        read_targets([1, 2, 4], name="own")


@pytest.mark.parametrize("shape", [(6, 2), (6, 4, 4), (6, 1, 3, 3)])
def test_several_targets_stay_as_they_are(shape: tuple):
    whole = np.arange(np.prod(shape)).reshape(shape) % 256
    for dtype in ("u1", "i4", "i8"):
        found = read_targets(whole.astype(dtype), name="own")
        assert (found.values.dtype, found.values.tolist()) == (np.int64, whole.tolist())
    floats = read_targets(whole / 2, name="own")
    assert (floats.values.dtype, floats.values.tolist()) == (np.float32, (whole / 2).tolist())


@pytest.mark.parametrize(
    ("given_targets", "kind", "says"),
    [
        (["a", "b"], "numbers", "labels have dtype <U1; give numbers"),
        ([1.5, 2.5], "classes", "label 1.5 in row 0 is no class"),
        ([0.5, np.inf], None, "label inf in row 1 is no number"),
        ([[0.5, np.nan]], None, "label nan in row 0 is no number"),
        (np.full((2, 2), 2**64 - 1, "u8"), None, "is more than 64 bits hold"),
        ([3, 3, 3], "classes", "all labels are 3; give data with at least two classes"),
    ],
)
def test_what_is_neither_is_refused(given_targets, kind, says: str):
    with pytest.raises(UserError) as caught:
        read_targets(given_targets, name="own", kind=kind)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("given_targets", "says"),
    [
        (["a", "b", "b"], "2 classes"),
        ([0.5, 3.0], "numbers from 0.5 to 3"),
        ([[0, 1, 1], [1, 0, 0]], "0 or 1 for each of 3"),
        ([[0.5, 1.0]], "numbers, 2 a sample"),
        (np.full((2, 8, 8), 3), "whole numbers, 8 x 8 a sample"),
    ],
)
def test_it_is_said_in_a_few_words(given_targets, says: str):
    assert str(read_targets(given_targets, name="own")) == says


def test_minus_100_is_left_out_of_classes():
    found = read_targets([2, -100, 0, 1, -100, 0], name="own")
    assert found.values.tolist() == [2, -100, 0, 1, -100, 0]
    assert str(found) == "3 classes, -100 left out"
    named = read_targets([1, -100, 0], name="own", class_names=["no", "yes"])
    assert named.values.tolist() == [1, -100, 0]
    assert read_targets([5, 9, -100], name="own", kind="classes").values.tolist() == [0, 1, -100]
    with pytest.raises(UserError, match="all labels are -100"):
        read_targets([-100, -100], name="own", kind="classes")
