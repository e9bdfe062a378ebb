"""The task that is found for targets and outputs, and what is said where none fits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.quality.finding import find_task

NUMBERS = torch.linspace(-1, 2, 12)
LABELS = torch.arange(12) % 3
BITS = torch.arange(12) % 2


@pytest.mark.parametrize(
    ("targets", "outputs", "task"),
    [
        (LABELS, (3,), "classification"),
        (LABELS, (5,), "classification"),
        (LABELS + 7, (3,), "classification"),  # whose own check tells what is wrong with them
        (BITS, (2,), "classification"),
        (BITS, (), "binary"),
        (BITS, (1,), "binary"),
        (BITS[:, None].float(), (1,), "binary"),
        (torch.stack([BITS, LABELS % 2, BITS], 1), (3,), "binary"),
        (torch.eye(3)[LABELS], (3,), "classification"),
        (LABELS, (1,), "regression"),  # counts
        (NUMBERS, (), "regression"),
        (NUMBERS, (1,), "regression"),
        (NUMBERS[:, None], (), "regression"),
        (NUMBERS.view(4, 3), (3,), "regression"),
        (NUMBERS.view(2, 2, 3), (2, 3), "regression"),
        (LABELS.view(2, 2, 3), (5, 2, 3), "segmentation"),
        (LABELS.view(2, 6), (5, 6), "segmentation"),
        (BITS.view(2, 2, 3), (1, 2, 3), "segmentation"),  # one logit a place
        (BITS.view(2, 1, 2, 3).float(), (1, 2, 3), "segmentation"),
        (BITS.view(2, 2, 3).float().masked_fill(LABELS.view(2, 2, 3) == 2, 255), (1, 2, 3), "segmentation"),
        (LABELS.view(2, 1, 2, 3), (5, 2, 3), "segmentation"),
        (LABELS.view(2, 2, 3).float(), (5, 2, 3), "segmentation"),
        (NUMBERS.view(2, 1, 2, 3), (1, 2, 3), "regression"),
        (LABELS.view(2, 6), (6, 50), "tokens"),
        (LABELS.view(4, 3), (3, 3), "tokens"),
        (LABELS.view(2, 2, 3), (2, 3, 9), "tokens"),
    ],
)
def test_the_task_that_fits_is_found(targets: Tensor, outputs: tuple[int, ...], task: str):
    found = find_task(targets, outputs, DataFacts())
    assert found.task.name == task
    assert found.why.isprintable()
    assert len(found.why) < 80


@pytest.mark.parametrize(
    ("targets", "outputs", "said"),
    [
        (NUMBERS, (5,), r"targets float32 \[n\] and outputs \[n, 5\]"),
        (NUMBERS.view(4, 3), (), r"targets float32 \[n, 3\] and outputs \[n\]"),
        (BITS.view(2, 2, 3), (2, 3), r"targets int64 \[n, 2, 3\] and .* one logit a place, \[n, 1, 2, 3\]"),
        (
            BITS.view(2, 2, 3).float(),
            (2, 3),
            r'targets .* 0 and 1 alone: .* task = "regression" takes them',
        ),
    ],
)
def test_where_none_fits_it_is_said_what_was_found(targets: Tensor, outputs: tuple[int, ...], said: str):
    with pytest.raises(UserError, match="mine: no task is found for " + said):
        find_task(targets, outputs, DataFacts(note="mine"))
