"""Data modules: named data sets and the user's own, split, standardised and served in batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import call_object, load_object
from widthwise.core.registry import Entry, Registry

if TYPE_CHECKING:
    from widthwise.data.arrays import Asked
    from widthwise.data.samples import Samples, Standardise
    from widthwise.data.targets import TargetKind

FILE_TYPES = (".npz", ".csv", ".parquet")
FROM_ELSEWHERE = ("jsc-full", "cifar10")  # not part of the package
DEFAULT_SPLITS = (0.6, 0.2, 0.2)


def _own(name: str, summary: str) -> Entry[None]:
    return Entry(name, f"widthwise.data.built_in:{name.replace('-', '_')}", summary)


DATA: Registry[None] = Registry(
    "data set",
    [
        _own("jsc", "jets at the LHC, 16 features, 5 classes: the embedded 1,024-jet sample"),
        _own("jsc-full", "the same jets, all 830,000: from a file, or downloaded from OpenML"),
        _own("digits", "scikit-learn's 1,797 handwritten digits, [1, 8, 8], 10 classes"),
        _own("digits-masks", "the digits, a class for each pixel: background, or which digit"),
        _own("digits-traits", "the digits, four labels each: even, large, prime, with a loop"),
        _own("diabetes", "scikit-learn's 442 patients, 10 features, a number: how the illness went on"),
        _own("breast-cancer", "scikit-learn's 569 tumours, 30 features: malignant or benign"),
        _own("poems", "204 lines of verse, a character a token: which comes next"),
        _own("cifar10", "60,000 photographs, [3, 32, 32], 10 classes: from the user's folder"),
        _own("toy_tiny", "four uniform numbers, is their sum positive: only to try things"),
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


def load_data(
    name_or_path: str | Path | Data,
    *,
    batch_size: int = 256,
    seed: int = 0,
    path: str | Path | None = None,
    download: bool = False,
    splits: Sequence[float] = DEFAULT_SPLITS,
    label: str | int | Sequence[str | int] | None = None,
    header: bool | None = None,
    targets: TargetKind | None = None,
    task: str | None = None,
    standardise: Standardise | bool | None = None,
    flatten: bool = False,
) -> Data:
    """A data set, split with the seed and standardised with statistics of the training split alone.

    Args:
        name_or_path: a name in DATA, a .npz, .csv or .parquet file, a folder (written with a slash) of them
            or of images or .npy arrays, or "module:callable" returning a data module, a pair (X, y) or arrays
            by name. A data module is handed back as it is; a callable's is set up first.
        path, download: where jsc-full comes from: the user's file, or OpenML;
            path is also cifar10's folder.
        splits: shares of train, val and test, adding up to 1; a part may be empty if nobody asks for it.
            cifar10's test split is the published one; train and val share the rest.
        label: which columns of a table (by name or number) or arrays of an .npz are the targets; () for none;
            without it the column named label, target, class or y, or the only one of text.
        header: whether the first line of a .csv names the columns; without it, as it looks.
        targets: "classes" or "numbers"; without it, as they look. task: what they are for, which tells what
            whole numbers are: numbers for "regression", classes for "classification".
        standardise: "train" (statistics of the training split; also True), "reference" (those that came with
            the data) or "none" (also False); by default "train" for tables, "none" for images, toy_tiny and
            what a callable returns.
        flatten: samples as flat vectors, as an MLP takes images.

    Raises UserError for data that can't be found, read or split, for NaN, for labels that are no targets, and
    where it isn't plain what the label is.
    """
    if isinstance(name_or_path, Data):
        return name_or_path
    source = data_source(name_or_path)
    if source not in FROM_ELSEWHERE and (path is not None or download):
        elsewhere = " and ".join(FROM_ELSEWHERE)
        raise UserError(f"{name_or_path}: takes neither a path nor a download; those are for {elsewhere}")
    _check_apply(name_or_path, source, label=label, header=header, targets=targets)
    how = standardise if not isinstance(standardise, bool) else "train" if standardise else "none"
    _check_options(batch_size, splits, how, targets)
    from widthwise.data.arrays import Asked
    from widthwise.data.served import served
    from widthwise.data.targets import OF_TASKS

    columns = (label,) if isinstance(label, str | int) else label
    asked = Asked(columns, targets, OF_TASKS.get(task or ""))
    found = _samples(source, asked, header=header, seed=seed, path=path, download=download)
    if isinstance(found, Data):
        return found
    made = served(found, batch_size=batch_size, seed=seed, splits=splits, standardise=how, flatten=flatten)
    options = {
        "path": None if path is None else str(path),
        "download": download,
        "splits": tuple(splits),
        "label": None if columns is None else tuple(columns),
        "header": header,
        "targets": targets if source in DATA.own else targets or _taken_for(found),
        "standardise": how,
        "flatten": flatten,
    }
    return made.loaded_by(source, options)


def _taken_for(samples: Samples) -> TargetKind | None:
    """What targets [n] were taken for, which a task that is found later would have otherwise."""
    if samples.targets is None or samples.targets.values.ndim != 1:
        return None
    return "classes" if samples.targets.class_names else "numbers"


def data_source(name_or_path: str | Path) -> str:
    """The canonical name of a built-in data set, or the file or module:callable as given; nothing is read.

    Raises UserError for anything else. Imports nothing heavy, so a config can be checked with it.
    """
    text = str(name_or_path)
    if _is_file(text) or ":" in text:
        return text
    if (entry := DATA.get(text)) is not None:
        return entry.name
    if Path(text).expanduser().is_dir():
        return f"{text}/"
    if Path(text).suffix or "/" in text:
        raise UserError(f"{text}: is no data file; allowed: {', '.join(FILE_TYPES)}, or a folder of them")
    files = f"a {'/'.join(FILE_TYPES)} file or a folder of them"
    raise unknown("data set", text, [*DATA.entries, files, "module:callable"])


def _is_file(text: str) -> bool:
    """Whether it is a file of data, or a folder of them, which has a slash where a data set has its name."""
    return Path(text).suffix.lower() in FILE_TYPES or ("/" in text and Path(text).expanduser().is_dir())


def _check_apply(
    given: str | Path,
    source: str,
    *,
    label: str | int | Sequence[str | int] | None,
    header: bool | None,
    targets: TargetKind | None,
) -> None:
    """Raises UserError for what is told of data that knows it itself."""
    if source in DATA.own and targets is not None:
        raise UserError(f"{given}: says itself what its targets are; targets is for your own data")
    if not _is_file(source) and (header is not None or (label is not None and ":" not in source)):
        raise UserError(f"{given}: takes neither a label nor a header; those are for files")


def _check_options(
    batch_size: int, splits: Sequence[float], standardise: str | None, targets: str | None
) -> None:
    from widthwise.data.samples import STANDARDISATIONS
    from widthwise.data.split import check_splits
    from widthwise.data.targets import TARGET_KINDS

    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size = {batch_size!r} is no whole number from 1")
    check_splits(splits)
    if standardise is not None and standardise not in STANDARDISATIONS:
        raise unknown("standardisation", standardise, STANDARDISATIONS)
    if targets is not None and targets not in TARGET_KINDS:
        raise unknown("kind of targets", targets, TARGET_KINDS)


def _samples(
    source: str, asked: Asked, *, header: bool | None, seed: int, path: str | Path | None, download: bool
) -> Samples | Data:
    """What a file, a built-in data set, a plug-in's, or a callable of the user's own gives."""
    from widthwise.data import built_in, own

    if _is_file(source):
        return own.read_samples(source, asked=asked, header=header)
    entry = DATA.get(source) if ":" not in source else None
    found = load_object(source, what="data") if entry is None else DATA.loaded(entry)
    if entry is not None and source in DATA.own:
        samples: Samples = found(built_in.Request(seed=seed, path=path, download=download))
        return samples
    made = call_object(found, source, what="data")
    if not isinstance(made, Data):
        return own.samples_of(made, name=source, asked=asked)
    if asked.label is not None:
        raise UserError(
            f"{source}: returned a data module, whose batches say what the label is; leave it out"
        )
    _set_up(made, source)
    return made


def _set_up(module: Data, source: str) -> None:
    """Does what Lightning's trainer does before it asks a data module for loaders."""
    if hasattr(module, "prepare_data"):
        call_object(module.prepare_data, source, what="data")
    if hasattr(module, "setup"):
        for stage in ("fit", "test"):
            call_object(partial(module.setup, stage), source, what="data")
