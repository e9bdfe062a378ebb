"""Picking one candidate: the rules, their ties, and what is said where nothing meets them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.metrics import metrics_of
from widthwise.core.errors import UserError
from widthwise.metrics.goals.pareto import nondominated
from widthwise.metrics.goals.picking import knee, pick

NAMES = ["accuracy", "model_size"]
DIRECTIONS = ["maximize", "minimize"]
TABLE = [
    [0.60, 500.0],
    [0.74, 900.0],
    [0.75, 2100.0],
    [0.76, 8000.0],
    [0.76, 9000.0],
    [np.nan, 100.0],
]
METRICS = metrics_of(*NAMES)


@pytest.mark.parametrize(
    ("rule", "row"),
    [
        ("knee", 1),
        ("best:accuracy", 3),  # row 4 is as accurate but larger
        ("best accuracy", 3),
        ("Best: model_size", 0),  # row 5 failed
        ("best accuracy with model_size <= 2KiB", 1),
        ("best accuracy with model_size <= 2200", 2),
        ("best model_size with accuracy >= 74 %", 1),
        ("best accuracy with model_size <= 9kB and accuracy < 0.76", 2),
        ("best accuracy with model_size <= 9kB, accuracy < 0.76", 2),
        ("knee with model_size > 1 KiB", 2),
    ],
)
def test_a_rule_picks_its_row(rule, row):
    assert pick(rule, METRICS, DIRECTIONS, TABLE) == row


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("nee", "can't read 'nee'; allowed: \"knee\""),
        ("best", "can't read 'best'"),
        ("best accuracy with", "'best accuracy with' lacks a bound after with"),
        ("knee with ", "'knee with ' lacks a bound after with"),
        ("best acuracy", "did you mean accuracy"),
        ("best accuracy with model_sise <= 3", "did you mean model_size"),
        ("best accuracy with small", "can't read 'small'"),
        ("best accuracy with accuracy >= 1 KiB", "not in bytes"),
        (
            "best accuracy with model_size <= 400 and accuracy >= 0.6",
            "the nearest: row 0: model_size 500 bytes misses model_size <= 400 by 100 bytes | ",
        ),
    ],
)
def test_what_cannot_be_picked_is_an_error(rule, said):
    with pytest.raises(UserError) as caught:
        pick(rule, METRICS, DIRECTIONS, TABLE)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_to_pick_from_is_an_error():
    for table in ([], [[np.nan, 1.0]]):
        with pytest.raises(UserError, match="nothing to pick from"):
            pick("knee", METRICS, DIRECTIONS, table)


def test_the_knee_is_furthest_from_the_line_through_the_ends():
    angles = np.linspace(0, np.pi / 2, 91)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert knee(circle) == 45
    assert knee(circle * [1000, 1e-6] + [5, -3]) == 45  # whatever the scales


def test_the_knee_of_a_sphere_is_its_middle():
    rng = np.random.default_rng(0)
    points = np.abs(rng.normal(size=(300, 3)))
    points = np.concatenate([points, np.eye(3), np.ones((1, 3))])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert knee(points) == 303


@given(st.integers(1, 4), st.integers(1, 12), st.integers(0, 1000))
def test_the_knee_is_on_the_front_whatever_the_points(objectives, count, seed):
    table = np.random.default_rng(seed).integers(0, 4, (count, objectives)).astype(float)
    assert nondominated(table)[knee(table)]
