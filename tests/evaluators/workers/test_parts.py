"""A batch cut into parts: whatever happens to workers, each candidate gets its result or fails alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Results
from widthwise.evaluators.workers.parts import DEATHS, Ledger


@given(
    count=st.integers(1, 40),
    size=st.integers(1, 40),
    poison=st.sets(st.integers(0, 39)),
    accidents=st.lists(st.booleans(), max_size=20),
    order=st.randoms(use_true_random=False),
)
def test_only_what_kills_its_workers_fails(count, size, poison, accidents, order):
    ledger = Ledger(count, size=size, metrics=["accuracy"])
    accidents = [*accidents, *([False] * 10_000)]
    deaths = 0
    innocent = True
    while ledger.left:
        part = ledger.waiting[order.randrange(len(ledger.waiting))]
        ledger.waiting.remove(part)
        accident = accidents.pop(0)
        if poison & set(range(part.start, part.stop)) or accident:
            innocent = innocent and not (
                len(part) == 1 and part.start not in poison and part.deaths >= DEATHS - 1
            )
            ledger.lost(part, "was killed")
            deaths += 1
        else:
            ledger.done(part, Results({"accuracy": np.arange(part.start, part.stop, dtype=float)}))
    results = ledger.results({})
    failed = set(results.failures)
    assert failed >= poison & set(range(count))
    assert not innocent or failed == poison & set(range(count))
    good = [row for row in range(count) if row not in failed]
    assert results["accuracy"][good].tolist() == good
    assert np.isnan(results["accuracy"][list(failed)]).all()
    assert not ledger.waiting


def test_an_accident_costs_no_candidate():
    ledger = Ledger(4, size=4, metrics=["accuracy"])
    ledger.lost(ledger.waiting.popleft(), "was killed")
    assert [(part.start, part.stop) for part in ledger.waiting] == [(0, 2), (2, 4)]


def test_failed_candidates_keep_the_costs_that_are_known():
    ledger = Ledger(2, size=1, metrics=["accuracy", "model_size"])
    first, second = ledger.waiting
    ledger.failed(first, "stuck")
    ledger.done(second, Results({"accuracy": np.array([0.5]), "model_size": np.array([20.0])}))
    results = ledger.results({"model_size": np.array([10.0, 20.0])})
    assert results["model_size"].tolist() == [10.0, 20.0]
    assert np.isnan(results["accuracy"][0])


def test_a_metric_that_is_not_there_is_the_evaluators_fault():
    ledger = Ledger(2, size=2, metrics=["accuracy", "loss"])
    with pytest.raises(UserError, match="gave no loss for each of 2 candidates"):
        ledger.done(ledger.waiting.popleft(), Results({"accuracy": np.zeros(2)}))


def test_the_greatest_parts_are_handed_out_first():
    ledger = Ledger(5, size=1, metrics=["accuracy"])
    ledger.begin_with(np.array([2.0, 9.0, 2.0, 1.0, 30.0]))
    assert [part.start for part in ledger.waiting] == [4, 1, 0, 2, 3]
    ledger.begin_with(None)
    assert [part.start for part in ledger.waiting] == [4, 1, 0, 2, 3]
