"""A finished search whose front no single change improves, against every change of every point of it."""

from __future__ import annotations

import numpy as np
import pytest

from widthwise.metrics.goals.pareto import nondominated
from widthwise.metrics.quality.follows import Follows
from widthwise.spaces.space import Decision, Space
from widthwise.spaces.within import Within
from widthwise.strategies import Strategy, strategy
from widthwise.strategies.local import CERTIFICATE
from widthwise.strategies.opening import Opening
from widthwise.strategies.protocol import Margins

SPACE = Space(tuple(Decision(f"d{i}", (2, 3, 4, 6, 8)) for i in range(3)))
BOTH = {"quality": "maximize", "cost": "minimize"}
Told = list[tuple[np.ndarray, np.ndarray]]


def costs(rows: np.ndarray) -> np.ndarray:
    return np.stack([np.full(len(rows), np.nan), -rows @ np.arange(1.0, rows.shape[1] + 1)], axis=1)


def values(rows: np.ndarray) -> np.ndarray:
    """Quality in steps, so that many are equal, and with a roughness that no model expects."""
    rough = 0.7 * np.sin(rows @ np.array([12.9, 78.2, 37.7]))
    quality = np.floor(4 * (np.sqrt(rows).sum(axis=1) + rough)) / 4
    return np.column_stack([quality, costs(rows)[:, 1]])


def made(**options: object) -> Strategy:
    chosen = {"sensitivity": 4, "tolerance": 0.02, **options}
    return strategy("frontier", SPACE, objectives=BOTH, options=chosen, costs=costs)


def told_until_it_ends(one: Strategy, n: int = 8) -> Told:
    told: Told = []
    while len(rows := one.ask(n)):
        told.append((rows, values(rows)))
        one.tell(*told[-1])
    return told


def changes_left(told: Told, within: Within | None = None) -> int:
    """Of every candidate of the front, equal ones too: the single changes that were not evaluated."""
    rows, found = (np.concatenate(part) for part in zip(*told, strict=True))
    seen = set(map(tuple, rows.tolist()))
    near = {tuple(row) for one in rows[nondominated(found)] for row in SPACE.variants(one).tolist()}
    return len([row for row in near - seen if within is None or within(np.array([row]))[0]])


def test_no_single_change_of_a_certified_front_is_left() -> None:
    plain, certified = made(), made(certify=True)
    told = told_until_it_ends(plain)
    assert changes_left(told) > 0  # so it is not by chance
    assert CERTIFICATE not in str(plain.finished)
    told = told_until_it_ends(certified)
    rows = np.concatenate([part for part, _ in told])
    assert changes_left(told) == 0
    assert len(np.unique(rows, axis=0)) == len(rows) < SPACE.size
    assert certified.finished == f"no gain expected after {len(rows)} of 125 candidates; {CERTIFICATE}"


def test_within_bounds_it_says_of_which_candidates_that_is_true() -> None:
    within = Within(SPACE, lambda rows: np.maximum(rows.sum(axis=1) - 7.0, 0.0), bounds="sum <= 7")
    certified = made(certify=True)
    certified.keep_within(within)  # type: ignore[attr-defined]
    told = told_until_it_ends(certified)
    assert changes_left(told, within) == 0
    assert within(np.concatenate([rows for rows, _ in told])).all()
    assert str(certified.finished).endswith(f"{CERTIFICATE} (sum <= 7)")


def test_where_all_fail_nothing_is_certified() -> None:
    certified = made(certify=True)
    while len(rows := certified.ask(64)):
        certified.tell(rows, np.full((len(rows), 2), np.nan))
    assert CERTIFICATE not in str(certified.finished)


def test_taken_up_anywhere_it_certifies_as_the_uninterrupted_one() -> None:
    told = told_until_it_ends(made(certify=True))
    for kept in (2, len(told) - 2):
        again = made(certify=True)
        again.replay(told[:kept])
        rest = told_until_it_ends(again)
        assert [rows.tolist() for rows, _ in rest] == [rows.tolist() for rows, _ in told[kept:]]


@pytest.mark.parametrize("options", [{"certify": True}, {"sensitivity": "singles"}, {"sensitivity": 0}])
def test_with_each_option_no_uniform_scheme_lies_above_the_front(options: dict[str, object]) -> None:
    def margins(rows: np.ndarray) -> np.ndarray:
        return (values(rows)[:, :1] - np.linspace(0, 8, 80)).astype(np.float32)

    def few(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return margins(rows)[:, ::4], np.arange(0, 80, 4)

    one = made(**options)
    one.learn_margins(Margins(margins, [Follows(np.full(80, 1 / 80)), None], few))  # type: ignore[attr-defined]
    uniform = np.repeat(np.arange(5)[:, None], 3, axis=1)
    begun = Opening(one, SPACE, uniform)
    told: Told = []
    for n in (3, 2, 4, 4):
        told.append(((rows := begun.ask(n)), values(rows)))
        begun.tell(*told[-1])
    rows, found = (np.concatenate(part) for part in zip(*told, strict=True))
    assert rows[:5].tolist() == uniform.tolist()
    front = found[nondominated(found)]
    for row in values(uniform):
        assert (front >= row).all(axis=1).any()
