"""Blocks hold all samples of their batches in order, and nothing is joined that does not fit."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.data.blocks import DataBlock, every_few, first_of, in_blocks, joined, spread_over


def batch(numbers: range, length: int = 2) -> DataBlock:
    """Samples that know their numbers."""
    y = torch.tensor(list(numbers))
    return DataBlock({"x": y[:, None].expand(-1, length).float(), "mask": y[:, None] > 3}, y)


@st.composite
def batches(draw: st.DrawFn) -> list[DataBlock]:
    """Of any sizes, padded to one of two lengths."""
    found, start = [], 0
    for size in draw(st.lists(st.integers(1, 7), min_size=1, max_size=8)):
        found.append(batch(range(start, start + size), draw(st.sampled_from([2, 3]))))
        start += size
    return found


def numbers(blocks: list[DataBlock]) -> list[int]:
    """Those of all samples, which their inputs agree with."""
    for block in blocks:
        assert all((row == y).all() for row, y in zip(block.inputs["x"], block.targets, strict=True))
        assert torch.equal(block.inputs["mask"][:, 0], block.targets > 3)
    return [int(y) for block in blocks for y in block.targets]


def lengths(blocks: list[DataBlock]) -> dict[int, int]:
    """The padding of each sample, by its number."""
    return {int(y): block.inputs["x"].shape[1] for block in blocks for y in block.targets}


@given(batches(), st.integers(1, 10), st.none() | st.integers(0, 60))
def test_blocks_hold_the_first_samples_in_order(
    given: list[DataBlock], samples: int, most: int | None
) -> None:
    total = sum(map(len, given))
    found = list(in_blocks(given, samples=samples, most=most))
    assert numbers(found) == list(range(total if most is None else min(total, most)))
    assert all(len(block) <= samples for block in found)
    assert lengths(found).items() <= lengths(given).items()
    alike = [a.joins(b) for a, b in pairwise(found)]
    assert all(len(block) == samples for block, joins in zip(found, alike, strict=False) if joins)


@given(batches(), st.integers(7, 60))
def test_whole_batches_stay_whole(given: list[DataBlock], most: int) -> None:
    found = list(in_blocks(given, samples=1, most=most, whole=True))
    assert all(one is other for one, other in zip(found, given, strict=False))
    left = given[len(found) :]
    assert sum(map(len, found)) <= most
    assert not left or sum(map(len, [*found, left[0]])) > most


@given(batches(), st.integers(1, 60), st.integers(1, 10))
def test_what_is_spread_is_from_all_over(given: list[DataBlock], most: int, size: int) -> None:
    total = sum(map(len, given))
    found = numbers(spread_over(given, total, most, size=size))
    assert found == torch.linspace(0, total - 1, min(most, total)).long().tolist()
    whole = every_few(given, most)
    assert numbers(whole) == sorted(numbers(whole))
    assert len(whole) == 1 or sum(map(len, whole)) <= most


def test_a_batch_that_is_larger_than_what_is_asked_for_is_one_line() -> None:
    with pytest.raises(UserError, match="samples = 3 is less than a batch of 5"):
        list(in_blocks([batch(range(5))], samples=1, most=3, whole=True))


def test_no_batches_are_one_line() -> None:
    with pytest.raises(UserError, match="here: has no samples"):
        first_of([], "here")


@pytest.mark.parametrize(
    ("other", "joins"),
    [
        (batch(range(9, 12)), True),
        (batch(range(9, 12), 3), False),
        (DataBlock({"x": torch.zeros(2, 2)}, torch.zeros(2)), False),
        (DataBlock({"mask": torch.zeros(2, 1) > 0, "x": torch.zeros(2, 2)}, torch.zeros(2)), False),
        (DataBlock({"x": torch.zeros(2, 2).double(), "mask": torch.zeros(2, 1) > 0}, torch.zeros(2)), False),
    ],
)
def test_only_blocks_of_the_same_inputs_are_joined(other: DataBlock, joins: bool) -> None:
    one = batch(range(4))
    assert one.joins(other) == joins
    if joins:
        together = joined([one, other])
        assert numbers([together]) == [0, 1, 2, 3, 9, 10, 11]


def test_rows_are_told_from_other_axes() -> None:
    def block(x: Tensor) -> DataBlock:
        return DataBlock({"x": x}, torch.arange(3))

    assert block(torch.zeros(3, 2)).has_rows
    assert not block(torch.zeros(2, 3)).has_rows
    assert not block(torch.tensor(1.0)).has_rows
