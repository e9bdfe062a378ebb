"""Names of metrics: what they stand for, which way is better, and what a wrong one says."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pytest

from helpers.cells import CELLS
from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import METRICS, computing, find_metric
from widthwise.metrics.per_class import class_index
from widthwise.metrics.spread import spread_of
from widthwise.metrics.torchmetrics_names import torchmetrics_classes


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("MulticlassCohenKappa", "torchmetrics.classification:MulticlassCohenKappa"),
        ("torchmetrics.classification.MulticlassAUROC", "torchmetrics.classification:MulticlassAUROC"),
        ("torchmetrics.AUROC", "torchmetrics.classification:AUROC"),
        ("cohen_kappa", "torchmetrics.classification:MulticlassCohenKappa"),
        ("f1_score", "torchmetrics.classification:MulticlassF1Score"),
        ("multiclass_matthews_corrcoef", "torchmetrics.classification:MulticlassMatthewsCorrCoef"),
    ],
)
def test_torchmetrics_names_stand_for_public_classes(name: str, source: str) -> None:
    metric = find_metric(name)
    assert (metric.name, metric.kind, metric.source) == (name, "quality", source)


def test_every_listed_class_exists_in_torchmetrics() -> None:
    import importlib

    classes = torchmetrics_classes()
    assert len(classes) > 100
    for name, full in classes.items():
        assert isinstance(getattr(importlib.import_module(full.rpartition(".")[0]), name), type)


def test_directions_of_torchmetrics_classes_agree_with_higher_is_better() -> None:
    import torchmetrics.classification as known

    compared = 0
    for name in known.__all__:
        better = getattr(getattr(known, name), "higher_is_better", None)
        if better is not None:
            assert find_metric(name).direction == ("maximize" if better else "minimize"), name
            compared += 1
    assert compared > 40


def test_a_metric_of_one_class_has_the_direction_and_unit_of_all() -> None:
    metric = find_metric("f1[t]")
    assert (metric.name, metric.direction, metric.unit) == ("f1[t]", METRICS["f1"].direction, "share")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("acuracy", "did you mean accuracy?"),
        ("MulticlassCohenKapa", "did you mean MulticlassCohenKappa?"),
        ("bop", "did you mean bops?"),
        ("loss[2]", "no metric named 'loss[2]'"),
        ("f1[]", "no metric named 'f1[]'"),
        ("torchmetrics.os.path", "no metric named"),
        ("torchmetrics.utilities.data.Metric", "no metric named"),
        ("torchmetrics.functional", "no metric named"),
        ("__all__", "no metric named"),
        ("../../etc/passwd", "no metric named"),
    ],
)
def test_other_names_are_refused_with_the_place_and_the_allowed(name: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        find_metric(name, "lab3.toml: search.strategy.metrics")
    assert str(error.value).startswith("lab3.toml: search.strategy.metrics: ")
    assert says in str(error.value)
    assert all(f", {name}," in str(error.value) for name in ("accuracy_macro", "bops"))


def test_classes_are_found_by_name_before_index() -> None:
    names = ("1", "0", "t")
    assert [class_index(f"f1[{key}]", 3, names) for key in ("1", "0", "t", "2")] == [0, 1, 2, 2]


@pytest.mark.parametrize("key", ["3", "-1", "q", "²"])
def test_a_class_that_does_not_exist_is_named_with_the_allowed(key: str) -> None:
    with pytest.raises(UserError, match=r"no class .*; allowed: 0 to 2 or one of the names g, t, w"):
        class_index(f"recall[{key}]", 3, ("g", "t", "w"))


def test_checking_names_does_not_import_torch() -> None:
    code = (
        "import sys; from widthwise.metrics.catalogue import find_metric; find_metric('MulticlassAUROC');"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        *((name, 0, 1) for name in ("accuracy", "accuracy_macro", "precision", "recall", "f1", "f1[2]")),
        *((name, 0, math.inf) for name in ("loss", "parameters", "model_size", "average_bitwidth")),
        *((name, 0, math.inf) for name in ("memory_density", "macs", "flops", "bops", "accumulator_bits")),
        ("MulticlassCohenKappa", -math.inf, math.inf),
    ],
)
def test_a_metric_knows_its_range(name: str, low: float, high: float) -> None:
    metric = find_metric(name)
    assert (metric.low, metric.high) == (low, high)


def test_a_spread_is_a_metric_in_the_unit_of_its_own_and_better_small() -> None:
    for metric in METRICS.values():
        spread = spread_of(metric)
        assert (spread.name, spread.direction) == (f"{metric.name}_spread", "minimize")
        assert (spread.unit, spread.kind, spread.low, spread.high) == (metric.unit, metric.kind, 0, math.inf)


def test_costs_and_what_is_measured_are_found_by_their_sources_and_quality_of_ours_has_none() -> None:
    for metric in METRICS.values():
        assert bool(metric.source) == (metric.kind != "quality")
        assert metric.kind == "quality" or callable(computing(metric))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("kind", "costs", "metric cells: kind = 'costs'; allowed: quality, cost, measured"),
        ("direction", "down", "metric cells: direction = 'down'; allowed: maximize, minimize"),
        ("high", 0.0, "metric cells: low = 0.0 and high = 0.0; give low < high"),
        ("low", math.nan, "metric cells: low = nan"),
    ],
)
def test_a_metric_that_makes_no_sense_is_refused(field: str, value: object, says: str) -> None:
    with pytest.raises(UserError) as error:
        replace(CELLS, **{field: value})
    assert str(error.value).startswith(says)
