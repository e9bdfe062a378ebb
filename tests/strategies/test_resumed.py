"""A search that is stopped and taken up, as often as one likes, proposes what an uninterrupted one does."""

from __future__ import annotations

import numpy as np
import pytest
from tests.strategies.test_strategies import NAMES, objectives_of, results, space_for

from widthwise.spaces.within import Within
from widthwise.strategies import strategy

TRIALS = {"gp": 14, "frontier": 45}
OPTIONS = [
    *((name, {}) for name in NAMES),
    ("tpe", {"multivariate": False, "n_startup_trials": 4}),
    ("tpe", {"multivariate": True, "group": True, "constant_liar": False}),
    ("nsga2", {"population_size": 6, "mutation_prob": 0.3}),
    ("nsga3", {"population_size": 6}),
    ("qmc", {"scramble": True}),
    ("qmc", {"qmc_type": "halton", "scramble": True}),
    ("gp", {"n_startup_trials": 4}),
    ("cmaes", {"popsize": 4, "n_startup_trials": 5}),
    ("cmaes", {"with_margin": True}),
    ("cmaes", {"use_separable_cma": True}),
    ("cmaes", {"lr_adapt": True}),
    ("frontier", {"sensitivity": 6, "pool": 64}),
    ("local", {"starts": 3}),
    ("grid", {"points": 3}),
]


def searched(name, options, seed, *, stops, bounded):
    """All proposals of a search of some trials in batches of any size; stopped after these batches."""
    space = space_for(name, 5, 4, 3, 6, 2, 4)
    count = objectives_of(name)
    within = Within(space, lambda rows: np.maximum(rows.sum(axis=1) - 10, 0), bounds="sum <= 10")
    sizes = np.random.default_rng(seed).integers(1, 9, size=200)
    told, asked = [], 0

    def taken_up():
        objectives = dict.fromkeys([f"metric {i}" for i in range(count)], "maximize")
        made = strategy(name, space, objectives=objectives, seed=seed, options=options)
        if bounded and hasattr(made, "keep_within"):
            made.keep_within(within)
        if told and made.learns:
            made.replay(told)
        elif told:
            made.ask(asked)  # an enumeration is asked again
        return made

    made = taken_up()
    for number, size in enumerate(sizes.tolist()):
        if number in stops:
            made = taken_up()
        candidates = made.ask(size)
        if not len(candidates) or asked >= TRIALS.get(name, 90):
            break
        values = results(space, candidates, count, failing=True)
        made.tell(candidates, values)
        told.append((candidates, values))
        asked += len(candidates)
    return [row for candidates, _ in told for row in candidates.tolist()]


@pytest.mark.parametrize(
    ("name", "options"),
    [pytest.param(*one, marks=[pytest.mark.slow] * (one[0] == "gp")) for one in OPTIONS],
    ids=str,
)
def test_stopped_anywhere_it_goes_on_as_if_uninterrupted(name, options):
    for seed, bounded in ((0, False), (1, True)):
        stops = set(np.random.default_rng(seed).choice(12, size=5, replace=False).tolist())
        straight = searched(name, options, seed, stops=(), bounded=bounded)
        assert len(straight) > (10 if name == "gp" else 30)
        assert searched(name, options, seed, stops=stops, bounded=bounded) == straight
