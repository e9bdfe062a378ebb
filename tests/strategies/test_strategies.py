"""What holds for every strategy: each test runs over all of them."""

from __future__ import annotations

import numpy as np
import pytest

from widthwise.spaces.space import Decision, Space
from widthwise.spaces.within import Within
from widthwise.strategies import STRATEGIES, Strategy, strategy
from widthwise.strategies.protocol import KeepsWithin
from widthwise.testing import check_strategy

# a Gaussian process is fitted for every proposal, and gets slower with each trial
SLOW = {"gp"}
NAMES = [name for name in STRATEGIES if name != "gradient"]  # whose space is a training
ENDS_EARLY = {"local", "frontier"}  # they say that nothing improves, before the space is exhausted
# they may propose fewer than asked for: their starts first, and only what is expected to gain
GIVES_FEWER = {"local", "frontier"}
OPTIONS = {
    "gp": {"n_startup_trials": 3},
    "nsga2": {"population_size": 8},
    "nsga3": {"population_size": 8},
    "grid": {"points": 9},
    "local": {"starts": 5},
    "frontier": {"sensitivity": 6, "pool": 64},
}


def ordered(*counts: int) -> Space:
    return Space(tuple(Decision(f"d{i}", tuple(range(2, 2 + count))) for i, count in enumerate(counts)))


def mixed(*counts: int) -> Space:
    """Every other decision is a choice among names."""
    return Space(
        tuple(
            Decision(f"d{i}", tuple(range(count)) if i % 2 else tuple(f"format {c}" for c in range(count)))
            for i, count in enumerate(counts)
        )
    )


def space_for(name: str, *counts: int) -> Space:
    return ordered(*counts) if name == "cmaes" else mixed(*counts)


def small(name: str) -> Space:
    return space_for(name, 3, 1, 3)


def make(name: str, space: Space, objectives: int = 2, seed: int = 0) -> Strategy:
    count = 1 if name == "cmaes" else objectives
    named = dict.fromkeys([f"metric {i}" for i in range(count)], "maximize")
    return strategy(name, space, objectives=named, seed=seed, options=OPTIONS.get(name, {}))


def results(space: Space, candidates: np.ndarray, objectives: int, failing: bool = False) -> np.ndarray:
    """[k, objectives] that trade off against one another; some candidates fail, always the same ones."""
    share = candidates / np.maximum(space.cardinalities - 1, 1)
    waves = np.sin(share * np.arange(1, share.shape[1] + 1))
    values = np.stack([waves.sum(axis=1), -share.sum(axis=1), waves.prod(axis=1)], axis=1)[:, :objectives]
    if failing:
        values[candidates.sum(axis=1) % 3 == 0] = np.nan
    return values


def run(made: Strategy, space: Space, batches, objectives: int = 2, failing: bool = False):
    """Told batches [(candidates, values)], until the strategy has nothing more to propose or batches end."""
    told = []
    for n in batches:
        candidates = made.ask(n)
        assert candidates.dtype == np.int64
        assert candidates.shape[1] == len(space.decisions)
        assert len(candidates) <= n
        if not len(candidates):
            break
        values = results(space, candidates, objectives, failing)
        made.tell(candidates, values)
        told.append((candidates, values))
    return told


def proposals(told) -> list[list[int]]:
    return [row for candidates, _ in told for row in candidates.tolist()]


def check_distinct(space: Space, rows: list[list[int]]) -> None:
    assert len({tuple(row) for row in rows}) == len(rows)
    assert (np.array(rows) >= 0).all()
    assert (np.array(rows) < space.cardinalities).all()


def objectives_of(name: str, wanted: int = 2) -> int:
    return 1 if name == "cmaes" else wanted


@pytest.mark.parametrize(
    ("name", "objectives"),
    [
        pytest.param(name, objectives, marks=[pytest.mark.slow] * (name in SLOW and objectives > 1))
        for name in NAMES
        for objectives in (1, 2, 3)
    ],
)
def test_every_strategy_keeps_the_contract(name, objectives):
    space, count = (
        small(name) if name in SLOW else space_for(name, 4, 3, 1, 5),
        objectives_of(name, objectives),
    )
    check_strategy(lambda space, seed: make(name, space, count, seed), space, objectives=count)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_a_space_is_exhausted_without_repeats_and_then_finished(name, batch):
    space = small(name) if name in SLOW else space_for(name, 3, 1, 4, 2)
    made = make(name, space)
    assert made.finished is None
    rows = proposals(run(made, space, [batch] * 1000, objectives_of(name)))
    check_distinct(space, rows)
    assert len(made.ask(3)) == 0
    assert made.finished
    if name in ENDS_EARLY:
        assert 0 < len(rows) <= space.size
    else:
        assert len(rows) == space.size
        assert str(space.size) in made.finished


