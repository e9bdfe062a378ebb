"""Data that is read, split and standardised, served in batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from widthwise.data.samples import Scaler


class Batches:
    """A loader: batches x [n, ...], y [n, ...] of up to batch_size rows; a generator shuffles each pass."""

    def __init__(self, x: Tensor, y: Tensor, *, batch_size: int, shuffle: Generator | None = None) -> None:
        self.x, self.y, self.batch_size, self.shuffle = x, y, batch_size, shuffle

    def __len__(self) -> int:
        return math.ceil(len(self.y) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        x, y = self.x, self.y
        if self.shuffle is not None:
            import torch

            order = torch.randperm(len(y), generator=self.shuffle)
            x, y = x[order], y[order]
        for start in range(0, len(y), self.batch_size):
            rows = slice(start, start + self.batch_size)
            yield x[rows], y[rows]


@dataclass(frozen=True, eq=False)
class DataModule:
    """A data set in three parts, each a pair x [rows, *input_shape] (float32), y [rows, ...].

    y is int64 or float32. class_names: of targets that are classes. target_names: of the columns of targets
    [rows, k]. taken: what the data was taken for, in one line.
    """

    name: str
    note: str  # one line for outputs: what this data is
    feature_names: tuple[str, ...]  # empty where a sample is no flat list of features
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    scaler: Scaler | None  # how the features were standardised
    batch_size: int
    seed: int
    parts: dict[str, tuple[Tensor, Tensor]]  # "train", "val", "test"
    target_names: tuple[str, ...] = ()
    taken: str = ""

    @property
    def classes(self) -> int | None:
        """How many classes there are; None where targets are no classes."""
        return len(self.class_names) or None

    def train_dataloader(self) -> Batches:
        """Training batches, shuffled; each new loader gives the same passes. Raises UserError where empty."""
        import torch

        return self._loader("train", shuffle=torch.Generator().manual_seed(self.seed))

    def val_dataloader(self) -> Batches:
        """Validation batches, in the order of the data. Raises UserError where empty."""
        return self._loader("val")

    def test_dataloader(self) -> Batches:
        """Test batches, in the order of the data. Raises UserError where empty."""
        return self._loader("test")

    def _loader(self, part: str, *, shuffle: Generator | None = None) -> Batches:
        x, y = self.parts[part]
        if not len(y):
            raise UserError(
                f"{self.name}: the {part} split is empty; give it a share in splits (train, val, test)"
            )
        return Batches(x, y, batch_size=self.batch_size, shuffle=shuffle)
