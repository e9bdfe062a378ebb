"""Classes weighed by the loss: against torch's and scikit-learn's own, and what they do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn.functional import cross_entropy

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.data.samples import check_samples
from widthwise.data.served import DataModule, served
from widthwise.metrics.quality.binary import Binary
from widthwise.metrics.quality.classification import Classification
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.segmentation import Segmentation
from widthwise.metrics.quality.tokens import Tokens
from widthwise.training.class_weights import with_class_weights
from widthwise.training.settings import Settings


def data_of(counts: list[int], *, seed: int = 0) -> DataModule:
    """Classes of so many samples, apart by about the width of each, all in every part."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    x = rng.normal(size=(len(y), 2)) + y[:, None]
    samples = check_samples(x, y, name="own", note="own")
    return served(samples, batch_size=64, seed=0, splits=(0.6, 0.2, 0.2), standardise="none")


def net(outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, outputs))


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=4), st.integers(0, 99))
def test_weighted_classes_are_torchs(weights: list, seed: int):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(20, len(weights), generator=generator)
    labels = torch.randint(0, len(weights), (20,), generator=generator)
    found = Classification().loss(scores, labels, Settings(class_weights=tuple(weights)))
    torch.testing.assert_close(found, cross_entropy(scores, labels, weight=torch.tensor(weights)))


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=3), st.integers(0, 99))
def test_weighted_places_are_torchs_without_those_left_out(weights: list, seed: int):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(4, 3, 5, generator=generator)
    labels = torch.randint(0, 3, (4, 5), generator=generator)
    labels[0, :2] = -100
    settings, weight = Settings(class_weights=tuple(weights)), torch.tensor(weights)
    wanted = cross_entropy(scores, labels, weight=weight, ignore_index=-100)
    torch.testing.assert_close(Segmentation().loss(scores, labels, settings), wanted)
    torch.testing.assert_close(Tokens().loss(scores.transpose(1, 2), labels, settings), wanted)


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.integers(0, 99))
def test_one_weighted_logit_is_two_weighted_scores(first: float, second: float, seed: int):
    generator = torch.Generator().manual_seed(seed)
    logits, labels = torch.randn(20, 1, generator=generator), torch.arange(20) % 2
    found = Binary().loss(logits, labels, Settings(class_weights=(first, second)))
    scores = torch.cat([torch.zeros(20, 1), logits], dim=1)
    wanted = cross_entropy(scores, labels, weight=torch.tensor([first, second]))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("counts", [[50, 10], [30, 20, 10]])
def test_balanced_is_scikit_learns(counts: list):
    data = data_of(counts)
    fitting = check_data_fits_model(net(len(counts)), data)
    found = with_class_weights(Settings(class_weights="balanced"), data, fitting).class_weights
    labels = data.parts["train"][1].numpy()
    wanted = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    np.testing.assert_allclose(found, wanted)


def test_a_rare_class_is_found_where_it_counts():
    data = data_of([950, 50])

    def recall(weights) -> float:
        model = net(2)
        ww.fit(model, data, epochs=15, class_weights=weights)
        return ww.evaluate(model, data, metrics=["recall[1]"])["recall[1]"]

    assert recall("balanced") > recall(None)


@pytest.mark.parametrize(
    ("outputs", "options", "says"),
    [
        (2, {"class_weights": [1, 2, 3]}, "class_weights: 3 numbers for 2 classes; give one for each"),
        (3, {"class_weights": "balanced"}, "class 2 doesn't occur in the training part"),
        (
            1,
            {"class_weights": "balanced", "task": "regression"},
            "regression weighs no classes",
        ),
        (2, {"class_weights": [1, -1]}, "are no numbers above 0, one for each class"),
        (2, {"class_weights": "equal"}, "are no numbers above 0, one for each class"),
        (2, {"class_weights": [0, 0]}, "are no numbers above 0, one for each class"),
        (2, {"class_weights": [1, 2], "loss": lambda o, y: o.sum()}, "weighs no classes; leave them out"),
    ],
)
def test_what_weighs_nothing_is_refused(outputs: int, options: dict, says: str):
    with pytest.raises(UserError) as caught:
        ww.fit(net(outputs), data_of([30, 30]), epochs=1, **options)
    assert says in str(caught.value)
