"""Folders with a file a sample: what they are taken for, what is in them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import widthwise as ww
from helpers.running import Run
from widthwise.core.errors import UserError
from widthwise.data.own import read_samples

RNG = np.random.default_rng(0)


def save(path: Path, values: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        image = Image.fromarray(values)
        (image if mode is None else image.convert(mode)).save(path)


def grey(size: tuple[int, int] = (6, 5)) -> np.ndarray:
    return RNG.integers(0, 256, size, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "set"


def test_subfolders_are_classes_and_grey_images_have_one_channel(folder: Path) -> None:
    images = {}
    for name, count in {"cat": 3, "ant": 2}.items():
        for number in range(count):
            images[name, number] = grey()
            save(folder / name / f"{number}.png", images[name, number])
    (folder / "cat" / "notes.txt").write_text("not a sample")
    found = read_samples(folder)
    assert found.targets is not None
    assert found.targets.class_names == ("ant", "cat")
    assert found.targets.values.tolist() == [0, 0, 1, 1, 1]
    expected = [images["ant", 0], images["ant", 1], *(images["cat", k] for k in range(3))]
    assert np.allclose(found.x, np.stack(expected)[:, None] / 255)
    assert found.label == "subfolders"
    assert found.note.endswith("set, pixels from 0 to 1")
    assert read_samples(folder, asked=ww.data.arrays.Asked(label=())).targets is None  # type: ignore[attr-defined]


def test_classes_that_are_numbers_are_in_their_order(folder: Path) -> None:
    for number in (0, 1, 2, 10):
        save(folder / str(number) / "a.npy", np.full(4, number, dtype=np.float32))
    found = read_samples(folder)
    assert found.targets is not None
    assert found.targets.class_names == ("0", "1", "2", "10")
    assert np.array_equal(np.asarray(found.x)[:, 0], [0, 1, 2, 10])


def test_images_and_masks_go_together_by_name(folder: Path) -> None:
    colours, masks = {}, {}
    for name in ("b", "a"):
        colours[name] = RNG.integers(0, 256, (4, 3, 3), dtype=np.uint8)
        masks[name] = RNG.integers(0, 3, (4, 3), dtype=np.uint8)
        save(folder / "images" / f"{name}.png", colours[name])
        save(folder / "masks" / f"{name}.png", masks[name])
    masks["a"][0, 0] = 255
    save(folder / "masks" / "a.png", masks["a"])
    found = read_samples(folder)
    assert found.targets is not None
    expected = np.stack([colours["a"], colours["b"]]).transpose(0, 3, 1, 2) / 255
    assert np.allclose(found.x, expected)
    assert np.array_equal(found.targets.values, np.stack([masks["a"], masks["b"]]))
    assert found.label == "array masks"


def test_the_numbers_of_a_palette_are_classes_not_its_colours(folder: Path) -> None:
    mask = np.array([[0, 1], [2, 1]], dtype=np.uint8)
    image = Image.fromarray(mask, mode="P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    (folder / "masks").mkdir(parents=True)
    image.save(folder / "masks" / "a.png")
    save(folder / "images" / "a.png", grey((2, 2)))
    found = read_samples(folder)
    assert found.targets is not None
    assert np.array_equal(found.targets.values[0], mask)


def test_grey_ones_among_colours_and_opaque_ones_and_16_bits_are_taken(folder: Path) -> None:
    one, deep = grey((2, 2)), np.array([[0, 65535], [256, 1]], dtype=np.uint16)
    save(folder / "a" / "grey.png", one)
    save(folder / "b" / "opaque.png", RNG.integers(0, 256, (2, 2, 3), dtype=np.uint8), "RGBA")
    x = np.asarray(read_samples(folder).x)
    assert x.shape == (2, 3, 2, 2)
    assert np.allclose(x[0], one / 255)
    save(folder.with_name("deep") / "x.png", deep)
    save(folder.with_name("deep") / "y.png", deep)
    assert np.allclose(np.asarray(read_samples(folder.with_name("deep")).x)[0, 0], deep / 65535)


def test_files_alone_are_inputs_and_sequences_of_several_lengths_are_padded(folder: Path) -> None:
    for number, length in enumerate((3, 5, 4)):
        save(folder / "tokens" / f"{number}.npy", np.arange(length))
        save(folder / "labels" / f"{number}.npy", np.arange(length) + 1)
    found = read_samples(folder)
    assert found.targets is not None
    assert isinstance(found.x, dict)
    assert found.x["tokens"].dtype == np.int64
    assert found.x["mask"].sum(axis=1).tolist() == [3, 5, 4]
    assert found.targets.values[0].tolist() == [1, 2, 3, -100, -100]
    alone = read_samples(folder / "tokens")
    assert alone.targets is None


def unequal(folder: Path) -> None:
    save(folder / "images" / "a.png", grey())
    save(folder / "images" / "b.png", grey())
    save(folder / "masks" / "a.png", grey())


def of_two_sizes(folder: Path) -> None:
    save(folder / "x" / "a.png", grey())
    save(folder / "y" / "b.png", grey((7, 7)))


def coloured_masks(folder: Path) -> None:
    save(folder / "images" / "a.png", grey())
    save(folder / "masks" / "a.png", RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8))


def transparent(folder: Path) -> None:
    save(folder / "a" / "a.png", RNG.integers(0, 200, (6, 5, 4), dtype=np.uint8))
    save(folder / "b" / "a.png", grey())


def broken(folder: Path) -> None:
    save(folder / "a" / "a.png", grey())
    (folder / "a" / "a.png").write_bytes((folder / "a" / "a.png").read_bytes()[:40])


def pickled(folder: Path) -> None:
    (folder / "a").mkdir(parents=True)
    np.save(folder / "a" / "a.npy", np.array([{}]), allow_pickle=True)


def mixed(folder: Path) -> None:
    save(folder / "a" / "a.png", grey())
    save(folder / "a" / "b.npy", grey())


def empty_class(folder: Path) -> None:
    save(folder / "a" / "a.png", grey())
    (folder / "b").mkdir()


def one_class(folder: Path) -> None:
    save(folder / "a" / "a.png", grey())


def same_names(folder: Path) -> None:
    save(folder / "images" / "a.png", grey())
    save(folder / "images" / "a.bmp", grey())
    save(folder / "masks" / "a.png", grey())


def both(folder: Path) -> None:
    save(folder / "a.png", grey())
    save(folder / "a" / "a.png", grey())


def two_valued(folder: Path) -> None:
    for name in "ab":
        save(folder / "images" / f"{name}.png", grey((4, 4)))
        save(folder / "masks" / f"{name}.png", np.eye(4, dtype=np.uint8) * 255)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (unequal, "masks has no file for b; each sample has a file of one name in images and masks"),
        (of_two_sizes, "b.png: is 7 x 7 pixels, a.png 5 x 6; give images of one size"),
        (coloured_masks, "a.png: is an image of RGB; a mask has one number for each pixel"),
        (transparent, "a.png: is transparent in places; put it on a background first"),
        (broken, "a.png: no image that can be read"),
        (pickled, "a.npy: holds an array of Python objects, which is stored by pickle"),
        (mixed, "X holds .npy files and images; give files of one kind"),
        (empty_class, "b: holds no samples (.npy, .png"),
        (one_class, "its only subfolder is a; give a subfolder for each class"),
        (same_names, "images: several files have the same name but for its ending"),
        (both, "holds files and subfolders of samples; give one or the other"),
        (two_valued, "labels are 0 and 255 alone, and 255 is left out of masks"),
    ],
)
def test_what_is_no_folder_of_samples_is_one_line(
    folder: Path, make: Callable[[Path], None], says: str
) -> None:
    make(folder)
    with pytest.raises(UserError) as error:
        read_samples(folder)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))


def test_a_folder_is_searched_as_other_data_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        image = grey((6, 6))
        save(tmp_path / "pictures" / "images" / f"{number:02}.png", image)
        save(tmp_path / "pictures" / "masks" / f"{number:02}.png", (image > 127).astype(np.uint8))
    monkeypatch.chdir(tmp_path)
    data = ww.load_data("pictures/", seed=0)
    torch.manual_seed(0)
    model = network()
    ww.fit(model, data, epochs=40, learning_rate=3e-2)
    assert ww.evaluate(model, data, metrics=["pixel_accuracy"])["pixel_accuracy"] > 0.9
    found = run("test", "--model", "digits-masks-cnn", "--dataset", "pictures/", "--untrusted")
    assert "array masks, whole numbers, 6 x 6 a sample; samples as they are" in found.out + found.err
