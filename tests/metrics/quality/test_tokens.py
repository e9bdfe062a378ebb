"""Tokens: padding, what does not fit, and memory that the vocabulary does not decide."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from helpers.judged import Batches
from widthwise.data.facts import DataFacts
from widthwise.data.modules import load_data
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.tokens import Tokens
from widthwise.training.settings import Settings


def network(characters: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(characters, 6), nn.Linear(6, characters))


def test_the_task_is_found_from_scores_at_each_place() -> None:
    data = load_data("poems")
    fit = check_data_fits_model(network(data.classes), data)
    assert fit.task.name == "tokens"


def test_padding_counts_nowhere_however_long_it_is() -> None:
    task, scores = Tokens(), torch.randn(1, 4, 5, 7)
    targets = torch.randint(7, (4, 5))
    targets[:, 3:] = -100
    figures = []
    for length in (5, 3):
        tally = task.tally(1, ["loss", "accuracy"], DataFacts(), (length, 7))
        zero = np.zeros(1, dtype=int)
        tally.add(zero, scores[:, :, :length], zero, targets[:, :length])
        figures.append([float(values[0]) for values in tally.values(["loss", "accuracy"]).values()])
    assert figures[0] == pytest.approx(figures[1], abs=1e-12)
    whole = task.loss(scores[0], targets, Settings())
    assert float(whole) == pytest.approx(figures[0][0], rel=1e-5)


def test_targets_that_are_the_inputs_own_tokens_stand_for_the_next_ones_and_that_is_said() -> None:
    tokens = torch.randint(9, (40, 6))
    shifted = torch.cat([tokens[:, 1:], torch.full((40, 1), -100)], dim=1)
    repeated, next_ones = (
        check_data_fits_model(network(9), Batches((tokens,), y)) for y in (tokens, shifted)
    )
    assert repeated.block.targets.equal(next_ones.block.targets)
    assert repeated.output.why.endswith("the next one where labels repeat the inputs")
    assert "repeat" not in next_ones.output.why
