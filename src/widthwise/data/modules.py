"""Data modules: named data sets and the user's own, split, standardised and served in batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import call_object, load_object
from widthwise.core.registry import Entry, Registry

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Generator, Tensor

    from widthwise.data.samples import Samples, Scaler, Standardise

FILE_TYPES = (".npz", ".csv", ".parquet")
FROM_ELSEWHERE = ("jsc-full", "cifar10")  # not part of the package
DEFAULT_SPLITS = (0.6, 0.2, 0.2)


def _own(name: str, read_by: str, summary: str) -> Entry[None]:
    return Entry(name, f"widthwise.data.built_in:{read_by}", summary)


DATA: Registry[None] = Registry(
    "data set",
    [
        Entry(
            "jsc",
            "widthwise.data.built_in:jsc",
            "jets at the LHC, 16 features, 5 classes: the embedded 1,024-jet sample",
        ),
        Entry(
            "jsc-full",
            "widthwise.data.built_in:jsc_full",
            "the same jets, all 830,000: from a file, or downloaded from OpenML",
        ),
        Entry(
            "digits",
            "widthwise.data.built_in:digits",
            "scikit-learn's 1,797 handwritten digits, [1, 8, 8], 10 classes",
        ),
        Entry(
            "cifar10",
            "widthwise.data.built_in:cifar10",
            "60,000 photographs, [3, 32, 32], 10 classes: from the user's folder",
        ),
        Entry(
            "toy_tiny",
            "widthwise.data.built_in:toy_tiny",
            "four uniform numbers, is their sum positive: only to try things",
        ),
    ],
    group="widthwise.data",
)
"""The data sets by name; what reads ours takes a Request, what a plug-in gives takes nothing."""


@runtime_checkable
class Data(Protocol):
    """All that the package relies on: three loaders of batches, so a LightningDataModule will do.

    Batches are (x, y), (x1, x2, y), ((x1, x2), y), or names to tensors with labels: see `data/batches.py`.
    """

    def train_dataloader(self) -> Iterable[Any]: ...

    def val_dataloader(self) -> Iterable[Any]: ...

    def test_dataloader(self) -> Iterable[Any]: ...


class Batches:
    """A loader: batches x [n, ...], y [n] of up to batch_size rows; a generator shuffles each pass anew."""

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
    """A data set in three parts, each a pair x [rows, *input_shape] (float32), y [rows] (int64)."""

    name: str
    note: str  # one line for outputs: what this data is
    feature_names: tuple[str, ...]  # empty where a sample is no flat list of features
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    scaler: Scaler | None  # how the features were standardised
    batch_size: int
    seed: int
    parts: dict[str, tuple[Tensor, Tensor]]  # "train", "val", "test"

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

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


def load_data(
    name_or_path: str | Path | Data,
    *,
    batch_size: int = 256,
    seed: int = 0,
    path: str | Path | None = None,
    download: bool = False,
    splits: Sequence[float] = DEFAULT_SPLITS,
    standardise: Standardise | None = None,
    flatten: bool = False,
) -> Data:
    """A data set, split by class with the seed and standardised with statistics of the training split alone.

    Args:
        name_or_path: a name in DATA, a .npz, .csv or .parquet file, or "module:callable" returning a
            data module or a pair (X, y). A data module is handed back as it is; a callable's is set up first.
        path, download: where jsc-full comes from: the user's file, or OpenML;
            path is also cifar10's folder.
        splits: shares of train, val and test, adding up to 1; a part may be empty if nobody asks for it.
            cifar10's test split is the published one; train and val share the rest.
        standardise: "train" (statistics of the training split), "reference" (those that came with the data)
            or "none"; by default "train" for tables, "none" for images, toy_tiny and what a callable returns.
        flatten: samples as flat vectors, as an MLP takes images.

    Raises UserError for data that can't be found, read or split, for NaN, and for labels that are no classes.
    """
    if isinstance(name_or_path, Data):
        return name_or_path
    source = data_source(name_or_path)
    if source not in FROM_ELSEWHERE and (path is not None or download):
        elsewhere = " and ".join(FROM_ELSEWHERE)
        raise UserError(f"{name_or_path}: takes neither a path nor a download; those are for {elsewhere}")
    _check_options(batch_size, splits, standardise)
    found = _samples(source, seed=seed, path=path, download=download)
    if isinstance(found, Data):
        return found
    return _module(
        found, batch_size=batch_size, seed=seed, splits=splits, standardise=standardise, flatten=flatten
    )


def data_source(name_or_path: str | Path) -> str:
    """The canonical name of a built-in data set, or the file or module:callable as given; nothing is read.

    Raises UserError for anything else. Imports nothing heavy, so a config can be checked with it.
    """
    text = str(name_or_path)
    if _is_file(text) or ":" in text:
        return text
    if (entry := DATA.get(text)) is not None:
        return entry.name
    if Path(text).suffix or "/" in text:
        raise UserError(f"{text}: is no data file; allowed: {', '.join(FILE_TYPES)}")
    raise unknown("data set", text, [*DATA.entries, f"a {'/'.join(FILE_TYPES)} file", "module:callable"])


def _is_file(text: str) -> bool:
    return Path(text).suffix.lower() in FILE_TYPES


def _check_options(batch_size: int, splits: Sequence[float], standardise: str | None) -> None:
    from widthwise.data.samples import STANDARDISATIONS
    from widthwise.data.split import check_splits

    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size = {batch_size!r} is no whole number from 1")
    check_splits(splits)
    if standardise is not None and standardise not in STANDARDISATIONS:
        raise unknown("standardisation", standardise, STANDARDISATIONS)


def _samples(source: str, *, seed: int, path: str | Path | None, download: bool) -> Samples | Data:
    from widthwise.data import built_in, own

    if _is_file(source):
        return own.read_samples(source)
    entry = DATA.get(source) if ":" not in source else None
    found = load_object(source, what="data") if entry is None else DATA.loaded(entry)
    if entry is not None and source in DATA.own:
        samples: Samples = found(built_in.Request(seed=seed, path=path, download=download))
        return samples
    made = call_object(found, source, what="data")
    if not isinstance(made, Data):
        return own.samples_of_pair(made, name=source)
    _set_up(made, source)
    return made


def _set_up(module: Data, source: str) -> None:
    """Does what Lightning's trainer does before it asks a data module for loaders."""
    if hasattr(module, "prepare_data"):
        call_object(module.prepare_data, source, what="data")
    if hasattr(module, "setup"):
        for stage in ("fit", "test"):
            call_object(partial(module.setup, stage), source, what="data")


