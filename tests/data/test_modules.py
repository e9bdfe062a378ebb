"""Data sets by name and the user's own: what is read, how it is split and standardised, and what is "
"refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.errors import UserError
from widthwise.data.built_in import Request, jsc
from widthwise.data.modules import DATA, data_source, load_data
from widthwise.data.samples import Scaler
from widthwise.data.served import Batches, DataModule
from widthwise.data.split import stratified_split

PARTS = ("train", "val", "test")


def load(*args, **options) -> DataModule:
    """load_data for what is known to give a DataModule."""
    data = load_data(*args, **options)
    assert isinstance(data, DataModule)
    return data


def collected(loader: Batches) -> tuple[torch.Tensor, torch.Tensor]:
    xs, ys = zip(*loader, strict=True)
    return torch.cat(xs), torch.cat(ys)


# ---- built in


@pytest.mark.parametrize(
    ("name", "rows", "shape", "classes"),
    [("jsc", 1024, (16,), 5), ("digits", 1797, (1, 8, 8), 10), ("toy_tiny", 2048, (4,), 2)],
)
def test_built_in_data_has_its_rows_shape_and_classes(name: str, rows: int, shape: tuple, classes: int):
    data = load(name)
    assert sum(len(y) for _, y in data.parts.values()) == rows
    assert (data.name, data.input_shape, data.classes) == (name, shape, classes)
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        x, y = collected(loader)
        assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
        assert tuple(x.shape[1:]) == shape
        assert set(y.tolist()) == set(range(classes))


def test_jsc_says_that_it_is_the_sample():
    assert (
        load("jsc").note
        == "jsc: the embedded 1,024-jet sample of the hls4ml LHC jet data, not the full data set"
    )
    assert load("jsc").class_names == ("g", "q", "t", "w", "z")
    assert load("jsc").feature_names[0] == "zlogz"


def test_embedded_sample_is_the_shared_file(shared_data: Path):
    with np.load(shared_data / "jsc_1024.npz") as shared:
        samples = jsc(Request())
        assert np.array_equal(samples.x, shared["X"])
        assert np.array_equal(samples.targets.values, shared["y"])


def test_toy_labels_say_whether_the_sum_is_positive():
    x, y = collected(load("toy-tiny", seed=3).train_dataloader())
    assert torch.equal(y, (x.sum(dim=1) > 0).long())
    assert x.abs().max() <= 1


def test_digits_are_grey_values_from_0_to_1_and_flatten_keeps_them():
    images, vectors = load("digits"), load("digits", flatten=True)
    assert vectors.input_shape == (64,)
    x, _ = collected(images.val_dataloader())
    assert (x.min(), x.max()) == (0, 1)
    assert torch.equal(x.flatten(1), collected(vectors.val_dataloader())[0])


def test_names_import_without_torch_or_numpy():
    code = (
        "import sys, widthwise.data.modules as data, widthwise.network.named; data.data_source('toy-tiny'); "
        "heavy = {'torch', 'numpy', 'sklearn', 'pandas'} & set(sys.modules); sys.exit(str(heavy) if heavy "
        "else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- splits


def test_same_seed_same_splits_and_another_seed_others():
    first, again, other = (load("jsc", seed=seed) for seed in (1, 1, 2))
    for part in PARTS:
        assert torch.equal(first.parts[part][1], again.parts[part][1])
    assert not torch.equal(first.parts["val"][0], other.parts["val"][0])


@given(
    counts=st.lists(st.integers(3, 40), min_size=1, max_size=5),
    shares=st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any),
    seed=st.integers(0, 99),
)
def test_splits_partition_the_rows_and_give_every_class_its_share(counts: list, shares: list, seed: int):
    y = np.repeat(np.arange(len(counts)), counts)
    fractions = [share / sum(shares) for share in shares]
    names = [str(label) for label in range(len(counts))]
    parts = stratified_split(y, fractions, seed=seed, class_names=names, name="data")
    assert sorted(np.concatenate(parts)) == list(range(len(y)))
    for part, fraction in zip(parts, fractions, strict=True):
        assert (np.diff(part) > 0).all()
        sizes = np.bincount(y[part], minlength=len(counts))
        assert ((sizes > 0) == (fraction > 0)).all()
        # within a row of the share, unless rows had to be moved so that no part is empty
        assert (np.abs(sizes - fraction * np.array(counts)) < 3).all()


def test_an_empty_split_is_an_error_only_when_it_is_asked_for():
    data = load("jsc", splits=(0.5, 0.5, 0))
    assert len(data.val_dataloader()) > 0
    with pytest.raises(UserError, match="jsc: the test split is empty; give it a share in splits"):
        data.test_dataloader()


def test_a_whole_data_set_in_one_split_keeps_its_order():
    data = load("jsc", splits=(0, 1, 0), standardise="none")
    x, y = collected(data.val_dataloader())
    samples = jsc(Request())
    assert np.array_equal(x.numpy(), samples.x)
    assert np.array_equal(y.numpy(), samples.targets.values)


# ---- loaders


def test_training_passes_differ_and_new_loaders_repeat_them():
    data = load("jsc", batch_size=100)
    loader = data.train_dataloader()
    first, second = collected(loader), collected(loader)
    repeated = data.train_dataloader()
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first[0], collected(repeated)[0])
    assert torch.equal(second[0], collected(repeated)[0])
    assert sorted(first[0][:, 0].tolist()) == sorted(data.parts["train"][0][:, 0].tolist())


def test_validation_keeps_its_order_and_loaders_leave_the_random_state():
    data = load("jsc", batch_size=100)
    state = torch.get_rng_state()
    collected(data.train_dataloader())
    assert torch.equal(collected(data.val_dataloader())[0], collected(data.val_dataloader())[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_length_of_a_loader_is_its_number_of_batches():
    loader = load("jsc", batch_size=100).train_dataloader()
    sizes = [len(y) for _, y in loader]
    assert len(loader) == len(sizes)
    assert set(sizes[:-1]) == {100}


# ---- standardisation


def test_training_statistics_alone_standardise():
    raw, standardised = load("jsc", standardise="none"), load("jsc")
    train = raw.parts["train"][0].double()
    mean, deviation = train.mean(dim=0), train.std(dim=0, correction=0)
    for part in PARTS:
        expected = (raw.parts[part][0].double() - mean) / deviation
        torch.testing.assert_close(standardised.parts[part][0].double(), expected, rtol=1e-4, atol=1e-4)
    assert standardised.parts["val"][0].mean(dim=0).abs().max() > 1e-3


def test_reference_statistics_come_with_the_data():
    data = load("jsc", standardise="reference")
    reference = jsc(Request()).scaler
    assert reference is not None
    assert data.scaler is not None
    assert np.array_equal(data.scaler.mean, reference.mean)
    raw = load("jsc", standardise="none").parts["val"][0].numpy()
    assert np.array_equal(data.parts["val"][0], (raw - reference.mean) / reference.scale)


@given(st.floats(-1e6, 1e6, width=32), st.integers(1, 50))
def test_a_constant_feature_becomes_0(value: float, rows: int):
    x = np.full((rows, 2), value, dtype="f4")
    scaler = Scaler.of(x)
    assert (scaler.scale == 1).all()
    assert np.abs(scaler(x)).max() <= 1e-6 * max(1, abs(value))


# ---- the full jets


def test_full_jets_are_read_from_a_file_whatever_the_order_of_its_columns(tmp_path: Path):
    samples = jsc(Request())
    columns = [f"j_{feature}" for feature in samples.feature_names]
    frame = pd.DataFrame(samples.x, columns=columns)[columns[::-1]]
    frame["class"] = np.array(samples.targets.class_names)[samples.targets.values]
    frame.to_parquet(tmp_path / "jets.parquet")
    data = load("jsc_full", path=tmp_path / "jets.parquet", splits=(0, 1, 0), standardise="reference")
    sample = load("jsc", splits=(0, 1, 0), standardise="reference")
    assert torch.equal(data.parts["val"][0], sample.parts["val"][0])
    assert torch.equal(data.parts["val"][1], sample.parts["val"][1])
    assert data.note == f"jsc-full: 1,024 jets of the hls4ml LHC jet data from {tmp_path / 'jets.parquet'}"


def test_full_jets_are_never_another_data_set(tmp_path: Path):
    (tmp_path / "other.csv").write_text("f0,f1,label\n1,2,0\n2,3,1\n")
    with pytest.raises(UserError, match="the 830,000 jets are not part of the package; give their file"):
        load_data("jsc-full")
    with pytest.raises(UserError, match="jsc-full: the file holds the features f0, f1, the jet data has"):
        load_data("jsc-full", path=tmp_path / "other.csv")


def test_a_download_without_a_network_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    for scheme in ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    with (
        pytest.raises(UserError, match="downloading OpenML 42468 failed") as caught,
        pytest.warns(UserWarning, match="network error"),
    ):
        load_data("jsc-full", download=True)
    assert "\n" not in str(caught.value)


# ---- options

BAD_OPTIONS = {
    "batch size": ("jsc", {"batch_size": 0}, "batch_size = 0 is no whole number from 1"),
    "batch size type": ("jsc", {"batch_size": 2.5}, "batch_size = 2.5 is no whole number"),
    "two splits": ("jsc", {"splits": (0.5, 0.5)}, "are not three shares"),
    "negative split": ("jsc", {"splits": (1.5, -0.5, 0)}, "are not three shares from 0 to 1"),
    "sum of splits": ("jsc", {"splits": (0.5, 0.2, 0.2)}, "add up to 0.9"),
    "standardisation": ("jsc", {"standardise": "trian"}, "did you mean train"),
    "no training rows": ("jsc", {"splits": (0, 1, 0)}, "no training rows to standardise with"),
    "no reference": ("digits", {"standardise": "reference"}, "digits: has no reference statistics"),
    "path of a built-in": ("jsc", {"path": "jets.csv"}, "takes neither a path nor a download"),
    "download of a built-in": ("digits", {"download": True}, "takes neither a path nor a download"),
    "missing path": ("jsc-full", {"path": "none.csv"}, "none.csv: no such file"),
}


@pytest.mark.parametrize(("name", "options", "says"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_bad_options_are_refused(name: str, options: dict, says: str):
    with pytest.raises(UserError) as caught:
        load_data(name, **options)
    assert says in str(caught.value)


def test_sources_are_checked_by_name_alone():
    assert data_source("TOY-tiny") == "toy_tiny"
    assert data_source("not/there.csv") == "not/there.csv"
    assert data_source("own:build") == "own:build"
    assert {"jsc", "jsc-full", "digits", "cifar10", "toy_tiny"} < set(DATA.own)
