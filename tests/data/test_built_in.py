"""The built-in data sets of tasks beyond classification: what is in them, against where it is from."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.data.facts import facts_of
from widthwise.data.modules import load_data
from widthwise.data.served import DataModule
from widthwise.network.named import MODELS

WHOLE = {"splits": (0, 1, 0), "standardise": "none"}
NEW = ("diabetes", "breast-cancer", "digits-masks", "digits-traits", "poems")


def whole(name: str) -> tuple[DataModule, np.ndarray, np.ndarray]:
    """A data set, and its samples and targets in their order."""
    data = load_data(name, splits=(0, 1, 0), standardise="none")
    assert isinstance(data, DataModule)
    x, y = data.parts["val"]
    return data, x.numpy(), y.numpy()


def test_diabetes_is_scikit_learns_as_measured():
    data, x, y = whole("diabetes")
    theirs = load_diabetes(scaled=False)
    assert np.array_equal(x, theirs.data.astype("f4"))
    assert np.array_equal(y, theirs.target.astype("f4"))
    assert (data.classes, list(data.feature_names)) == (None, theirs.feature_names)


def test_breast_cancer_is_scikit_learns():
    data, x, y = whole("breast-cancer")
    theirs = load_breast_cancer()
    assert np.array_equal(x, theirs.data.astype("f4"))
    assert np.array_equal(y, theirs.target)
    assert data.class_names == ("malignant", "benign")


def test_each_pixel_of_a_mask_is_background_or_of_the_digit():
    data, x, y = whole("digits-masks")
    theirs = load_digits()
    assert np.array_equal(x[:, 0] * 16, theirs.images)
    for image, label, mask in zip(theirs.images, theirs.target, y, strict=True):
        assert np.array_equal(mask, np.where(image >= 8, label + 1, 0))
    assert data.class_names[4] == "3"


def test_traits_are_those_of_the_digits():
    data, _, y = whole("digits-traits")
    for label, found in zip(load_digits().target, y, strict=True):
        assert found.tolist() == [label % 2 == 0, label >= 5, label in (2, 3, 5, 7), label in (0, 6, 8, 9)]
    assert data.target_names == ("even", "large", "prime", "loop")


def test_poems_tell_the_next_character_of_each_line():
    data, x, y = whole("poems")
    text = (files("widthwise.data") / "poems.txt").read_text().lower()
    lines = [line for line in text.splitlines() if line]
    assert len(x) == len(lines)
    for line, inputs, targets in zip(lines, x, y, strict=True):
        length = len(line) + 1
        assert "".join(data.class_names[code] for code in inputs[:length]) == "\n" + line
        assert "".join(data.class_names[code] for code in targets[:length]) == line + "\n"
        assert set(targets[length:].tolist()) <= {-100}


@pytest.mark.parametrize("name", NEW)
def test_its_network_gives_what_its_targets_need(name: str):
    (made_for,) = (model for model, entry in MODELS.own.items() if entry.about == name)
    data, model = load_data(name), ww.load_model(made_for).eval()
    x, y = next(iter(data.val_dataloader()))
    outputs = model(x)
    about = facts_of(data)
    assert about.sample == tuple(x.shape[1:])
    assert about.target == tuple(y.shape[1:])
    assert torch.equal(ww.Graph(model, (x[:4],)).model(x), outputs)
    expected = {
        "diabetes": (1,),
        "breast-cancer": (1,),
        "digits-masks": (11, 8, 8),
        "digits-traits": (4,),
        "poems": (54, 36),
    }
    assert tuple(outputs.shape[1:]) == expected[name]


@pytest.mark.parametrize("name", NEW)
def test_the_same_seed_splits_alike_and_nothing_is_lost(name: str):
    first, again = load_data(name, seed=1), load_data(name, seed=1)
    assert isinstance(first, DataModule)
    assert isinstance(again, DataModule)
    for part, (x, y) in first.parts.items():
        assert torch.equal(x, again.parts[part][0])
        assert torch.equal(y, again.parts[part][1])
    _, x, _ = whole(name)
    assert sum(len(y) for _, y in first.parts.values()) == len(x)
    if name != "poems":
        assert "features standardised" in first.taken or "samples as they are" in first.taken


def test_tokens_are_not_standardised():
    with pytest.raises(UserError, match="poems: tokens are no numbers to be standardised"):
        load_data("poems", standardise=True)
