"""Timing in turns, by a clock of the tests' own: what is drift, what is noise, what is no figure."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.export.latency.turns import ATTEMPTS, BLOCK, NotMeasurableError, measured, turns


class Machine:
    """Calls take time by this clock; `slower` by how much a call at a time takes longer."""

    def __init__(self, slower: Callable[[float], float] = lambda now: 1.0) -> None:
        self.now, self.slower, self.calls = 0.0, slower, list[float]()

    def clock(self) -> float:
        return self.now

    def call(self, seconds: float) -> Callable[[], None]:
        def made() -> None:
            self.calls.append(seconds)
            self.now += seconds * self.slower(self.now)

        return made


@given(st.floats(0.05, 20), st.floats(0, 3))
def test_a_machine_that_gets_slower_does_so_for_both(ratio: float, drift: float) -> None:
    machine = Machine(lambda now: 1 + drift * now)
    base = machine.call(2e-4)
    found = measured(machine.call(2e-4 * ratio), base, base, warm_up=3, rounds=60, clock=machine.clock)
    assert found.ratio.median == pytest.approx(ratio, rel=0.03)
    assert found.control.median == pytest.approx(1, rel=0.03)


def test_interruptions_of_few_turns_change_nothing() -> None:
    rng = np.random.default_rng(0)
    machine = Machine(lambda now: 1 + 30 * (rng.random() < 0.02))
    base = machine.call(1e-3)
    found = measured(machine.call(5e-4), base, base, warm_up=0, rounds=100, clock=machine.clock)
    assert found.ratio.median == pytest.approx(0.5, rel=1e-6)
    assert found.seconds == pytest.approx(5e-4)
    assert found.base_seconds == pytest.approx(1e-3)


def test_a_float_network_that_differs_from_itself_is_no_figure() -> None:
    rng = np.random.default_rng(0)
    machine = Machine(lambda now: rng.uniform(0.5, 1.5))
    base = machine.call(1e-3)
    with pytest.raises(
        NotMeasurableError, match=r"not measurable here: the float network takes 0\.\d+ to 1\.\d+"
    ):
        measured(machine.call(5e-4), base, base, warm_up=0, rounds=40, clock=machine.clock)
    assert len(machine.calls) > 40 * 3 * (2**ATTEMPTS - 1)  # each attempt has twice the rounds


def test_a_float_network_that_is_slower_each_second_time_is_no_figure() -> None:
    machine = Machine()
    with pytest.raises(NotMeasurableError, match=r"takes 1\.2 to 1\.2 times as long as itself"):
        measured(
            machine.call(1e-3),
            machine.call(1e-3),
            machine.call(1.2e-3),
            warm_up=0,
            rounds=40,
            clock=machine.clock,
        )


def test_a_network_of_wide_quartiles_is_no_figure() -> None:
    rng = np.random.default_rng(0)
    machine = Machine()

    def restless() -> None:
        machine.now += rng.uniform(5e-4, 5e-3)

    base = machine.call(1e-3)
    with pytest.raises(NotMeasurableError, match="times as long as the float network"):
        measured(restless, base, base, warm_up=0, rounds=40, clock=machine.clock)


def test_every_call_is_first_in_a_third_of_the_rounds_and_turns_fill_a_block() -> None:
    machine = Machine()
    each = [BLOCK / 4, BLOCK * 2, BLOCK]
    found = turns([machine.call(seconds) for seconds in each], warm_up=2, rounds=30, clock=machine.clock)
    assert found == pytest.approx(np.tile(each, (30, 1)))
    counted = machine.calls[3 * 2 + 3 * 3 :]  # warm-up, and how long one takes
    assert {seconds: counted.count(seconds) for seconds in each} == {
        each[0]: 30 * 4,
        each[1]: 30,
        each[2]: 30,
    }
    assert counted[: 4 + 2] == [each[0]] * 4 + each[1:]
    assert counted[6 : 6 + 6] == [each[1], each[2], *[each[0]] * 4]


def test_slow_networks_take_fewer_rounds_but_twenty() -> None:
    machine = Machine()
    assert len(turns([machine.call(1.0)] * 3, warm_up=0, rounds=1000, clock=machine.clock)) == 20
    assert len(turns([machine.call(0.05)] * 3, warm_up=0, rounds=1000, clock=machine.clock)) == 67


def test_collecting_garbage_is_as_it_was_even_where_a_call_fails() -> None:
    def fails() -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        turns([fails], warm_up=1, rounds=20)
    assert gc.isenabled()
