"""Scaled metrics as objectives or as a sum, against the lab's own arithmetic."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest

from helpers.metrics import objective
from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import Direction
from widthwise.metrics.goals.combine import objective_values, scaled, sum_conflicts

METRICS = {
    "accuracy": np.array([0.528, 0.519, 0.524, np.nan]),
    "average_bitwidth": np.array([4.0, 2.0, 8.0, 8.0]),
    "loss": np.array([1.273, 1.291, 1.309, 1.3]),
}
LAB = (objective("accuracy", "maximize", 1.0), objective("average_bitwidth", "minimize", 0.2))


def test_scaled_metrics_are_those_of_the_lab_report() -> None:
    found = scaled(METRICS, {"accuracy": 1.0, "average_bitwidth": 0.2})
    assert list(found) == ["accuracy", "average_bitwidth"]
    np.testing.assert_allclose(found["average_bitwidth"], [0.8, 0.4, 1.6, 1.6])


def test_several_objectives_are_scaled_and_turned_so_that_more_is_better() -> None:
    np.testing.assert_allclose(
        objective_values(METRICS, LAB), [[0.528, -0.8], [0.519, -0.4], [0.524, -1.6], [np.nan, -1.6]]
    )


def test_the_front_is_the_one_that_optuna_finds_for_the_lab() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for accuracy, bits in zip(METRICS["accuracy"][:3], METRICS["average_bitwidth"][:3], strict=True):
        study.add_trial(optuna.trial.create_trial(values=[accuracy, 0.2 * bits]))
    values = objective_values({name: metric[:3] for name, metric in METRICS.items()}, LAB)
    beaten = [any((w >= v).all() and (w > v).any() for w in values) for v in values]
    assert [t.number for t in study.best_trials] == [k for k, worse in enumerate(beaten) if not worse]


@pytest.mark.parametrize(("direction", "best"), [("maximize", max), ("minimize", min)])
def test_a_sum_goes_in_its_own_direction_whatever_those_of_the_metrics(
    direction: Direction, best: object
) -> None:
    sums = METRICS["accuracy"] + 0.2 * METRICS["average_bitwidth"]  # what the lab's objective returns
    values = objective_values(METRICS, LAB, summed=True, direction=direction)
    assert values.shape == (4, 1)
    assert callable(best)
    assert sums[np.nanargmax(values)] == best(sums[:3])
    assert np.isnan(values[3, 0])


def test_scales_that_pull_a_sum_the_wrong_way_are_named_with_what_to_write() -> None:
    (line,) = sum_conflicts(LAB, "maximize")
    assert line.startswith("average_bitwidth should be minimized")
    assert line.endswith("set average_bitwidth.scale = -0.2")
    mended = (LAB[0], objective("average_bitwidth", "minimize", -0.2), objective("loss", "minimize", 0.0))
    assert sum_conflicts(mended, "maximize") == []
    assert len(sum_conflicts(mended, "minimize")) == 2


@pytest.mark.parametrize("direction", [None, "up"])
def test_a_sum_needs_a_direction(direction: Direction | None) -> None:
    with pytest.raises(UserError, match=r"setup\.direction = maximize or minimize"):
        objective_values(METRICS, LAB, summed=True, direction=direction)


def test_a_metric_that_was_not_computed_is_named() -> None:
    with pytest.raises(UserError, match="did you mean loss"):
        objective_values(METRICS, [objective("los", "minimize")])


def test_no_objective_is_an_error() -> None:
    with pytest.raises(UserError, match="at least one metric"):
        objective_values(METRICS, [])


@pytest.mark.parametrize("scale", [math.nan, math.inf, True])
def test_a_scale_is_a_finite_number(scale: float) -> None:
    with pytest.raises(UserError, match=r"accuracy\.scale = .* is no finite number"):
        objective("accuracy", "maximize", scale)


def test_a_direction_is_one_of_two() -> None:
    with pytest.raises(UserError, match="allowed: maximize, minimize"):
        objective("accuracy", "up")  # type: ignore[arg-type]
