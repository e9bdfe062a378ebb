"""Quality metrics of many candidates at once against torchmetrics, scikit-learn and torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score
from torchmetrics import classification

from widthwise.core.errors import UserError
from widthwise.metrics.quality.confusion import QUALITY, quality_metrics

CLASSES = {
    "accuracy": (classification.MulticlassAccuracy, "micro"),
    "accuracy_macro": (classification.MulticlassAccuracy, "macro"),
    "precision": (classification.MulticlassPrecision, "macro"),
    "recall": (classification.MulticlassRecall, "macro"),
    "f1": (classification.MulticlassF1Score, "macro"),
}
PER_CLASS = ("precision", "recall", "f1")


@st.composite
def predictions(draw: st.DrawFn) -> tuple[int, np.ndarray, np.ndarray]:
    """Classes C, predictions [K, n] and labels [n], often with classes that never occur."""
    classes = draw(st.integers(2, 6))
    samples, candidates = draw(st.integers(1, 40)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    seen, guessed = draw(st.integers(1, classes)), draw(st.integers(1, classes))
    labels = rng.choice(rng.permutation(classes)[:seen], samples)
    guesses = rng.choice(rng.permutation(classes)[:guessed], (candidates, samples))
    return classes, guesses, labels


def confusion_of(guesses: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    counts = np.zeros((len(guesses), classes, classes), dtype=np.int64)
    for row, candidate in enumerate(guesses):
        np.add.at(counts[row], (labels, candidate), 1)
    return counts


@given(predictions())
def test_equals_torchmetrics_absent_classes_included(drawn: tuple[int, np.ndarray, np.ndarray]) -> None:
    classes, guesses, labels = drawn
    asked = [*CLASSES, *(f"{name}[{c}]" for name in PER_CLASS for c in range(classes))]
    found = quality_metrics(asked, confusion_of(guesses, labels, classes), np.zeros(len(guesses)))
    for row, guess in enumerate(guesses):
        pair = torch.from_numpy(guess), torch.from_numpy(labels)
        for name, (made, average) in CLASSES.items():
            expected = made(num_classes=classes, average=average)(*pair)
            assert found[name][row] == pytest.approx(float(expected), abs=1e-6), name
            if name in PER_CLASS:
                each = made(num_classes=classes, average=None)(*pair)
                ours = [found[f"{name}[{c}]"][row] for c in range(classes)]
                np.testing.assert_allclose(ours, each, atol=1e-6)


@given(predictions())
def test_equals_scikit_learn(drawn: tuple[int, np.ndarray, np.ndarray]) -> None:
    classes, guesses, labels = drawn
    found = quality_metrics(
        ["accuracy", "f1"], confusion_of(guesses, labels, classes), np.zeros(len(guesses))
    )
    for row, guess in enumerate(guesses):
        assert found["accuracy"][row] == pytest.approx(accuracy_score(labels, guess))
        # scikit-learn, too, averages over the classes that are present or predicted
        assert found["f1"][row] == pytest.approx(f1_score(labels, guess, average="macro", zero_division=0))


def test_loss_from_sums_of_batches_is_the_cross_entropy_of_all_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(100, 5, generator=generator)
    labels = torch.randint(5, (100,), generator=generator)
    sums = [
        torch.nn.functional.cross_entropy(x, y, reduction="sum").item()
        for x, y in zip(logits.split(32), labels.split(32), strict=True)
    ]
    confusion = confusion_of(logits.argmax(1)[None].numpy(), labels.numpy(), 5)
    found = quality_metrics(["loss"], confusion, np.array([sum(sums)]))["loss"]
    assert found == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), abs=1e-6)


def test_classes_go_by_name() -> None:
    confusion = np.array([[[3, 1], [2, 4]]])
    found = quality_metrics(["recall[t]", "precision[w]"], confusion, np.zeros(1), class_names=("t", "w"))
    assert found["recall[t]"] == pytest.approx(3 / 4)
    assert found["precision[w]"] == pytest.approx(4 / 5)


def test_without_samples_everything_is_nan() -> None:
    found = quality_metrics([*QUALITY, "f1[0]"], np.zeros((2, 3, 3), dtype=np.int64), np.zeros(2))
    assert all(np.isnan(values).all() for values in found.values())


@pytest.mark.parametrize(
    ("name", "says"), [("bops", "cost metric"), ("f2", "did you mean f1"), ("f1[7]", "no class 7")]
)
def test_other_names_are_refused(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        quality_metrics([name], np.ones((1, 3, 3), dtype=np.int64), np.zeros(1))


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 4), (4, 3, 3)])
def test_shapes_that_do_not_fit_are_shown(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[K, C, C\] and \[K\]"):
        quality_metrics(["f1"], np.ones(shape, dtype=np.int64), np.zeros(2))


def test_a_really_trained_network_on_the_jets(shared_data: Path) -> None:
    saved, data = np.load(shared_data / "jsc_mlp.npz"), np.load(shared_data / "jsc_1024.npz")
    x = torch.from_numpy((data["X"] - data["scaler_mean"]) / data["scaler_scale"])
    labels = torch.from_numpy(data["y"].astype(np.int64))
    for layer in range(4):
        x = torch.nn.functional.linear(
            x, *(torch.from_numpy(saved[f"layer{layer}.{tensor}"]) for tensor in ("weight", "bias"))
        )
        x = x.relu() if layer < 3 else x
    confusion = confusion_of(x.argmax(1)[None].numpy(), labels.numpy(), 5)
    found = quality_metrics(["accuracy", "f1", "f1[t]"], confusion, np.zeros(1), class_names=tuple("gqtwz"))
    each = classification.MulticlassF1Score(num_classes=5, average=None)(x, labels)
    assert found["accuracy"] == pytest.approx(0.7598, abs=5e-5)  # as those measured who trained it
    assert found["f1"] == pytest.approx(float(each.mean()), abs=1e-6)
    assert found["f1[t]"] == pytest.approx(float(each[2]), abs=1e-6)
