"""CIFAR-10 from a folder in the layout of its binary version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from widthwise.core.errors import UserError
from widthwise.data.cifar10 import CLASSES, RECORD, TEST_FILE, TRAIN_FILES
from widthwise.data.modules import load_data
from widthwise.data.served import DataModule
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.network.named import load_model
from widthwise.training import fit


def write_folder(folder: Path, *, per_file: int = 20) -> dict[str, np.ndarray]:
    """Random records [per_file, 3073] in each file, every class among them."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    written = {}
    for name in (*TRAIN_FILES, TEST_FILE):
        records = rng.integers(0, 256, size=(per_file, RECORD), dtype=np.uint8)
        records[:, 0] = rng.permutation(np.arange(per_file) % 10)
        records.tofile(folder / name)
        written[name] = records
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")
    return written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "cifar-10-batches-bin")
    return tmp_path


def test_images_are_those_of_the_files_and_the_test_file_is_the_test_split(tmp_path: Path):
    written = write_folder(tmp_path / "bin")
    data = load_data("cifar10", path=tmp_path / "bin")
    assert isinstance(data, DataModule)
    assert (data.input_shape, data.class_names) == ((3, 32, 32), CLASSES)
    x, y = data.parts["test"]
    assert torch.equal(y, torch.from_numpy(written[TEST_FILE][:, 0].astype(np.int64)))
    # red of the second row, third column: 1 label byte, then 1024 bytes a colour
    assert torch.equal(x[:, 0, 1, 2], torch.from_numpy(written[TEST_FILE][:, 1 + 32 + 2] / np.float32(255)))
    assert torch.equal(x[:, 2, 0, 0], torch.from_numpy(written[TEST_FILE][:, 1 + 2048] / np.float32(255)))


def test_train_and_val_share_the_other_files(folder: Path):
    data = load_data("cifar10", path=folder, splits=(0.6, 0.2, 0.2))
    assert isinstance(data, DataModule)
    assert [len(data.parts[part][1]) for part in ("train", "val", "test")] == [80, 20, 20]
    all_rows = torch.cat([data.parts["train"][0], data.parts["val"][0]])
    assert len(torch.unique(all_rows.flatten(1), dim=0)) == 100


def test_the_networks_for_it_take_it_and_learn(folder: Path):
    data = load_data("cifar10", path=folder, batch_size=40)
    model = load_model("resnet8")
    history = fit(model, data, epochs=8, learning_rate=1e-2)
    assert history.train_loss[-1] < history.train_loss[0]
    check_data_fits_model(load_model("vgg7"), data)


def test_resnet8_has_the_size_of_its_source():
    model = load_model("resnet8")
    convolutions = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Conv2d))
    assert convolutions == 432 + 2 * 2304 + (4608 + 9216 + 512) + (18432 + 36864 + 2048)


def truncate(folder: Path) -> None:
    path = folder / TRAIN_FILES[2]
    path.write_bytes(path.read_bytes()[:-1])


def wrong_label(folder: Path) -> None:
    path = folder / TRAIN_FILES[0]
    content = bytearray(path.read_bytes())
    content[RECORD] = 77
    path.write_bytes(content)


BROKEN = {
    "missing file": (lambda f: (f / "data_batch_4.bin").unlink(), "lacks data_batch_4.bin; unpack the whole"),
    "truncated": (truncate, "61,459 bytes are no whole number of images of 3,073; download it again"),
    "empty file": (lambda f: (f / TEST_FILE).write_bytes(b""), "0 bytes are no whole number of images"),
    "label": (wrong_label, "label 77 in image 1; the classes are 0 to 9"),
}


@pytest.mark.parametrize(("damage", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_folders_are_refused_in_one_line(folder: Path, damage, says: str):
    damage(folder / "cifar-10-batches-bin")
    with pytest.raises(UserError) as caught:
        load_data("cifar10", path=folder)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_folder_it_says_where_to_get_one(tmp_path: Path):
    with pytest.raises(UserError, match="download the binary version from https://"):
        load_data("cifar10")
    with pytest.raises(UserError, match=r"holds no data_batch_1.bin; .* pickled and isn't read"):
        load_data("cifar10", path=tmp_path)
