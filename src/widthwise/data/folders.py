"""Folders with a file a sample: images or .npy arrays, in subfolders by class, or of inputs and targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError
from widthwise.core.files import read_npy
from widthwise.data.arrays import Asked, samples_of_arrays
from widthwise.data.padding import ragged_of
from widthwise.data.samples import Samples
from widthwise.data.targets import Targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from widthwise.data.padding import Array, Ragged

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
SAMPLE_TYPES = (".npy", *IMAGES)
INPUTS = ("images", "inputs", "features")  # no single letters, which may be classes
TARGETS = ("masks", "labels", "label", "targets", "target")
FORMATS = ("PNG", "JPEG", "BMP", "TIFF")  # that are decoded, whatever else is installed


def holds_samples(folder: Path) -> bool:
    """Whether it is a folder with a file a sample, here or in its subfolders."""
    return bool(_files(folder)) or any(_files(inside) for inside in _subfolders(folder))


def samples_of_folder(folder: Path, *, name: str, note: str, asked: Asked) -> Samples:
    """Samples of a folder: files alone are inputs; subfolders are classes, or inputs and targets.

    They are inputs and targets where one has such a name (images, masks …) or is named as the label; the
    files of a sample have the same name there. Raises UserError where that doesn't come out even.
    """
    subfolders = _subfolders(folder)
    files = _files(folder) or [path for inside in subfolders for path in _files(inside)]
    if any(path.suffix.lower() in IMAGES for path in files):
        note = f"{note}, pixels from 0 to 1"
    if _files(folder):
        if subfolders and any(_files(inside) for inside in subfolders):
            raise UserError(f"{folder}: holds files and subfolders of samples; give one or the other")
        arrays: dict[str, Array | Ragged] = {"X": _read(_files(folder), "X", name, target=False)}
        if asked.label:
            raise UserError(f"{name}: its files are inputs alone; put targets into a subfolder beside them")
        return samples_of_arrays(arrays, name=name, note=note, asked=dataclasses.replace(asked, label=()))
    named = {inside.name: inside for inside in subfolders}
    if any(key in named for key in (*INPUTS, *TARGETS, *map(str, asked.label or ()))):
        return _side_by_side(named, name, note, asked)
    return _by_class(named, name, note, asked)


def _side_by_side(folders: Mapping[str, Path], name: str, note: str, asked: Asked) -> Samples:
    """A subfolder for each array, a file for each sample, of the same name in all of them."""
    if asked.label is None:
        found = [known for known in TARGETS if known in folders][:1]
        asked = dataclasses.replace(asked, label=tuple(found))
    labels = {str(label) for label in asked.label or ()}
    files = {key: {path.stem: path for path in _files(inside)} for key, inside in folders.items()}
    first = next(iter(files))
    for key, there in files.items():
        if len(there) != len(_files(folders[key])):
            raise UserError(f"{folders[key]}: several files have the same name but for its ending; rename")
        lacking = sorted(files[first].keys() ^ there.keys())
        if lacking:
            where = key if lacking[0] in files[first] else first
            raise UserError(
                f"{name}: {where} has no file for {lacking[0]}; each sample has a file of one name in "
                f"{' and '.join(files)}"
            )
    arrays: dict[str, Array | Ragged] = {}
    for key, there in files.items():
        paths = [there[stem] for stem in sorted(there)]
        arrays["X" if key == "images" else key] = _read(paths, key, name, target=key in labels)
    return samples_of_arrays(arrays, name=name, note=note, asked=asked)


def _by_class(folders: Mapping[str, Path], name: str, note: str, asked: Asked) -> Samples:
    """A subfolder for each class."""
    if asked.label:
        raise UserError(f"{name}: its subfolders {', '.join(folders)} are the classes; leave the label out")
    numbers = all(key.isdecimal() for key in folders)
    classes = sorted(folders, key=int if numbers else str)
    files = [_files(folders[key]) for key in classes]
    for key, there in zip(classes, files, strict=True):
        if not there:
            raise UserError(
                f"{folders[key]}: holds no samples ({', '.join(SAMPLE_TYPES)}); fill or delete it"
            )
    x = _read([path for there in files for path in there], "X", name, target=False)
    labels = np.repeat(np.arange(len(classes)), [len(there) for there in files])
    known: dict[str, Array | Ragged] = {"X": x}
    without = asked.label is not None
    found = samples_of_arrays(known, name=name, note=note, asked=dataclasses.replace(asked, label=()))
    if without:
        return found
    if len(classes) < 2:
        raise UserError(f"{name}: its only subfolder is {classes[0]}; give a subfolder for each class")
    return dataclasses.replace(found, targets=Targets(labels, tuple(classes)), label="subfolders")


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    """The files of samples in a folder, by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SAMPLE_TYPES and not path.name.startswith(".") and path.is_file()
    )


def _read(paths: Sequence[Path], column: str, name: str, *, target: bool) -> Array | Ragged:
    """The samples of files of one kind, stacked, or ragged where they are sequences of several lengths."""
    kinds = {path.suffix.lower() == ".npy" for path in paths}
    if len(kinds) > 1:
        raise UserError(f"{name}: {column} holds .npy files and images; give files of one kind")
    if kinds == {True}:
        return ragged_of([read_npy(path) for path in paths], column, name)
    if target:
        return _stacked([_mask(path) for path in paths], paths)
    found = [_image(path) for path in paths]
    channels = max(len(image) for image in found)
    return _stacked([np.repeat(x, channels // len(x), axis=0) for x in found], paths)


def _stacked(images: Sequence[NDArray[Any]], paths: Sequence[Path]) -> NDArray[Any]:
    for image, path in zip(images, paths, strict=True):
        if image.shape != images[0].shape:
            sizes = [f"{one.shape[-1]} x {one.shape[-2]}" for one in (image, images[0])]
            raise UserError(
                f"{path}: is {sizes[0]} pixels, {paths[0].name} {sizes[1]}; give images of one size"
            )
    return np.stack(images)


def _image(path: Path) -> NDArray[np.float32]:
    """An image [channels, height, width] from 0 to 1: one channel of grey values, or three of colours."""
    image = _opened(path)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        if image.convert("RGBA").getextrema()[3] != (255, 255):
            raise UserError(f"{path}: is transparent in places; put it on a background first")
        image = image.convert("L" if image.mode == "LA" else "RGB")
    if image.mode in ("I;16", "I;16B", "I"):
        values = np.asarray(image).astype(np.float32)[None] / 65535
    else:
        image = image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")
        values = np.asarray(image, dtype=np.float32) / 255
        values = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    return np.ascontiguousarray(values)


def _mask(path: Path) -> NDArray[np.int64]:
    """The values [height, width] of an image as they are, of a palette its numbers: a class each."""
    image = _opened(path)
    if image.mode not in ("L", "P", "1", "I", "I;16"):
        raise UserError(
            f"{path}: is an image of {image.mode}; a mask has one number for each pixel, its class: grey "
            "values or a palette"
        )
    return np.asarray(image).astype(np.int64)


def _opened(path: Path) -> Any:
    """The image, read; UserError where it can't be."""
    import warnings

    try:
        from PIL import Image
    except ImportError as error:
        raise UserError(f"{path}: reading images needs pillow; pip install 'widthwise[images]'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of what would fill the memory
            with Image.open(path, formats=FORMATS) as image:
                image.load()
                return image.copy()
    except Exception as error:  # a broken image makes pillow raise nearly anything
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: no image that can be read: {reason}") from error
