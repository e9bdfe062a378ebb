"""CIFAR-10 from the folder of its binary version, as the user downloads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from widthwise.core.errors import UserError
from widthwise.data.samples import Samples, check_samples

SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32  # bytes: the label, then red, green and blue, row by row
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"
NAMES_FILE = "batches.meta.txt"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
HOME = "https://www.cs.toronto.edu/~kriz/cifar.html"


def read_cifar10(folder: str | Path) -> Samples:
    """Images [3, 32, 32] from 0 to 1; those of the test file stay the test split.

    The folder is cifar-10-batches-bin of the "binary version", or holds it. Raises UserError where files are
    missing or no whole number of records long, and for labels beyond 9. Source: Krizhevsky 2009.
    """
    folder = _with_files(Path(folder))
    train = [_records(folder / name) for name in TRAIN_FILES]
    test = _records(folder / TEST_FILE)
    records = np.concatenate([*train, test])
    images = records[:, 1:].reshape(-1, *SHAPE).astype(np.float32) / 255
    samples = check_samples(
        images,
        records[:, 0].astype(np.int64),
        name="cifar10",
        note=f"cifar10: {len(records):,} images of 10 classes from {folder}",
        class_names=_class_names(folder),
    )
    return samples.with_test_rows(len(test))


def _with_files(folder: Path) -> Path:
    for place in (folder, folder / "cifar-10-batches-bin"):
        missing = [name for name in (*TRAIN_FILES, TEST_FILE) if not (place / name).is_file()]
        if not missing:
            return place
        if len(missing) <= len(TRAIN_FILES):
            raise UserError(f"cifar10: {place} lacks {', '.join(missing)}; unpack the whole binary version")
    raise UserError(
        f"cifar10: {folder} holds no {TRAIN_FILES[0]}; give the folder of the binary version "
        f"(cifar-10-batches-bin) from {HOME}; the Python version is pickled and isn't read"
    )


def _records(path: Path) -> NDArray[np.uint8]:
    """The records of a file, [images, 3073]."""
    found = np.fromfile(path, dtype=np.uint8)
    if not len(found) or len(found) % RECORD:
        raise UserError(
            f"{path}: {len(found):,} bytes are no whole number of images of {RECORD:,}; download it again"
        )
    records = found.reshape(-1, RECORD)
    if records[:, 0].max() >= len(CLASSES):
        row = int(records[:, 0].argmax())
        raise UserError(
            f"{path}: label {records[row, 0]} in image {row}; the classes are 0 to 9: is it CIFAR-10?"
        )
    return records


def _class_names(folder: Path) -> tuple[str, ...]:
    path = folder / NAMES_FILE
    if not path.is_file():
        return CLASSES
    names = tuple(path.read_text(encoding="utf-8", errors="replace").split())
    return names if len(names) == len(CLASSES) else CLASSES
