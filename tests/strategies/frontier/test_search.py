"""The project's own strategy: its parts against direct formulas, and what it finds where truth is known."""

from __future__ import annotations

import time

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.errors import UserError
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import Setting, strategy
from widthwise.strategies.frontier import Frontier
from widthwise.strategies.frontier.design import first_candidates
from widthwise.strategies.frontier.gain import improvement, nondominated, normal_nodes
from widthwise.strategies.frontier.pool import Pool

WIDTHS = (2, 3, 4, 6, 8)
TWO = {"accuracy": "maximize", "model_size": "minimize"}


class Landscape:
    """Layers of which some need their bits: quality falls steeply below it, and size is known."""

    def __init__(self, layers: int, choices=WIDTHS, seed: int = 0, noise: float = 0.0, objectives: int = 2):
        rng = np.random.default_rng(seed)
        self.space = Space(tuple(Decision(f"layer{i}", choices) for i in range(layers)))
        self.needs = rng.exponential(0.3, layers)
        self.elements = rng.integers(10, 200, layers)
        self.noise, self.objectives = noise, objectives

    def values(self, candidates: np.ndarray) -> np.ndarray:
        bits = np.array([int(str(c).removeprefix("int")) for c in self.space.decisions[0].choices])[
            candidates
        ]
        damage = (self.needs * 4.0 ** (2 - bits)).sum(axis=1)
        roughness = np.sin(candidates @ np.arange(1, candidates.shape[1] + 1) * 12.9898) * self.noise
        columns = [np.exp(-damage) + roughness, -(bits * self.elements).sum(axis=1) / 8]
        if self.objectives == 3:
            columns.append(-(bits**2 * self.elements[::-1]).sum(axis=1) / 100.0)
        return np.stack(columns, axis=1)

    def costs(self, candidates: np.ndarray) -> np.ndarray:
        values = self.values(candidates)
        values[:, 0] = np.nan
        return values

    def share(self, values: np.ndarray) -> float:
        truth = self.values(self.space.at(range(self.space.size)))
        worst = truth.min(axis=0) - 0.01 * np.ptp(truth, axis=0)
        return hypervolume(values, worst) / hypervolume(truth, worst)


def hypervolume(values: np.ndarray, reference: np.ndarray) -> float:
    finite = values[np.isfinite(values).all(axis=1)]
    return float(moocore.hypervolume(finite, ref=reference, maximise=True))


def search(made, values_of, trials: int, batch: int | None = None):
    """Candidates and values told, until so many trials or until nothing more is proposed."""
    rows, values = [], []
    while len(rows) < trials:
        asked = made.ask(min(batch or made.batch, trials - len(rows)))
        if not len(asked):
            break
        found = values_of(asked)
        made.tell(asked, found)
        rows += asked.tolist()
        values += found.tolist()
    return np.array(rows), np.array(values)


def frontier(space: Space, *, costs=None, seed: int = 0, objectives=TWO, **options) -> Frontier:
    return Frontier(Setting(space, objectives, seed, options, costs))


@pytest.mark.parametrize(("noise", "least"), [(0.0, 0.985), (0.02, 0.97)])
def test_it_has_nearly_the_true_front_after_60_of_15625(noise, least):
    shares = {"frontier": [], "random": []}
    for seed in range(3):
        landscape = Landscape(6, seed=seed, noise=noise)
        for name, found in shares.items():
            made = strategy(name, landscape.space, objectives=TWO, seed=seed, costs=landscape.costs)
            found.append(landscape.share(search(made, landscape.values, 60, batch=4)[1]))
    assert np.median(shares["frontier"]) > least
    assert np.median(shares["random"]) < np.median(shares["frontier"]) - 0.02


def test_choices_without_order_are_learnt_too():
    choices = tuple(f"int{bits}" for bits in (4, 8, 2, 6, 3))
    landscape = Landscape(5, choices=choices)
    assert not landscape.space.decisions[0].ordered
    made = frontier(landscape.space, costs=landscape.costs)
    assert landscape.share(search(made, landscape.values, 60)[1]) > 0.97


def test_three_objectives_two_of_them_exact():
    landscape = Landscape(4, objectives=3)
    objectives = {**TWO, "bops": "minimize"}
    made = frontier(landscape.space, costs=landscape.costs, objectives=objectives)
    assert landscape.share(search(made, landscape.values, 60)[1]) > 0.96


