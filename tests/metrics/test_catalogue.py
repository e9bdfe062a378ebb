"""Names of metrics: what they stand for, which way is better, and what a wrong one says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import METRICS, class_index, find_metric, torchmetrics_classes


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
    assert "accuracy_macro, average_bitwidth" in str(error.value)


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
