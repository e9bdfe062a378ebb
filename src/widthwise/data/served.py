"""Data that is read, split and standardised, served in batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Generator, Tensor

    from widthwise.data.samples import Inputs, Samples, Scaler, Standardise

STANDARDISED = {
    "train": "standardised by the training part",
    "reference": "standardised by the statistics that came with them",
    "none": "as they are",
}


class Batches:
    """A loader: batches of up to batch_size rows; a generator shuffles each pass anew.

    x [n, ...] is a tensor, or several by name. Batches are (x, y), or x alone where y is None.
    """

    def __init__(
        self,
        x: Tensor | Mapping[str, Tensor],
        y: Tensor | None,
        *,
        batch_size: int,
        shuffle: Generator | None = None,
    ) -> None:
        self.x, self.y, self.batch_size, self.shuffle = x, y, batch_size, shuffle

    def __len__(self) -> int:
        return math.ceil(self.rows / self.batch_size)

    @property
    def rows(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.x.values())) if isinstance(self.x, Mapping) else self.x)

    def __iter__(self) -> Iterator[Any]:
        rows: Any = slice(None)
        if self.shuffle is not None:
            import torch

            rows = torch.randperm(self.rows, generator=self.shuffle)
        x, y = _chosen(self.x, rows), None if self.y is None else self.y[rows]
        for start in range(0, self.rows, self.batch_size):
            part = slice(start, start + self.batch_size)
            yield _chosen(x, part) if y is None else (_chosen(x, part), y[part])


@dataclass(frozen=True, eq=False)
class DataModule:
    """A data set in three parts, each a pair x [rows, *input_shape], y [rows, ...].

    x is float32, int64 where it holds tokens, or several such inputs by name; input_shape is then that of the
    first. y is int64 or float32, None without targets. class_names: of targets that are classes.
    target_names: of the columns of targets [rows, k]. taken: what the data was taken for, in one line.
    """

    name: str
    note: str  # one line for outputs: what this data is
    feature_names: tuple[str, ...]  # empty where a sample is no flat list of features
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    scaler: Scaler | None  # how the features were standardised
    batch_size: int
    seed: int
    parts: dict[str, tuple[Any, Any]]  # "train", "val", "test"
    target_names: tuple[str, ...] = ()
    taken: str = ""
    loaded: tuple[str, Mapping[str, Any]] | None = field(default=None, init=False)
    """The name or file and the options by which `load_data` made it; a changed copy has none."""

    def __repr__(self) -> str:
        """What it is, how many samples its parts have, and what it was taken for."""
        counts = ", ".join(
            f"{Batches(*found, batch_size=1).rows:,} {part}" for part, found in self.parts.items()
        )
        shape = " x ".join(map(str, self.input_shape))
        return f"Data {self.note}: samples of {shape} ({counts})\n{self.taken}"

    def loaded_by(self, source: str, options: Mapping[str, Any]) -> DataModule:
        """The same, with what it was made of."""
        object.__setattr__(self, "loaded", (source, dict(options)))
        return self

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
        found = Batches(*self.parts[part], batch_size=self.batch_size, shuffle=shuffle)
        if not found.rows:
            raise UserError(
                f"{self.name}: the {part} split is empty; give it a share in splits (train, val, test)"
            )
        return found


def served(
    samples: Samples,
    *,
    batch_size: int,
    seed: int,
    splits: Sequence[float],
    standardise: Standardise | None = None,
    flatten: bool = False,
) -> DataModule:
    """Samples split with the seed, standardised as said or as is usual; UserError where they can't be."""
    import torch

    from widthwise.data.split import SPLITS, split_samples

    rows = split_samples(samples, splits, seed=seed)
    how, targets = standardise or samples.standardise, samples.targets
    scaler = _scaler(samples, rows[0], how)
    x = samples.x if scaler is None or samples.numbers is None else scaler(samples.numbers)
    x = _flat(x, samples.name) if flatten else x
    first = next(iter(x.values())) if isinstance(x, Mapping) else x

    def part(chosen: NDArray[Any]) -> tuple[Any, Any]:
        inputs = _chosen(x, chosen)
        tensors = (
            {key: torch.from_numpy(found) for key, found in inputs.items()}
            if isinstance(inputs, Mapping)
            else torch.from_numpy(inputs)
        )
        return tensors, None if targets is None else torch.from_numpy(targets.values[chosen])

    return DataModule(
        name=samples.name,
        note=samples.note,
        feature_names=samples.feature_names,
        class_names=() if targets is None else targets.class_names,
        target_names=() if targets is None else targets.names,
        input_shape=first.shape[1:],
        scaler=scaler,
        batch_size=batch_size,
        seed=seed,
        parts={name: part(chosen) for name, chosen in zip(SPLITS, rows, strict=True)},
        taken=_taken(samples, how),
    )


def _chosen(x: Any, rows: Any) -> Any:
    """Some rows of an array or a tensor, or of several by name."""
    return {key: found[rows] for key, found in x.items()} if isinstance(x, Mapping) else x[rows]


def _flat(x: Inputs, name: str) -> NDArray[Any]:
    if isinstance(x, Mapping):
        raise UserError(f"{name}: has several inputs ({', '.join(x)}), which flatten isn't for; leave it out")
    return x.reshape(len(x), -1)


def _taken(samples: Samples, standardise: Standardise) -> str:
    """What the data is taken for: its label, and what was done to the features."""
    said = "none" if samples.targets is None else str(samples.targets)
    label = f"{samples.label}, {said}" if samples.label else said
    if isinstance(samples.x, Mapping):
        return f"{label}; inputs {', '.join(samples.x)} as they are"
    if samples.numbers is None:
        return f"{label}; tokens as they are"
    features = "features" if samples.feature_names else "samples"
    return f"{label}; {features} {STANDARDISED[standardise]}"


def _scaler(samples: Samples, train_rows: NDArray[Any], standardise: str) -> Scaler | None:
    from widthwise.data.samples import Scaler

    if standardise == "none":
        return None
    x = samples.numbers
    if x is None:
        what = "several inputs aren't" if isinstance(samples.x, Mapping) else "tokens are no numbers to be"
        raise UserError(f"{samples.name}: {what} standardised; leave it out, or say none")
    if standardise == "train":
        if not len(train_rows):
            raise UserError(
                f"{samples.name}: no training rows to standardise with; give train a share in splits, or "
                "standardise with reference or none"
            )
        return Scaler.of(x[train_rows])
    if samples.scaler is None:
        raise UserError(f"{samples.name}: has no reference statistics; allowed: train, none")
    return samples.scaler