def test_without_costs_every_objective_is_modelled():
    landscape = Landscape(5)
    assert landscape.share(search(frontier(landscape.space), landscape.values, 60)[1]) > 0.95


def test_one_objective_is_climbed():
    landscape = Landscape(6, noise=0.02)

    def first(rows):
        return landscape.values(rows)[:, :1]

    made = frontier(landscape.space, objectives={"accuracy": "maximize"})
    found = search(made, first, 60)[1].max()
    truth = first(landscape.space.at(range(landscape.space.size)))[:, 0]
    assert (truth > found).mean() < 0.01


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_it_ends_with_the_whole_front_and_says_why(batch):
    landscape = Landscape(3)
    made = frontier(landscape.space, costs=landscape.costs)
    rows, values = search(made, landscape.values, 1000, batch)
    assert landscape.share(values) > 0.999
    assert len(np.unique(rows, axis=0)) == len(rows) < landscape.space.size
    assert made.finished == f"no gain expected after {len(rows)} of 125 candidates"
    assert made.ask(3).shape == (0, 3)


def test_with_tolerance_zero_it_exhausts_a_space_and_says_so():
    landscape = Landscape(2)
    made = frontier(landscape.space, costs=landscape.costs, tolerance=0.0)
    rows, _ = search(made, landscape.values, 1000)
    assert len(np.unique(rows, axis=0)) == len(rows) == 25
    assert made.finished == "all 25 candidates proposed"


def test_new_results_from_elsewhere_open_a_finished_search():
    landscape = Landscape(3)
    made = frontier(landscape.space, costs=landscape.costs)
    rows, _ = search(made, landscape.values, 1000)
    left = np.array([row for row in landscape.space.at(range(125)).tolist() if row not in rows.tolist()])
    made.tell(left[:1], np.array([[0.0, 0.0]]))
    assert made.finished is None


def test_what_fails_is_soon_avoided():
    landscape = Landscape(5)

    def values(rows):
        found = landscape.values(rows)
        found[rows[:, 2] == 1] = np.nan
        return found

    made = frontier(landscape.space, costs=landscape.costs)
    rows, _ = search(made, values, 80)
    assert len(rows) > 60
    assert (rows[40:, 2] == 1).mean() < 0.1  # a fifth of the space


def test_where_all_fails_it_goes_on_without_repeats():
    landscape = Landscape(4)
    rows, _ = search(frontier(landscape.space), lambda rows: np.full((len(rows), 2), np.nan), 60)
    assert len(np.unique(rows, axis=0)) == 60


def test_infinite_results_count_as_failures():
    landscape = Landscape(4)

    def values(rows):
        found = landscape.values(rows)
        found[rows.sum(axis=1) < 4, 0] = -np.inf
        return found

    rows, found = search(frontier(landscape.space, costs=landscape.costs), values, 40)
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert np.isfinite(found).all(axis=1).sum() > 25


def test_ties_and_constant_objectives_end_the_search():
    landscape = Landscape(4)

    def values(rows):
        return np.stack([np.full(len(rows), 0.5), landscape.values(rows)[:, 1]], axis=1)

    made = frontier(landscape.space, costs=landscape.costs)
    rows, _ = search(made, values, 200)
    assert len(rows) < 30
    assert "no gain expected" in made.finished
    assert rows.tolist().count([0, 0, 0, 0]) == 1  # the cheapest, which is best


@pytest.mark.parametrize("costs", [True, False])
def test_told_again_it_goes_on_as_if_uninterrupted(costs):
    landscape = Landscape(5, noise=0.05)

    def fresh():
        return frontier(landscape.space, costs=landscape.costs if costs else None, seed=3)

    straight, batches = fresh(), []
    for n in (7, 1, 4, 20, 3, 8, 8, 5):
        rows = straight.ask(n)
        batches.append((rows, landscape.values(rows)))
        straight.tell(*batches[-1])
    for kept in (2, 5, 7):
        again = fresh()
        again.replay(batches[:kept])
        for rows, values in batches[kept:]:
            assert np.array_equal(again.ask(len(rows)), rows)
            again.tell(rows, values)


def test_another_seed_proposes_something_else():
    landscape = Landscape(6)
    first, second = (
        search(frontier(landscape.space, costs=landscape.costs, seed=seed), landscape.values, 30)[0]
        for seed in (1, 2)
    )
    assert not np.array_equal(first, second)


