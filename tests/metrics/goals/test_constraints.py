"""Bounds on metrics: what is read, what is refused, and which candidates meet them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.metrics import by_name, constraint
from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import METRICS, Metric
from widthwise.metrics.goals.constraints import (
    feasible,
    nearest_candidates,
    parse_constraint,
    parse_constraints,
    violations,
)

ALLOWED = {**METRICS, **by_name("MulticlassCohenKappa", "f1[2]")}
LATENCY = Metric("latency", "measured", "minimize", "us", "of one sample", low=0.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model_size <= 2 KiB", constraint("model_size", "<=", 2048)),
        ("model_size<=2KiB", constraint("model_size", "<=", 2048)),
        ("model_size < 1.5 MiB", constraint("model_size", "<", 1.5 * 2**20)),
        ("model_size <= 2kB", constraint("model_size", "<=", 2000)),
        ("model_size <= 3 MB", constraint("model_size", "<=", 3e6)),
        ("model_size <= 512 B", constraint("model_size", "<=", 512)),
        ("average_bitwidth <= 5", constraint("average_bitwidth", "<=", 5)),
        ("average_bitwidth <= 5 bits", constraint("average_bitwidth", "<=", 5)),
        ("accuracy >= 0.72", constraint("accuracy", ">=", 0.72)),
        ("accuracy >= 72 %", constraint("accuracy", ">=", 0.72)),
        ("parameters <= 10k", constraint("parameters", "<=", 10_000)),
        ("macs <= 1_000", constraint("macs", "<=", 1000)),
        ("bops <= 2.5M", constraint("bops", "<=", 2.5e6)),
        ("bops <= 1e9", constraint("bops", "<=", 1e9)),
        ("loss > 0", constraint("loss", ">", 0)),
        ("MulticlassCohenKappa > -0.5", constraint("MulticlassCohenKappa", ">", -0.5)),
        ("parameters = 12", constraint("parameters", "==", 12)),
    ],
)
def test_bounds_are_read_with_their_units(text, expected):
    found = parse_constraint(text, metrics=ALLOWED)
    assert (found.metric, found.op) == (expected.metric, expected.op)
    assert found.bound == pytest.approx(expected.bound, rel=1e-12)


def test_a_table_and_a_list_say_the_same():
    table = parse_constraints({"model_size": "<= 2 KiB", "accuracy": [">= 0.5", "<= 0.9"]}, metrics=ALLOWED)
    texts = parse_constraints(["model_size <= 2 KiB", "accuracy >= 0.5", "accuracy <= 0.9"], metrics=ALLOWED)
    assert table == texts
    assert parse_constraints({}, metrics=ALLOWED) == ()


def test_a_time_is_turned_into_what_the_metric_is_measured_in():
    assert parse_constraint("latency <= 2 ms", metrics={"latency": LATENCY}).bound == pytest.approx(2000)
    assert parse_constraint("delay <= 2 ms", metrics=by_name("delay")).bound == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model_sise": "<= 2 KiB"}, "did you mean model_size"),
        (["acuracy >= 0.7"], "did you mean accuracy"),
        ({"model_size": "2 KiB"}, "can't read '2 KiB'"),
        ({"model_size": 2048}, "can't read 2048"),
        ({"model_size": "<= two"}, "can't read '<= two'"),
        ({"model_size": "<= 1.2.3"}, "1.2.3"),
        ({"model_size": "<= 1e999"}, "no finite number"),
        ({"model_size": "<= 2 KiX"}, "no unit 'KiX'"),
        ({"model_size": "<= 2 KiBB"}, "no unit 'KiBB'"),
        ({"accuracy": ">= 2 KiB"}, "accuracy is measured in share, not in bytes; leave out KiB"),
        ({"model_size": "<= nan"}, "nan is no finite number; model_size is at least 0"),
        ({"accuracy": "<= NaN %"}, "NaN is no finite number; accuracy is from 0 to 1"),
        ({"model_size": "<= inf"}, "inf is no finite number"),
        ({"model_size": float("nan")}, "can't read nan"),
        ({"model_size": "<= -5"}, "model_size <= -5 is out of range: model_size is at least 0"),
        ({"accuracy": ">= 1.2"}, "accuracy >= 1.2 is out of range: accuracy is from 0 to 1"),
        ({"accuracy": ">= 120 %"}, "accuracy >= 1.2 is out of range"),
        ({"accuracy": "> 1"}, "accuracy > 1 is out of range"),
        ({"f1[2]": ">= 72"}, "f1[2] >= 72 is out of range: f1[2] is from 0 to 1"),
        ({"average_bitwidth": "< 0"}, "average_bitwidth < 0 is out of range: average_bitwidth is at least 0"),
        ({"loss": "> -1"}, "loss is at least 0"),
        ({"parameters": "<= 50 %"}, "parameters is measured in plain numbers, not in share"),
        (["model_size"], "can't read 'model_size'"),
        ([3], "can't read 3"),
        (["model_size <= 1 KiB", "model_size >= 2 KiB"], "exclude one another"),
        (["model_size < 1 KiB", "model_size >= 1024"], "exclude one another"),
        (["loss == 1", "loss == 2"], "exclude one another"),
        (["loss == 1", "loss > 1"], "exclude one another"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(given, said):
    with pytest.raises(UserError) as caught:
        parse_constraints(given, metrics=ALLOWED, where="lab.toml: search.constraints")
    assert said in str(caught.value)
    assert str(caught.value).startswith("lab.toml: search.constraints")
    assert "\n" not in str(caught.value)


bounds = st.tuples(st.sampled_from(["<=", ">=", "<", ">", "=="]), st.integers(1, 5).map(float))


@given(bounds, bounds)
def test_bounds_are_contradictory_where_no_number_meets_both(one, other):
    constraints = [constraint("loss", op, bound) for op, bound in (one, other)]
    numbers = np.arange(0, 7.25, 0.25)  # between and on all bounds
    possible = bool(feasible(constraints, {"loss": numbers}).any())
    texts = [f"loss {op} {bound}" for op, bound in (one, other)]
    if possible:
        assert parse_constraints(texts, metrics=by_name("loss")) == tuple(constraints)
    else:
        with pytest.raises(UserError, match="exclude"):
            parse_constraints(texts, metrics=by_name("loss"))


OPERATIONS = {
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "<": np.less,
    ">": np.greater,
    "==": np.equal,
}


@given(bounds, st.lists(st.integers(0, 6).map(float), max_size=20))
def test_feasible_is_what_the_operator_says(bound, values):
    op, number = bound
    column = np.array(values)
    met = feasible([constraint("loss", op, number)], {"loss": column})
    assert (met == OPERATIONS[op](column, number)).all()


def test_violations_add_up_as_shares_of_the_bounds():
    constraints = parse_constraints(["model_size <= 1000", "accuracy >= 0.8"], metrics=ALLOWED)
    metrics = {
        "model_size": np.array([900.0, 1100.0, 2000.0, np.nan]),
        "accuracy": np.array([0.9, 0.9, 0.6, 0.9]),
    }
    assert violations(constraints, metrics) == pytest.approx([0, 0.1, 1.25, np.inf])
    assert feasible(constraints, metrics).tolist() == [True, False, False, False]


def test_what_is_not_known_yet_breaks_no_bound():
    constraints = parse_constraints(["model_size <= 1000", "accuracy >= 0.8"], metrics=ALLOWED)
    sizes = np.array([900.0, 1100.0, np.nan])
    possible = violations(constraints, {"model_size": sizes}, unknown=0.0) == 0
    assert possible.tolist() == [True, False, True]
    assert feasible(constraints, {"model_size": sizes}).tolist() == [False, False, False]


def test_the_nearest_say_which_bound_was_missed_by_how_much():
    constraints = parse_constraints(["model_size <= 1 KiB", "accuracy >= 0.8"], metrics=ALLOWED)
    metrics = {
        "model_size": np.array([2048.0, 1126.4, 1000.0, np.nan]),
        "accuracy": np.array([0.9, 0.9, 0.6, 0.9]),
    }
    near = nearest_candidates(constraints, metrics, count=9)
    assert [candidate.row for candidate in near] == [1, 2, 0]
    assert str(near[0]) == "model_size 1126.4 bytes misses model_size <= 1024 by 102.4 bytes"
    assert str(near[1]) == "accuracy 0.6 misses accuracy >= 0.8 by 0.2"
    assert near[1].misses[0].constraint.name == "accuracy"
    assert near[1].violation == pytest.approx(0.25)


def test_large_numbers_are_written_out_and_a_strict_bound_is_just_missed():
    (bound,) = parse_constraints(["model_size < 1.268 MB"], metrics=ALLOWED)
    assert str(bound) == "model_size < 1268000"
    near = nearest_candidates([bound], {"model_size": np.array([1268000.0, 3e6])})
    assert [str(one) for one in near] == [
        "model_size 1268000 bytes just misses model_size < 1268000",
        "model_size 3000000 bytes misses model_size < 1268000 by 1732000 bytes",
    ]


@pytest.mark.parametrize("bound", [1e-9, 1.0, 1e18])
def test_a_strict_bound_that_is_just_reached_is_missed_whatever_its_size(bound):
    constraints = [constraint("bops", "<", bound)]
    values = {"bops": np.array([bound, bound / 2])}
    assert feasible(constraints, values).tolist() == [False, True]
    assert (violations(constraints, values, unknown=0.0) == 0).tolist() == [False, True]
