"""Metrics of one's own, against other libraries given all outputs at once, over any cutting of the data."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchmetrics.classification import BinaryAUROC, MulticlassAUROC, MulticlassF1Score, MultilabelF1Score
from torchmetrics.functional.classification import multiclass_auroc, multiclass_f1_score
from torchmetrics.regression import MeanAbsoluteError

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.catalogue import METRICS, Metric
from widthwise.metrics.own import find_metrics, own_metric
from widthwise.metrics.quality.classification import Classification
from widthwise.metrics.quality.joined import tally_of
from widthwise.metrics.quality.own import OwnTally, Room, own_figures
from widthwise.metrics.quality.regression import Regression
from widthwise.metrics.quality.task import Tally
from widthwise.metrics.quality.tasks import metric_of
from widthwise.network.graph import Graph
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.training.losses import loss_of
from widthwise.training.settings import Settings

CLASSES = 4


def kappa(outputs: Tensor, targets: Tensor) -> float:
    return float(sklearn.metrics.cohen_kappa_score(targets.numpy(), outputs.argmax(1).numpy()))


def median_margin(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.gather(1, targets[:, None])[:, 0] - outputs.mean(1)).median()


def losses(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


OWN = (
    kappa,
    median_margin,
    ww.own_metric(losses, by_sample=True, direction="minimize", low=0),
    MulticlassF1Score(num_classes=CLASSES),
    ww.own_metric(MulticlassAUROC(num_classes=CLASSES), name="area"),
)


def scores(versions: int, samples: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(CLASSES, (samples,), generator=generator)
    outputs = torch.rand(versions, samples, CLASSES, generator=generator)  # looks like probabilities
    outputs[:, torch.arange(samples), targets] += 0.3
    return outputs, targets


def tally(*given: Any, rows: int, room: Room | None = None) -> Tally:
    metrics = find_metrics(given, lambda name: metric_of("classification", name))
    found = tally_of(Classification(), metrics, DataFacts(), (CLASSES,), {}, room or Room())
    return found.fresh(rows)


@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(1, 59), max_size=3), apart=st.booleans())
def test_they_are_the_same_however_the_data_is_cut(seed: int, cuts: list[int], apart: bool) -> None:
    outputs, targets = scores(3, 60, seed)
    found = tally("accuracy", *OWN, rows=4)
    rows, versions = np.arange(4), np.array([0, 1, 2, 1])
    places = [0, *sorted(set(cuts)), 60]
    for start, stop in pairwise(places):
        for part in (rows[:2], rows[2:]) if apart else (rows,):
            block = slice(start, stop)
            found.add(part, outputs[:, block], versions[part], targets[block])
    names = ["accuracy", "kappa", "median_margin", "losses", "MulticlassF1Score", "area"]
    values = found.values(names)
    for row, version in enumerate(versions):
        one = outputs[version]
        expected = {
            "accuracy": (one.argmax(1) == targets).double().mean(),
            "kappa": kappa(one, targets),
            "median_margin": median_margin(one, targets),
            "losses": nn.functional.cross_entropy(one, targets),
            "MulticlassF1Score": multiclass_f1_score(one, targets, CLASSES),
            "area": multiclass_auroc(one.softmax(1), targets, CLASSES),
        }
        for name in names:
            assert values[name][row] == pytest.approx(float(expected[name]), abs=1e-6), name
    assert not found.failures


@pytest.mark.parametrize(
    ("metric", "outputs", "expected"),
    [
        (BinaryAUROC(), lambda x: x[:, :2], lambda x, y: sklearn.metrics.roc_auc_score(y, x[:, 1] - x[:, 0])),
        (
            MultilabelF1Score(num_labels=2),
            lambda x: x[:, :2] - 0.5,
            lambda x, y: sklearn.metrics.f1_score(y, x > 0, average="macro"),
        ),
    ],
)
def test_torchmetrics_take_scores_for_scores(metric: Any, outputs: Any, expected: Any) -> None:
    x, _ = scores(1, 50)
    two = outputs(x[0])
    truth = torch.randint(2, (50,) if isinstance(metric, BinaryAUROC) else (50, 2))
    own = tally_of(Classification(), find_metrics([metric], _none), DataFacts(), (2,), {}, Room()).fresh(1)
    for start in (0, 25):  # each block by itself might look like probabilities
        block = slice(start, start + 25)
        own.add(np.arange(1), two[None, block], np.arange(1), truth[block])
    (value,) = own.values([type(metric).__name__]).values()
    assert value[0] == pytest.approx(float(expected(two.numpy(), truth.numpy())), abs=1e-6)


def _none(name: str) -> Metric:
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("compute", "keywords", "told"),
    [
        (lambda x, y: x, {}, r"gave numbers of shape \[20, 4\]; it must give one number"),
        (lambda x, y: None, {}, "gave a NoneType; it must give one number"),
        (lambda x, y: [[1], [1, 2]], {}, "gave a list; it must give one number"),
        (lambda x, y: float("nan"), {}, "gave NaN"),
        (lambda x, y: 1.5, {"high": 1}, "gave 1.5, but high = 1; declare"),
        (lambda x, y: -0.5, {"low": 0}, "gave -0.5, but low = 0; declare"),
        (lambda x, y: 1, {"by_sample": True}, "for 20 samples; it must give one number for each"),
        (lambda x, y: 1 / 0, {}, "raised ZeroDivisionError: division by zero"),
        (lambda x, y: 1 / 0, {"by_sample": True}, "raised ZeroDivisionError: division by zero"),
    ],
)
def test_what_goes_wrong_is_the_candidates_failure(compute: Any, keywords: dict[str, Any], told: str) -> None:
    outputs, targets = scores(2, 20)
    outputs[1] += 5  # the other candidate is good

    def only_small(x: Tensor, y: Tensor) -> Any:
        if float(x.max()) < 5:
            return compute(x, y)
        return torch.ones(len(y)) if keywords.get("by_sample") else 0.5

    found = tally("accuracy", ww.own_metric(only_small, **keywords), rows=2)
    found.add(np.arange(2), outputs, np.arange(2), targets)
    values = found.values(["accuracy", "only_small"])
    assert list(found.failures) == [0]
    with pytest.raises(UserError, match=told):
        raise UserError(found.failures[0])
    assert "metric only_small: " in found.failures[0]
    assert np.isnan([values["accuracy"][0], values["only_small"][0]]).all()
    assert np.isfinite([values["accuracy"][1], values["only_small"][1]]).all()


def test_outputs_that_are_nan_fail_without_the_task_too() -> None:
    outputs, targets = scores(2, 20)
    outputs[1, 3, 2] = torch.nan
    found = tally(kappa, rows=2)
    found.add(np.arange(2), outputs, np.arange(2), targets)
    assert np.isnan(found.values(["kappa"])["kappa"]).tolist() == [False, True]
    assert found.failures == {1: "the outputs hold NaN"}


def test_kept_outputs_are_bounded() -> None:
    outputs, targets = scores(3, 50)
    each = outputs[0].nbytes
    found = tally(kappa, "accuracy", rows=3, room=Room(each, most=2 * each))
    assert found.row_bytes > each
    found.add(np.arange(2), outputs, np.arange(2), targets)
    found.add(np.array([2]), outputs, np.array([2]), targets)
    assert np.isnan(found.values(["kappa"])["kappa"]).tolist() == [False, False, True]
    assert "may be kept; give values by_sample" in found.failures[2]


def test_no_sample_ends_better_than_was_still_possible() -> None:
    outputs, targets = scores(2, 30)
    metric = ww.own_metric(lambda x, y: x.argmax(1) == y, name="right", by_sample=True, low=0, high=1)
    found, whole = tally(metric, rows=2), tally(metric, rows=2)
    whole.add(np.arange(2), outputs, np.arange(2), targets)
    for sample in range(30):
        found.add(np.arange(2), outputs[:, [sample]], np.arange(2), targets[[sample]])
        assert (found.best_possible(["right"], 30)["right"] >= whole.values(["right"])["right"]).all()
    assert found.best_possible(["right"], 30)["right"] == pytest.approx(whole.values(["right"])["right"])


@pytest.mark.parametrize("count", [3, 40], ids=["with the memo", "together"])
def test_the_engine_judges_candidates_as_one_by_one(count: int) -> None:
    data, graph = ww.load_data("jsc"), Graph(ww.load_model("jsc-tiny", seed=0))
    config = {"name": ["integer"], "data_in_width": [4, 8], "weight_width": [3, 4, 8], "bias_width": [8]}
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": config}})
    evaluator = ww.Evaluator(graph, space, data, metrics=[kappa, median_margin, "accuracy"])
    candidates = space.sample(count, np.random.default_rng(0))
    found = evaluator(candidates)
    assert not found.failures
    x, y = data.parts["val"]
    for row, candidate in enumerate(candidates):
        with torch.no_grad():
            outputs = evaluator.network(candidate).model(x)
        assert found["kappa"][row] == pytest.approx(kappa(outputs, y), abs=1e-6)
        assert found["median_margin"][row] == pytest.approx(float(median_margin(outputs, y)), abs=1e-5)


def test_what_python_raises_is_chained() -> None:
    def broken(outputs: Tensor, targets: Tensor) -> float:
        raise KeyError("x")

    with pytest.raises(UserError, match=r"metric broken: .*broken raised KeyError: 'x'") as caught:
        ww.evaluate(ww.load_model("jsc-tiny"), ww.load_data("jsc"), metrics=[broken])
    causes = [error := caught.value]
    while (error := error.__cause__) is not None:
        causes.append(error)
    assert isinstance(causes[-1], KeyError)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([3], "3 is no metric; give a name, a callable"),
        ([lambda x, y: 1], "'<lambda>': is no name"),
        ([kappa, ww.own_metric(losses, name="kappa")], "two are called kappa"),
        (["acuracy"], "no metric named 'acuracy'"),
    ],
)
def test_what_is_no_metric_is_one_line(given: list[Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        ww.evaluate(ww.load_model("jsc-tiny"), ww.load_data("jsc"), metrics=given)


@pytest.mark.parametrize(
    ("compute", "keywords", "told"),
    [
        (kappa, {"name": "accuracy"}, "is one of widthwise's"),
        (kappa, {"name": "a b"}, "is no name"),
        (3, {}, "a int can't be called"),
        (kappa, {"low": 1, "high": 0}, "give low < high"),
        (kappa, {"direction": "up"}, "direction = 'up'"),
        (MulticlassF1Score, {"by_sample": True}, "by_sample is for a function"),
    ],
)
def test_what_can_be_no_metric_is_refused(compute: Any, keywords: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        ww.own_metric(compute, **keywords)


def test_directions_follow_higher_is_better() -> None:
    assert ww.own_metric(MulticlassF1Score(num_classes=3)).direction == "maximize"
    assert ww.own_metric(kappa).direction == "maximize"
    assert ww.own_metric(kappa, kind="cost").direction == METRICS["bops"].direction
    (by_class,) = find_metrics([MulticlassAUROC], _none)
    assert by_class == metric_of("classification", "MulticlassAUROC")


def plain_error(outputs: Any, targets: Any) -> Any:
    return (outputs - targets).abs().mean()


@pytest.mark.parametrize("shapes", [((1,), ()), ((), (1,)), ((3,), (3,)), ((1, 4), (4,))])
def test_outputs_come_in_the_shape_of_their_targets(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    made = torch.Generator().manual_seed(0)
    outputs, targets = (torch.randn(12, *shape, generator=made) for shape in shapes)
    by_sample = own_metric(
        lambda a, b: (a - b).abs().reshape(len(a), -1).mean(1), name="each", by_sample=True
    )
    figures = own_figures([own_metric(plain_error), by_sample, own_metric(MeanAbsoluteError())], {}, Room())
    tally = OwnTally(1, figures)
    for part in (slice(0, 5), slice(5, 12)):
        tally.add(np.zeros(1, dtype=int), outputs[None, part], np.zeros(1, dtype=int), targets[part])
    found = tally.values(["plain_error", "each", "MeanAbsoluteError"])
    wanted = float((outputs.reshape(12, -1) - targets.reshape(12, -1)).abs().mean())
    assert {name: values[0] for name, values in found.items()} == pytest.approx(dict.fromkeys(found, wanted))


def test_a_loss_of_ones_own_has_both_in_one_shape() -> None:
    made = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(12, 1, generator=made, requires_grad=True), torch.randn(12, generator=made)
    loss = loss_of(Regression(), Settings(loss=plain_error))(outputs, targets)
    assert float(loss.detach()) == pytest.approx(float((outputs[:, 0] - targets).abs().mean().detach()))
