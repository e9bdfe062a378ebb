"""The user's own data: files and callables, how they are read and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from widthwise.core.errors import UserError
from widthwise.data.facts import facts_of
from widthwise.data.modules import Data, load_data
from widthwise.data.served import DataModule


def load(*args, **options) -> DataModule:
    """load_data for what is known to give a DataModule."""
    data = load_data(*args, **options)
    assert isinstance(data, DataModule)
    return data


def table(rows: int = 60, *, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features [rows, 4] and labels [rows] with every class equally often."""
    rng = np.random.default_rng(seed)
    return rng.normal(5, 3, size=(rows, 4)).astype("f4"), np.arange(rows) % classes


def write_npz(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


def write_frame(path: Path, x: np.ndarray, y, label: str = "label") -> Path:
    frame = pd.DataFrame(x, columns=[f"f{index}" for index in range(x.shape[1])])
    frame.insert(1, label, y)
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


@pytest.mark.parametrize("keys", [("X", "y"), ("x", "y"), ("features", "labels")])
def test_npz_is_read_under_each_pair_of_names(tmp_path: Path, keys: tuple[str, str]):
    x, y = table()
    path = write_npz(tmp_path / "own.npz", **dict(zip(keys, (x, y), strict=True)))
    data = load(path, splits=(0, 1, 0), standardise="none")
    assert np.array_equal(data.parts["val"][0], x)
    assert np.array_equal(data.parts["val"][1], y)
    assert data.feature_names == ("x0", "x1", "x2", "x3")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("label", ["label", "Target", "class", "y"])
def test_tables_are_read_with_the_label_column_found_by_name(tmp_path: Path, suffix: str, label: str):
    x, y = table()
    data = load(write_frame(tmp_path / f"own{suffix}", x, y, label), splits=(0, 1, 0), standardise="none")
    np.testing.assert_allclose(data.parts["val"][0], x, rtol=1e-6)
    assert np.array_equal(data.parts["val"][1], y)
    assert data.feature_names == ("f0", "f1", "f2", "f3")


def test_the_last_column_is_the_label_where_none_has_a_known_name(tmp_path: Path):
    (tmp_path / "own.csv").write_text("a,b,kind\n1,2,cat\n3,4,dog\n5,6,cat\n7,8,dog\n")
    data = load(tmp_path / "own.csv", splits=(0, 1, 0), standardise="none")
    assert data.class_names == ("cat", "dog")
    assert data.parts["val"][1].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("labels", [np.array(["b", "a", "c"]), np.array([1.0, 0.0, 2.0]), [1, 0, 2]])
def test_text_and_whole_number_labels_are_classes(tmp_path: Path, labels):
    x, _ = table(60)
    data = load(
        write_npz(tmp_path / "own.npz", X=x, y=np.tile(labels, 20)), splits=(0, 1, 0), standardise="none"
    )
    assert data.parts["val"][1][:3].tolist() == [1, 0, 2]
    assert data.classes == 3


def test_class_names_in_the_file_order_the_classes(tmp_path: Path):
    x, _ = table(4)
    y = np.array(["low", "high"] * 2)
    path = write_npz(tmp_path / "own.npz", X=x, y=y, class_names=["low", "high", "unused"])
    data = load(path, splits=(0, 1, 0), standardise="none")
    assert data.class_names == ("low", "high", "unused")
    assert data.parts["val"][1].tolist() == [0, 1, 0, 1]


def test_images_of_the_user_are_not_standardised(tmp_path: Path):
    x = np.random.default_rng(0).uniform(0, 9, size=(30, 1, 4, 4))
    data = load(write_npz(tmp_path / "own.npz", X=x, y=np.arange(30) % 2))
    assert data.scaler is None
    assert data.input_shape == (1, 4, 4)


def test_callable_may_return_a_pair(project: Path):
    (project / "own_pair.py").write_text(
        "import torch\ndef build():\n    return torch.ones(6, 3), torch.tensor([0, 1, 0, 1, 0, 1])\n"
    )
    data = load("own_pair:build")
    assert data.input_shape == (3,)
    assert facts_of(data).title == "own_pair:build: the user's own data"


OWN_MODULE = """
import torch

class Module:
    '''As Lightning has them: loaders exist once setup ran.'''
    def prepare_data(self):
        self.stages = []
    def setup(self, stage):
        self.stages.append(stage)
        self.batch = torch.zeros(2, 3), torch.tensor([0, 1])
    def train_dataloader(self):
        return [self.batch]
    val_dataloader = test_dataloader = train_dataloader
"""


def test_callable_may_return_a_data_module_which_is_set_up(project: Path):
    (project / "own_module.py").write_text(OWN_MODULE)
    data = load_data("own_module:Module")
    assert isinstance(data, Data)
    assert data.stages == ["fit", "test"]  # type: ignore[attr-defined]
    assert load_data(data) is data
    assert facts_of(data).title == "Module"


# ---- what is refused

Bad = Callable[[Path], object]


def broken(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def npz_with(**changes) -> Bad:
    def write(folder: Path) -> Path:
        x, y = table()
        arrays = {"X": x, "y": y} | changes
        return write_npz(
            folder / "bad.npz", **{key: value for key, value in arrays.items() if value is not None}
        )

    return write


def csv_with(text: str) -> Bad:
    return lambda folder: broken(folder / "bad.csv", text.encode())


def features_with(row: int, column: int, value: float) -> np.ndarray:
    x, _ = table()
    x[row, column] = value
    return x


def labels_with(value: float) -> np.ndarray:
    _, y = table()
    return np.where(np.arange(len(y)) == 7, value, y)


BAD_DATA: dict[str, tuple[Bad, str]] = {
    "missing file": (lambda folder: folder / "none.npz", "none.npz: no such file"),
    "folder": (lambda folder: folder / "sub.npz", "is a folder; give a file"),
    "broken npz": (lambda folder: broken(folder / "bad.npz", b"no zip"), "no npz file that can be read"),
    "truncated npz": (
        lambda folder: broken(folder / "cut.npz", npz_with()(folder).read_bytes()[:300]),  # type: ignore[attr-defined]
        "no npz file that can be read",
    ),
    "npz with objects": (npz_with(X=np.array([[{}]] * 60)), "Python objects, which is stored by pickle"),
    "npz without labels": (npz_with(y=None, z=np.ones(3)), "holds no array named y or labels (found: X, z)"),
    "NaN": (npz_with(X=features_with(3, 2, np.nan)), "feature x2 is nan in row 3"),
    "infinite": (npz_with(X=features_with(3, 2, np.inf)), "feature x2 is inf in row 3"),
    "too large for float32": (npz_with(X=np.full((60, 4), 1e300)), "feature x0 is inf in row 0"),
    "NaN in an image": (npz_with(X=np.full((60, 1, 2, 2), np.nan)), "feature [0, 0, 0] is nan in row 0"),
    "complex features": (npz_with(X=np.ones((60, 4), complex)), "features have dtype complex128"),
    "text features": (npz_with(X=np.full((60, 4), "a")), "features have dtype <U1; give real numbers"),
    "one-dimensional features": (npz_with(X=np.ones(60)), "features have shape [60]"),
    "no features": (npz_with(X=np.ones((60, 0))), "features have shape [60, 0]"),
    "no rows": (npz_with(X=np.ones((0, 4)), y=np.ones(0)), "has no rows"),
    "lengths differ": (
        npz_with(y=np.zeros(59)),
        "labels of shape [59] don't go with features of shape [60, 4]",
    ),
    "text for each of several": (npz_with(y=np.full((60, 3), "a")), "of shape [60, 3] have dtype <U1"),
    "negative label": (
        npz_with(y=labels_with(-1)),
        "4 different whole numbers from -1 to 2, not 0 to 3, so they may be classes or numbers",
    ),
    "NaN label": (npz_with(y=labels_with(np.nan)), "label nan in row 7 is no number that can be learnt"),
    "infinite number": (npz_with(y=labels_with(1e300) / 2), "label inf in row 7 is no number"),
    "label out of range": (
        npz_with(y=labels_with(9).astype(int), class_names=["a", "b", "c"]),
        "label 9 in row 7 is out of range; the 3 classes are numbered from 0 to 2",
    ),
    "labels from 2": (npz_with(y=np.arange(60) % 3 + 2), "3 different whole numbers from 2 to 4, not 0 to 2"),
    "labels from 1 with a gap": (
        npz_with(y=np.arange(60) % 3 * 2 + 1),
        "3 different whole numbers from 1 to 5",
    ),
    "label of no class": (
        npz_with(y=np.array(["a", "x"] * 30), class_names=["a", "b"]),
        "label 'x' is none of the classes a, b",
    ),
    "single class": (npz_with(y=np.zeros(60)), "all labels are 0; give data with at least two classes"),
    "rare class": (
        npz_with(y=np.r_[np.zeros(58), [1, 1]]),
        "class 1 has 2 of the 60 rows, too few for 3 splits",
    ),
    "names of features": (npz_with(feature_names=["a"]), "feature_names holds 1 names for 4 columns"),
    "scaler of another shape": (
        npz_with(scaler_mean=np.ones(3), scaler_scale=np.ones(4)),
        "scaler_mean [3] and scaler_scale [4] don't standardise samples of shape [4]",
    ),
    "scaler with 0": (npz_with(scaler_mean=np.ones(4), scaler_scale=np.zeros(4)), "every scale is above 0"),
    "empty csv": (csv_with(""), "is empty; give a file with a line for each sample"),
    "csv without rows": (csv_with("a,b,label\n"), "has no rows"),
    "csv of one column": (csv_with("a\n1\n2\n"), "has 1 columns; give features and a label"),
    "csv without names": (csv_with("1.5,2,0\n2.5,3,1\n"), "which of its 3 columns (x0, x1, x2) is the label"),
    "csv with more cells": (csv_with("a,b,label\n1,2,0,4\n2,3,1\n"), "line 2 has 4 cells, those before 3;"),
    "csv with text": (csv_with("a,b,label\n1,red,0\n2,blue,1\n"), "column b holds no numbers"),
    "csv with a word among numbers": (
        csv_with("a,b,label\n1,2,0\n2,n.d.,1\n3,n.d.,1\n"),
        "column b holds 'n.d.' in row 1 (counted from 0; 2 such cells in all) among numbers",
    ),
    "csv with an infinity": (csv_with("a,b,label\n1,2,0\n2,inf,1\n"), "remove those samples, or give them"),
    "csv with a gap": (csv_with("a,b,label\n1,2,0\n,3,1\n"), "feature a is nan in row 1"),
    "csv without a label": (csv_with("a,b,label\n1,2,0\n2,3,\n"), "column label has no label in row 1"),
    "csv with two labels": (csv_with("a,y,label\n1,2,0\n2,3,1\n"), "columns y, label could all be the label"),
    "csv with 0 and 1 in the last column": (
        csv_with("price,rooms,garden\n1.5,2,0\n2.5,3,1\n"),
        "which of its 3 columns (price, rooms, garden) is the label isn't plain: none is called",
    ),
    "csv with two columns of text": (csv_with("a,b,c\n1,x,u\n2,x,u\n"), "and b, c all hold text; say which"),
    "binary csv": (
        lambda folder: broken(folder / "bad.csv", b"\xff\xfe\x00\x81"),
        "is no UTF-8 text; save it as UTF-8",
    ),
    "broken parquet": (
        lambda folder: broken(folder / "bad.parquet", b"PAR1"),
        "no .parquet file that can be read",
    ),
    "another file type": (
        lambda folder: folder / "data.txt",
        "is no data file; allowed: .npz, .csv, .parquet",
    ),
    "unknown name": (lambda _: "digitz", "no data set named 'digitz'; did you mean digits?"),
}


@pytest.mark.parametrize(("make", "says"), BAD_DATA.values(), ids=BAD_DATA.keys())
def test_bad_data_is_refused_in_one_line(tmp_path: Path, make: Bad, says: str):
    (tmp_path / "sub.npz").mkdir()
    with pytest.raises(UserError) as caught:
        load_data(make(tmp_path))  # type: ignore[arg-type]
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


BAD_RETURNS = {
    "no pair": ("return 3", "returned a int; return a pair (X, y)"),
    "ragged": ("return [[1], [[2], [3]]], [0, 1]", "differ in more than their length"),
    "ragged labels": ("return [[1, 2], [2, 3]], [[0], [1, 2]]", "is no pair of arrays"),
    "raises": ("return 1 / 0", "calling it raised ZeroDivisionError"),
    "NaN": ("return [[float('nan')]] * 6, [0, 1] * 3", "feature x0 is nan in row 0"),
}


@pytest.mark.parametrize(("body", "says"), BAD_RETURNS.values(), ids=BAD_RETURNS.keys())
def test_bad_returns_of_a_callable_are_refused(project: Path, body: str, says: str):
    (project / "own_bad.py").write_text(f"def build():\n    {body}\n")
    with pytest.raises(UserError) as caught:
        load_data("own_bad:build")
    assert says in str(caught.value)


@pytest.mark.parametrize("targets", ["[i % 2 for i in range(12)]", "None"])
def test_a_pair_of_sequences_of_different_lengths_is_padded(project: Path, targets: str):
    body = f"return [[[i, 0.5]] * (1 + i % 3) for i in range(12)], {targets}"
    (project / "own_lists.py").write_text(f"def build():\n    {body}\n")
    data = load_data("own_lists:build", splits=(1, 0, 0), batch_size=12)
    (batch,) = data.train_dataloader()
    inputs = batch[0] if isinstance(batch, tuple) else batch
    x, mask = inputs["x"], inputs["mask"]
    assert x.shape == (12, 3, 2)
    lengths = mask.sum(1).tolist()
    assert sorted(lengths) == [1] * 4 + [2] * 4 + [3] * 4
    assert all(int(row[0, 0]) % 3 + 1 == length for row, length in zip(x, lengths, strict=True))
    assert not x[mask == 0].any()


def test_a_folder_is_data_without_a_slash_too(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("pieces", "digits"):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "a.npz", X=np.arange(80.0).reshape(20, 4), y=np.arange(20) % 2)
    assert load_data("pieces").parts["train"][0].shape == (12, 4)
    assert load_data("digits").input_shape == (1, 8, 8)  # a data set's name stays that of the data set
    assert load_data("digits/").input_shape == (4,)