def _module(
    samples: Samples,
    *,
    batch_size: int,
    seed: int,
    splits: Sequence[float],
    standardise: Standardise | None,
    flatten: bool,
) -> DataModule:
    import torch

    from widthwise.data.split import SPLITS, split_samples

    rows = split_samples(samples, splits, seed=seed)
    scaler = _scaler(samples, rows[0], standardise or samples.standardise)
    x = samples.x if scaler is None else scaler(samples.x)
    x = x.reshape(len(x), -1) if flatten else x
    parts = {
        part: (torch.from_numpy(x[chosen]), torch.from_numpy(samples.y[chosen]))
        for part, chosen in zip(SPLITS, rows, strict=True)
    }
    return DataModule(
        name=samples.name,
        note=samples.note,
        feature_names=samples.feature_names,
        class_names=samples.class_names,
        input_shape=x.shape[1:],
        scaler=scaler,
        batch_size=batch_size,
        seed=seed,
        parts=parts,
    )


def _scaler(samples: Samples, train_rows: NDArray[Any], standardise: str) -> Scaler | None:
    from widthwise.data.samples import Scaler

    if standardise == "none":
        return None
    if standardise == "train":
        if not len(train_rows):
            raise UserError(
                f"{samples.name}: no training rows to standardise with; give train a share in splits, or "
                "standardise with reference or none"
            )
        return Scaler.of(samples.x[train_rows])
    if samples.scaler is None:
        raise UserError(f"{samples.name}: has no reference statistics; allowed: train, none")
    return samples.scaler