@pytest.mark.parametrize("name", NAMES)
def test_batches_of_a_large_space_stay_within_it_and_apart(name):
    space = space_for(name, 5, 2, 1, 6, 7, 3, 4, 5, 2, 8)
    made = make(name, space)
    rows = proposals(
        run(made, space, [1, 2, 3] if name in SLOW else [1, 10, 3, 50, 1, 30], objectives_of(name))
    )
    check_distinct(space, rows)
    wanted = 6 if name in SLOW else 95
    assert 60 < len(rows) <= wanted if name == "frontier" else len(rows) == wanted
    assert made.finished is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_restarted_from_stored_batches_it_goes_on_as_if_uninterrupted(name, objectives):
    objectives = objectives_of(name, objectives)
    batches = [1, 2, 1, 2] if name in SLOW else [10, 1, 4, 15, 7, 3, 20]
    middle = (len(batches) + 1) // 2  # 30 of 60
    space = space_for(name, 5, 4, 3, 6, 2)
    straight = run(make(name, space, objectives), space, batches, objectives, failing=True)
    first = run(make(name, space, objectives), space, batches[:middle], objectives, failing=True)
    again = make(name, space, objectives)
    again.replay(first)
    rest = run(again, space, batches[middle:], objectives, failing=True)
    assert proposals(first) + proposals(rest) == proposals(straight)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_proposes_the_same_and_another_seed_something_else(name):
    space = space_for(name, 5, 4, 3, 6, 2)
    batches = [3, 3] if name in SLOW else [10, 10, 10]
    one, same, other = (
        proposals(run(make(name, space, seed=seed), space, batches, objectives_of(name)))
        for seed in (3, 3, 4)
    )
    assert one == same
    if name in ("brute-force", "grid", "qmc"):  # they draw nothing (qmc: but for its first)
        assert one[-9:] == other[-9:]
    else:
        assert one != other


@pytest.mark.parametrize("name", NAMES)
def test_it_goes_on_where_everything_failed(name):
    space = space_for(name, 4, 3, 5)
    made = make(name, space)
    rows = []
    for _ in range(10):
        candidates = made.ask(3)
        made.tell(candidates, np.full((len(candidates), objectives_of(name)), np.nan))
        rows += candidates.tolist()
    check_distinct(space, rows)
    assert len(rows) >= 10 if name in GIVES_FEWER else len(rows) == 30
    assert made.finished is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bounded", [False, True])
def test_a_space_without_decisions_has_one_candidate(name, bounded):
    space, count = Space(()), objectives_of(name)
    names = {f"m{i}": "maximize" for i in range(count)}
    known = np.array([np.nan, 1.0])[:count]
    made = strategy(name, space, objectives=names, costs=lambda rows: np.tile(known, (len(rows), 1)))
    if bounded and isinstance(made, KeepsWithin):
        made.keep_within(Within(space, lambda rows: np.zeros(len(rows))))
    asked = made.ask(3)
    assert asked.shape == (1, 0)
    made.tell(asked, np.ones((1, count)))
    assert made.ask(3).shape == (0, 0)
    assert made.finished is not None


@pytest.mark.parametrize("name", NAMES)
def test_what_it_was_told_from_elsewhere_is_not_proposed(name):
    space = small(name) if name in SLOW else space_for(name, 3, 1, 4, 2)
    made = make(name, space)
    foreign = space.at([0, 3, 4, space.size - 1])
    made.tell(foreign, results(space, foreign, objectives_of(name)))
    rows = proposals(run(made, space, [3] * 100, objectives_of(name)))
    check_distinct(space, foreign.tolist() + rows)
    assert made.finished
    if name not in ENDS_EARLY:
        assert len(rows) == space.size - 4


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SLOW])
def test_results_may_come_one_by_one_and_in_another_order(name):
    space = space_for(name, 4, 3, 5)
    made = make(name, space)
    rows = []
    for _ in range(4):
        candidates = made.ask(6)
        rows += candidates.tolist()
        for row in reversed(range(len(candidates))):
            one = candidates[row : row + 1]
            made.tell(one, results(space, one, objectives_of(name)))
    check_distinct(space, rows)
    assert 12 <= len(rows) <= 24 if name in GIVES_FEWER else len(rows) == 24


@pytest.mark.parametrize(
    "name", ["random", "local", "tpe", "nsga2", "grid", "brute-force", "qmc", "frontier"]
)
def test_spaces_beyond_64_bits_are_no_trouble(name):
    space = space_for(name, *[10] * 30)
    made = strategy(
        name, space, objectives={"accuracy": "maximize", "size": "minimize"}, options=OPTIONS.get(name, {})
    )
    rows = proposals(run(made, space, [20, 20]))
    check_distinct(space, rows)
    assert len(rows) >= 20 if name in GIVES_FEWER else len(rows) == 40


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_strategy(name):
    made = make(name, space_for(name, 3, 4))
    assert isinstance(made, Strategy)
    assert made.learns == STRATEGIES[name].learns == (name not in ("brute-force", "grid"))
    assert made.batch >= 1