def test_asked_again_before_it_is_told_it_proposes_others():
    landscape = Landscape(5)
    made = frontier(landscape.space, costs=landscape.costs)
    search(made, landscape.values, 12)
    rows = np.concatenate([made.ask(4) for _ in range(5)])
    assert len(np.unique(rows, axis=0)) == len(rows) == 20


def test_a_space_of_10_to_the_30_gets_better_than_random_and_quickly():
    landscape = Landscape(43)
    assert landscape.space.size > 10**30
    started = time.perf_counter()
    rows, values = search(frontier(landscape.space, costs=landscape.costs, batch=8), landscape.values, 90)
    assert time.perf_counter() - started < 60
    assert len(np.unique(rows, axis=0)) == 90
    other = landscape.values(landscape.space.sample(3000, np.random.default_rng(0)))
    worst = np.minimum(values.min(axis=0), other.min(axis=0))
    assert hypervolume(values, worst) > 1.1 * hypervolume(other, worst)


def test_unknown_options_are_refused_with_those_it_takes():
    with pytest.raises(UserError, match=r"no option of frontier named 'tolerence'; did you mean tolerance\?"):
        frontier(Landscape(2).space, tolerence=1)


def test_the_first_candidates_change_two_decisions_of_the_dearest():
    landscape = Landscape(4)
    rows = first_candidates(landscape.space, landscape.costs, np.random.default_rng(0), most=24)
    assert rows[0].tolist() == [4, 4, 4, 4]
    assert (rows[1:3] == 0).sum(axis=1).tolist() == [2, 2]
    assert (rows[1:3] == 0).sum(axis=0).tolist() == [1, 1, 1, 1]
    assert rows[3:].tolist() == [[0, 0, 0, 0], [2, 2, 2, 2]]


def test_many_decisions_are_changed_in_groups():
    rows = first_candidates(Landscape(50).space, None, np.random.default_rng(0), most=10)
    assert len(rows) == 13
    assert (rows[1:11] == 0).sum(axis=0).tolist() == [1] * 50


@pytest.mark.parametrize(("objectives", "within"), [(2, 1e-9), (3, 1e-9), (4, 0.25)])
def test_improvement_is_the_hypervolume_added(objectives, within):
    rng = np.random.default_rng(objectives)
    for _ in range(20):
        values = rng.random((rng.integers(1, 12), objectives))
        points = rng.random((30, objectives)) * 1.2
        before = hypervolume(values, np.zeros(objectives))
        added = [hypervolume(np.vstack([values, p]), np.zeros(objectives)) - before for p in points]
        front = nondominated(values)
        found = improvement(front, points)
        assert found == pytest.approx(added, abs=within * max(added))
        at_nodes = np.repeat(points[:, None], 4, axis=1)
        at_nodes[:, :, 1] *= [0.5, 0.9, 1.0, 1.1]
        assert improvement(front, at_nodes)[:, 2] == pytest.approx(found)
        assert improvement(front, at_nodes)[:, 0] == pytest.approx(improvement(front, at_nodes[:, 0]))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8), st.data())
def test_improvement_with_ties_and_points_on_the_axes(values, data):
    front = nondominated(np.array(values, dtype=float))
    point = np.array(data.draw(st.tuples(st.integers(-1, 5), st.integers(-1, 5))), dtype=float)
    both = hypervolume(np.vstack([front, np.maximum(point, 0)]), np.zeros(2))
    assert improvement(front, point) == pytest.approx(both - hypervolume(front, np.zeros(2)))


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_nodes_give_the_moments_of_independent_normals(columns):
    points, weights = normal_nodes(columns)
    within = 1e-9 if columns == 1 else 0.2
    assert weights @ points == pytest.approx(np.zeros(columns), abs=within)
    assert (points * weights[:, None]).T @ points == pytest.approx(np.eye(columns), abs=within)


@pytest.mark.parametrize("size", [16, 400])
def test_a_pool_holds_unseen_candidates_once(size):
    landscape, rng = Landscape(4), np.random.default_rng(0)
    taken = set(range(0, 625, 2))
    pool = Pool(landscape.space, taken, size)
    parents = landscape.space.at([0, 2, 312])
    for rows in (pool.start(parents, rng), pool.neighbours(parents, rng, 64)):
        positions = landscape.space.positions(rows)
        assert len(set(positions)) == len(positions) > 0
        assert not taken & set(positions)
