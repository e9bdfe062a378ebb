"""What holds for every strategy that keeps within bounds of cost: each test runs over all of them."""

from __future__ import annotations

import time

import numpy as np
import pytest

from widthwise.spaces.space import Decision, Space
from widthwise.spaces.within import Within
from widthwise.strategies import STRATEGIES, Strategy, strategy
from widthwise.strategies.protocol import KeepsWithin

NAMES = [
    name for name in STRATEGIES if name not in ("brute-force", "grid", "gradient")
]  # these are cut, in order
SLOW = {"gp"}
ENDS_EARLY = {"local", "frontier"}
OPTIONS = {
    "gp": {"n_startup_trials": 3},
    "nsga2": {"population_size": 8},
    "nsga3": {"population_size": 8},
    "local": {"starts": 5},
    "frontier": {"sensitivity": 6, "pool": 64},
}
SMALL = Space(tuple(Decision(f"width {i}", (2, 4, 6, 8)) for i in range(3)))
MIDDLE = Space(tuple(Decision(f"width {i}", (2, 4, 6, 8)) for i in range(6)))
HUGE = Space(tuple(Decision(f"width {i}", (2, 3, 4, 5, 6, 7, 8)) for i in range(15)))  # 5 * 10^12


def objectives_of(name: str) -> dict[str, str]:
    return {"quality": "maximize"} if name == "cmaes" else {"quality": "maximize", "size": "minimize"}


def results(space: Space, candidates: np.ndarray, name: str) -> np.ndarray:
    """Quality grows with every choice, less and less; size is the sum of the choices."""
    quality = np.sqrt(candidates + 0.3 * np.arange(candidates.shape[1])).sum(axis=1)
    return np.stack([quality, -candidates.sum(axis=1)], axis=1)[:, : len(objectives_of(name))]


def below(space: Space, share: float, **limit: int) -> Within:
    """The sum of the choices is at most a share of the greatest sum."""
    bound = share * (space.cardinalities - 1).sum()
    return Within(space, lambda rows: np.maximum(rows.sum(axis=1) - bound, 0.0), bounds="sum <= 3", **limit)


def make(name: str, space: Space, within: Within | None, seed: int = 0) -> Strategy:
    made = strategy(name, space, objectives=objectives_of(name), seed=seed, options=OPTIONS.get(name, {}))
    if within is not None:
        made.keep_within(within)
    return made


def run(made: Strategy, space: Space, name: str, batches: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    told = []
    for n in batches:
        candidates = made.ask(n)
        if not len(candidates):
            break
        values = results(space, candidates, name)
        made.tell(candidates, values)
        told.append((candidates, values))
    return told


def rows_of(told: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    return np.concatenate([candidates for candidates, _ in told])


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_told_of_bounds(name):
    assert isinstance(make(name, SMALL, None), KeepsWithin)


@pytest.mark.parametrize("name", NAMES)
def test_every_candidate_within_the_bounds_is_proposed_once_and_no_other(name):
    within = below(SMALL, 0.4 if name in SLOW else 0.6)
    made = make(name, SMALL, within)
    rows = rows_of(run(made, SMALL, name, [4] * 100))
    assert within(rows).all()
    assert len({tuple(row) for row in rows.tolist()}) == len(rows)
    if name in ENDS_EARLY:
        assert made.finished
    else:
        assert len(rows) == len(within.listed)
        assert made.finished == f"all {len(rows)} candidates within the bounds proposed (sum <= 3)"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", [MIDDLE, HUGE], ids=["middle", "huge"])
def test_tight_bounds_of_large_spaces_are_kept_to_at_once(name, space):
    within = below(space, 0.12)  # a random candidate is within them once in 10^3, in 10^9
    made = make(name, space, within)
    began = time.monotonic()
    rows = rows_of(run(made, space, name, [3, 3] if name in SLOW else [1, 4, 10, 5]))
    assert time.monotonic() - began < 20
    assert within(rows).all()
    assert len({tuple(row) for row in rows.tolist()}) == len(rows)
    assert len(rows) >= 6 if name in SLOW else len(rows) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_restarted_from_stored_batches_it_goes_on_as_if_uninterrupted(name):
    for space in (MIDDLE,) if name in {*SLOW, "frontier"} else (MIDDLE, HUGE):
        within = below(space, 0.2)
        batches = [2, 2, 2] if name in SLOW else [10, 3, 1, 6, 5]
        straight = run(make(name, space, within), space, name, batches)
        first = run(make(name, space, within), space, name, batches[:2])
        again = make(name, space, within)
        again.replay(first)
        rest = run(again, space, name, batches[2:])
        assert rows_of([*first, *rest]).tolist() == rows_of(straight).tolist()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "frontier"])
def test_bounds_that_leave_nothing_finish_it_with_the_reason(name):
    within = Within(SMALL, lambda rows: np.ones(len(rows)), bounds="sum <= -1")
    made = make(name, SMALL, within)
    assert len(made.ask(3)) == 0
    assert made.finished == "all 64 candidates are out of bounds by their costs alone (sum <= -1)"


def test_local_certifies_that_no_move_within_the_bounds_improves():
    within = below(MIDDLE, 0.3)
    made = make("local", MIDDLE, within)
    rows = rows_of(run(made, MIDDLE, "local", [64] * 100))
    assert made.finished is not None
    assert made.finished.endswith("improves any point of the front (sum <= 3)")
    values = results(MIDDLE, rows, "local")
    front = rows[
        ~((values[:, None] <= values).all(axis=2) & (values[:, None] < values).any(axis=2)).any(axis=1)
    ]
    near = np.concatenate([within.neighbours(row) for row in front])
    proposed = {tuple(row) for row in rows.tolist()}
    assert all(tuple(row) in proposed for row in near[within(near)].tolist())


def test_random_is_uniform_over_what_is_within_bounds():
    within = below(SMALL, 0.6, most_listed=0)  # as in a space too large to be listed
    firsts = [int(SMALL.positions(make("random", SMALL, within, seed).ask(1))[0]) for seed in range(600)]
    allowed = [p for p in range(SMALL.size) if within(SMALL.at([p]))[0]]
    counts = np.bincount(firsts, minlength=SMALL.size)
    assert counts.sum() == counts[allowed].sum()
    expected = 600 / len(allowed)
    assert ((counts[allowed] - expected) ** 2 / expected).sum() < 2 * len(allowed)  # chi squared
