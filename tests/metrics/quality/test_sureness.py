"""How sure figures are, against the binomial formula, scipy's standard errors, t tests and bootstrap."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassCohenKappa

import widthwise as ww
from helpers.regression import Nearness, Waves, network
from widthwise.data.facts import DataFacts
from widthwise.evaluators.judging import Judging
from widthwise.metrics.own import find_metrics
from widthwise.metrics.quality.classification import Classification
from widthwise.metrics.quality.sureness import RESAMPLES, Sureness
from widthwise.metrics.quality.tasks import metric_of
from widthwise.network.graph import Graph
from widthwise.report.choosing import noise_lines
from widthwise.report.shown.front import front_view
from widthwise.study.run_files import SURENESS
from widthwise.study.run_folder import load_run
from widthwise.study.sureness import FLOAT, read_sureness

CLASSES = 3


def kappa(outputs: Tensor, targets: Tensor) -> float:
    return float(sklearn.metrics.cohen_kappa_score(targets.numpy(), outputs.argmax(1).numpy()))


def scores(samples: int, candidates: int = 3) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(samples)
    targets = torch.randint(CLASSES, (samples,), generator=generator)
    base = torch.randn(samples, CLASSES, generator=generator)
    base[torch.arange(samples), targets] += 1
    noise = torch.randn(candidates, samples, CLASSES, generator=generator)
    return [base + 0.3 * one for one in noise], targets


class Data:
    """No loader is asked: outputs are there."""


def told(samples: int, *metrics: object) -> tuple[Sureness, list[Tensor], Tensor]:
    outputs, targets = scores(samples)
    task = Classification()
    judging = Judging(find_metrics(metrics, partial(metric_of, task)), task)  # type: ignore[arg-type]
    return judging.sureness(Data(), DataFacts(), outputs, targets), outputs, targets  # type: ignore[arg-type]


@pytest.mark.parametrize("samples", [2, 60, 1024])
def test_shares_have_the_binomial_error_and_means_that_of_the_mean(samples: int) -> None:
    found, outputs, targets = told(samples, "accuracy", "loss")
    assert found.samples == samples
    for row, one in enumerate(outputs):
        share = float((one.argmax(1) == targets).double().mean())
        if 0 < share < 1:
            assert found.errors("accuracy")[row] == pytest.approx(np.sqrt(share * (1 - share) / samples))
        losses = cross_entropy(one, targets, reduction="none").double().numpy()
        assert found.errors("loss")[row] == pytest.approx(scipy.stats.sem(losses), rel=1e-4)


@pytest.mark.parametrize("right", [0, 1])
@pytest.mark.parametrize("samples", [2, 35, 3000])
def test_a_share_of_all_or_none_is_not_certain(samples: int, right: int) -> None:
    """Two errors of it are the one-sided 95 % bound of Clopper and Pearson, about 3 / n."""
    targets = torch.arange(samples) % CLASSES
    outputs = torch.nn.functional.one_hot((targets + 1 - right) % CLASSES, CLASSES).float()
    task = Classification()
    metrics = ["accuracy", "f1", "loss"] if right else ["accuracy", "loss"]
    judging = Judging(find_metrics(metrics, partial(metric_of, task)), task)
    found = judging.sureness(Data(), DataFacts(), [outputs, outputs], targets)  # type: ignore[arg-type]
    bound = scipy.stats.binomtest(samples * right, samples).proportion_ci(0.9, method="exact")
    expected = (1 - bound.low if right else bound.high) / 2
    assert found.errors("accuracy") == pytest.approx([expected] * 2)
    assert 2 * expected == pytest.approx(3 / samples, rel=0.1) or samples < 30
    assert found.errors("loss") == pytest.approx(0, abs=1e-6), "a mean, not a share"
    if right:
        assert found.errors("f1") == pytest.approx([expected] * 2)
    differences = found.errors_of("accuracy", np.array([[1.0, -1.0], [0.0, 0.0]]))
    assert differences == pytest.approx([expected, 0]), "what is compared with itself is equal"
    assert found.close("accuracy").all()


def test_differences_have_paired_errors_and_their_mean_its_own() -> None:
    found, outputs, targets = told(400, "accuracy")
    right = np.stack([(one.argmax(1) == targets).numpy() for one in outputs]).astype(float)
    weights = np.array([[1.0, -1.0, 0.0], [0.0, -1.0, 1.0], [0.5, -1.0, 0.5]])
    expected = [(right.T @ row).std() / 20 for row in weights]
    assert found.errors_of("accuracy", weights) == pytest.approx(expected)


def test_of_many_samples_groups_are_compared() -> None:
    found, outputs, targets = told(5000, "accuracy", "loss")
    for row, one in enumerate(outputs):
        share = float((one.argmax(1) == targets).double().mean())
        assert found.errors("accuracy")[row] == pytest.approx(np.sqrt(share * (1 - share) / 5000), rel=0.1)
        losses = cross_entropy(one, targets, reduction="none").double().numpy()
        assert found.errors("loss")[row] == pytest.approx(scipy.stats.sem(losses), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("metric", [kappa, MulticlassCohenKappa(num_classes=CLASSES)])
def test_others_have_that_of_the_bootstrap(metric: object) -> None:
    found, outputs, targets = told(120, metric, "f1")

    def f1(truth: np.ndarray, answers: np.ndarray) -> float:
        return float(sklearn.metrics.f1_score(truth, answers, average="macro"))

    name = next(name for name in found.covariances if name != "f1")
    for compute, column in ((sklearn.metrics.cohen_kappa_score, name), (f1, "f1")):
        for row, one in enumerate(outputs[:2]):  # sklearn takes milliseconds a resample
            expected = scipy.stats.bootstrap(
                (targets.numpy(), one.argmax(1).numpy()),
                compute,
                paired=True,
                vectorized=False,
                n_resamples=400,
                method="percentile",
                rng=np.random.default_rng(1),
            ).standard_error
            # that of 200 resamples is itself uncertain by 1 / sqrt(400)
            assert found.errors(column)[row] == pytest.approx(expected, rel=4 / np.sqrt(2 * RESAMPLES))


def test_differences_are_paired_as_in_a_t_test() -> None:
    found, outputs, targets = told(400, "loss")
    losses = [cross_entropy(one, targets, reduction="none").double().numpy() for one in outputs]
    for a in range(3):
        for b in range(3):
            if a == b:
                assert found.close("loss")[a, b]
                continue
            t = abs(scipy.stats.ttest_rel(losses[a], losses[b]).statistic)
            assert found.close("loss")[a, b] == (t <= 2)


def test_a_task_of_ones_own_has_them_too() -> None:
    data = Waves(200)
    found = ww.standard_errors(network(), data, metrics=["mse", "mae"], task=Nearness())
    with torch.no_grad():
        errors = (network()(data.x)[:, 0] - data.y).double()
    assert found["mse"] == pytest.approx(scipy.stats.sem(errors.square().numpy()), rel=1e-4)
    assert found["mae"] == pytest.approx(scipy.stats.sem(errors.abs().numpy()), rel=1e-4)


def test_of_how_many_it_is_told_follows_the_memory() -> None:
    evaluator = ww.Evaluator(
        Graph(ww.load_model("jsc-tiny")), None, ww.load_data("jsc"), metrics=["accuracy"]
    )
    outputs = 205 * 5 * 4  # bytes
    for candidates in (0, 1, 3):
        evaluator.prepared = replace(evaluator.prepared, memory=4 * candidates * outputs + 3)
        assert evaluator.sureness_of == candidates


CONFIG = {
    "model": "jsc-tiny",
    "dataset": "jsc",
    "search": {
        "search_space": {
            "name": "graph/quantize/mixed_precision_ptq",
            "setup": {"by": "type"},
            "seed": {"linear": {"config": {"name": ["integer"], "weight_width": [2, 3, 4, 6, 8]}}},
        },
        "strategy": {
            "name": "brute-force",
            "metrics": {"accuracy": {"direction": "maximize"}, "bops": {"direction": "minimize"}},
        },
    },
}


def test_a_search_keeps_how_sure_its_front_is(tmp_path: Path) -> None:
    data, model = ww.load_data("jsc"), ww.load_model("jsc-tiny", seed=0)
    ww.fit(model, data, epochs=5)
    study = ww.search(model, data, CONFIG, out=tmp_path / "run", page=False)
    assert load_run(tmp_path / "run").sureness == study.sureness
    stored = json.loads((tmp_path / "run" / "front.json").read_text())
    assert stored["judged_on"] == 205
    x, y = data.parts["val"]
    right = {}
    for row, trial in zip(stored["front"], (tie.trial for tie in study.ties), strict=True):
        with torch.no_grad():
            right[trial.number] = (study.network(trial).model(x).argmax(1) == y).double().numpy()
        share = right[trial.number].mean()
        error = row["standard_errors"]["accuracy"]
        assert error == pytest.approx(np.sqrt(share * (1 - share) / 205))
    for row in stored["front"]:
        alike = {
            other
            for other in right
            if other != row["number"]
            and abs((difference := right[other] - right[row["number"]]).mean())
            <= 2 * difference.std() / np.sqrt(205) + 1e-12
        }
        assert set(row["within_noise_of"]) == alike
    with torch.no_grad():
        floats = (model(x).argmax(1) == y).double().numpy()
    share = floats.mean()
    assert stored["float"]["accuracy"] == pytest.approx(share)
    assert stored["float_standard_errors"]["accuracy"] == pytest.approx(np.sqrt(share * (1 - share) / 205))
    like = [
        number
        for number, of in right.items()
        if abs((difference := of - floats).mean()) <= 2 * difference.std() / np.sqrt(205) + 1e-12
    ]
    assert stored["within_noise_of_float"] == like
    assert 0 < len(like) < len(right)
    lines = noise_lines(study, front_view(study))
    assert f"by accuracy no different from float: {', '.join(map(str, like))}" in lines


def test_candidates_that_are_trained_have_it_and_repeats_have_their_spread(tmp_path: Path) -> None:
    config = {
        **CONFIG,
        "max_epochs": 2,
        "search": {
            **CONFIG["search"],  # type: ignore[dict-item]
            "search_space": {
                "name": "graph/width",
                "setup": {"by": "all"},
                "seed": {"default": {"config": {"channel_multiplier": [0.5, 1]}}},
            },
        },
    }
    config["model"] = "jsc-three-linear"
    study = ww.search(None, None, config, out=tmp_path / "run", page=False)
    assert study.sureness.samples == 205
    for tie in study.ties:
        share = tie.trial.metrics["accuracy"]
        error = study.sureness.errors[tie.trial.number]["accuracy"]
        assert error == pytest.approx(np.sqrt(share * (1 - share) / 205))
    share = study.record.settings.float_metrics["accuracy"]
    assert study.sureness.errors[FLOAT]["accuracy"] == pytest.approx(np.sqrt(share * (1 - share) / 205))
    config["search"]["training"] = {"repeats": 2}  # type: ignore[index]
    again = ww.search(None, None, config, out=tmp_path / "again", page=False)
    assert not again.sureness.errors
    assert not (tmp_path / "again" / SURENESS).exists()


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / SURENESS).write_text('{"samples": 3}')
    with pytest.raises(ww.UserError, match=r"standard_errors.json: is broken; delete it"):
        read_sureness(tmp_path)
