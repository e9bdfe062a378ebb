"""Planned fronts against all candidates, and what is probed against what is told of all samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import widthwise as ww
from helpers.mixing import config, trained
from widthwise.metrics.goals.pareto import nondominated
from widthwise.metrics.quality.follows import Follows, figure
from widthwise.search.problem import load_problem
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import strategy
from widthwise.strategies.frontier.planned import MOST_KEPT, planned_front
from widthwise.strategies.frontier.probing import Probes, probed
from widthwise.strategies.protocol import Margins

TABLES = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4), min_size=1, max_size=4
)


@given(TABLES)
def test_the_planned_front_is_that_of_all_candidates(tables: list[list[tuple[int, int]]]) -> None:
    costs = [np.array([cost for cost, _ in table], dtype=float) for table in tables]
    damages = [np.array([damage for _, damage in table], dtype=float) for table in tables]
    space = Space(tuple(Decision(f"d{i}", tuple(range(len(table)))) for i, table in enumerate(tables)))
    rows = space.at(range(space.size))

    def sums(rows: np.ndarray) -> np.ndarray:
        each = [[costs[d][row], damages[d][row]] for d, row in enumerate(rows.T)]
        return np.sum(each, axis=0).T

    every = sums(rows)
    wanted = {tuple(point) for point in every[nondominated(-every)].tolist()}
    found = sums(planned_front(costs, damages))
    assert {tuple(point) for point in found.tolist()} == wanted
    assert (np.diff(found[:, 0]) > 0).all()


def test_long_fronts_are_thinned_evenly() -> None:
    rng = np.random.default_rng(0)
    costs = [np.arange(7) * size for size in rng.uniform(1, 50, 40)]
    damages = [scale * 4.0 ** -np.arange(7) for scale in rng.uniform(0, 1, 40)]
    rows = planned_front(costs, damages)
    assert 300 < len(rows) <= MOST_KEPT
    assert rows[0].sum() == 0
    assert rows[-1].sum() > 230


@pytest.fixture(scope="module")
def evaluator() -> ww.Evaluator:
    model, data = trained()
    graph = ww.Graph(model)
    seed = config("random")["search"]["search_space"]["seed"]
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    made = ww.Evaluator(graph, space, data, metrics=["accuracy", "loss", "model_size"])
    made.follows(["accuracy", "loss"])
    return made


def test_few_margins_are_some_of_all(evaluator: ww.Evaluator) -> None:
    space = Space(tuple(Decision(f"d{i}", tuple(range(7))) for i in range(9)))
    rows = space.sample(5, np.random.default_rng(0))
    values, columns = evaluator.few_margins(rows)
    whole = evaluator.margins(rows)
    assert values.shape[1] == len(columns) == len(np.unique(columns))
    assert 0.2 < len(columns) / whole.shape[1] < 0.5
    np.testing.assert_allclose(values, whole[:, columns], rtol=1e-5, atol=1e-5)


def test_a_part_of_samples_stands_for_all() -> None:
    shares = np.array([0.25, 0, 0.25, 0.25, 0.25])
    probes = Probes(np.zeros((1, 1), np.int64), np.ones((1, 3)), np.array([0, 1, 3]))
    counted, follows = probes.part_of(Follows(shares))
    assert counted.tolist() == [0, 2]
    assert follows.shares.sum() == 1
    assert figure(follows, np.array([[1.0, -1.0]])).tolist() == [0.5]


def test_single_changes_of_the_dearest_are_probed() -> None:
    space = Space(tuple(Decision(f"d{i}", tuple(range(2, 9))) for i in range(80)))

    def costs(rows: np.ndarray) -> np.ndarray:
        return np.stack([np.full(len(rows), np.nan), -rows.sum(axis=1)], axis=1)

    asked = []

    def few(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(rows)
        return rows[:, :3].astype(float), np.arange(3)

    found = probed(space, costs, few)
    assert found is not None
    (rows,) = asked
    assert (rows[0] == 6).all()
    assert ((rows[1:] != 6).sum(axis=1) == 1).all()
    assert len(rows) == 1 + 80 * 5  # of six cheaper choices five, with both ends
    assert set(rows[1:].min(axis=1)) >= {0, 5}
    assert probed(space, costs, lambda rows: (np.full((len(rows), 3), np.nan), np.arange(3))) is None


@pytest.mark.parametrize("sensitivity", ["singles", 0])
def test_it_proposes_as_one_that_was_stopped_and_taken_up(sensitivity: object) -> None:
    model, data = trained()
    settings = config("frontier")
    settings["search"]["strategy"]["options"] = {"sensitivity": sensitivity}
    problem = load_problem(ww.load_config(settings), model=model, data=data)

    def run(times: int, before: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
        made = problem.strategy()
        made.replay(before)
        told = list(before)
        for _ in range(times):
            rows = made.ask(7)
            told.append((rows, problem.aim.values(problem.evaluator(rows))))
            made.tell(*told[-1])
        return told

    straight = run(5, [])
    again = run(2, run(3, []))
    assert [rows.tolist() for rows, _ in again] == [rows.tolist() for rows, _ in straight]


def test_without_what_samples_tell_it_begins_as_with_a_number() -> None:
    space = Space(tuple(Decision(f"d{i}", (2, 4, 8)) for i in range(5)))
    named = {"quality": "maximize"}
    ours = strategy("frontier", space, objectives=named, options={"sensitivity": "singles"})
    other = strategy("frontier", space, objectives=named, options={"sensitivity": 24})
    assert ours.ask(12).tolist() == other.ask(12).tolist()
    with pytest.raises(ww.UserError, match="'all'; give a whole number or 'auto' or 'singles'"):
        strategy("frontier", space, objectives=named, options={"sensitivity": "all"})


@pytest.mark.parametrize(
    ("decisions", "sensitivity", "probes"), [(14, "auto", 1), (5, "auto", 0), (5, "singles", 1)]
)
def test_large_spaces_are_probed(decisions: int, sensitivity: str, probes: int) -> None:
    space = Space(tuple(Decision(f"d{i}", tuple(range(2, 9))) for i in range(decisions)))
    asked = []

    def of(rows: np.ndarray) -> np.ndarray:
        return (rows.mean(axis=1, keepdims=True) - np.linspace(0, 6, 80)).astype(np.float32)

    def few(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(len(rows))
        return of(rows)[:, ::4], np.arange(0, 80, 4)

    def costs(rows: np.ndarray) -> np.ndarray:
        return np.stack([np.full(len(rows), np.nan), -rows @ np.arange(1.0, decisions + 1)], axis=1)

    def values(rows: np.ndarray) -> np.ndarray:
        return np.column_stack([(of(rows) > 0).mean(axis=1), costs(rows)[:, 1]])

    named = {"quality": "maximize", "cost": "minimize"}
    made = strategy("frontier", space, objectives=named, options={"sensitivity": sensitivity}, costs=costs)
    made.learn_margins(Margins(of, [Follows(np.full(80, 1 / 80)), None], few))
    rows = made.ask(100)
    assert asked == [1 + 6 * decisions] * probes
    assert (len(rows) == 3) == bool(probes)
    made.tell(rows, values(rows))
    if probes:  # the dearest decisions go first: all of the same damage
        planned = made.ask(4)
        assert values(planned)[:, 0].max() > values(rows)[:, 0].min()
