"""Samples made of those there are: within what the settings say, and nothing else."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from widthwise.data.blocks import DataBlock
from widthwise.training.finetuning.made import Made
from widthwise.training.finetuning.settings import Finetuning


def made_of(block: DataBlock, seed: int, **settings: float) -> DataBlock:
    made = Made.of(Finetuning(**settings), block, "the data")  # type: ignore[arg-type]
    return made(block, torch.Generator().manual_seed(seed))


@given(st.integers(0, 2**31), st.floats(0, 1))
def test_mixup_stays_between_two_samples(seed: int, mixup: float) -> None:
    x = torch.rand(8, 3, generator=torch.Generator().manual_seed(seed))
    block = DataBlock({"x": x, "ids": torch.arange(8)}, torch.arange(8))
    found = made_of(block, seed, mixup=mixup)
    assert found.inputs["ids"].equal(torch.arange(8))
    for row, sample in zip(found.inputs["x"], x, strict=True):
        moved = row - sample
        shares = [
            float((moved @ (y - sample)) / ((y - sample) @ (y - sample))) for y in x if not y.equal(sample)
        ]
        fits = [
            s
            for s, y in zip(shares, [y for y in x if not y.equal(sample)], strict=True)
            if torch.allclose(row, sample + s * (y - sample), atol=1e-5) and -1e-4 <= s <= mixup + 1e-4
        ]
        assert fits or torch.allclose(row, sample, atol=1e-6)


@given(st.integers(0, 2**31), st.integers(1, 3))
def test_crops_are_images_moved_by_whole_pixels(seed: int, crop: int) -> None:
    x = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    found = made_of(DataBlock({"x": x}, torch.arange(2)), seed, crop=crop).inputs["x"]
    rows = torch.arange(6)
    assert any(
        found.equal(x[..., (rows - down).clamp(0, 5), :][..., (rows - right).clamp(0, 5)])
        for down in range(-crop, crop + 1)
        for right in range(-crop, crop + 1)
    )


def test_noise_has_each_features_own_size() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 2, generator=generator) * torch.tensor([1.0, 10.0])
    found = made_of(DataBlock({"x": x}, torch.zeros(len(x))), 1, noise=0.1).inputs["x"]
    assert torch.allclose((found - x).std(0), torch.tensor([0.1, 1.0]), rtol=0.05)
