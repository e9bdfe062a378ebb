"""Frontier where it learns from the margins of single samples: what it asks for, and that it can go on."""

from __future__ import annotations

import moocore
import numpy as np
import pytest

from widthwise.metrics.quality.follows import Follows
from widthwise.spaces.space import Decision, Space
from widthwise.strategies.frontier import Frontier
from widthwise.strategies.frontier.models import MOST_ROWS
from widthwise.strategies.protocol import Margins, Setting

WIDTHS = (2, 3, 4, 6, 8)
SAMPLES = 60


class Answers:
    """Layers whose bits each sample needs more or less; keeps what margins it was asked for."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.space = Space(tuple(Decision(f"layer{i}", WIDTHS) for i in range(5)))
        self.needs = rng.exponential(0.5, (5, SAMPLES))
        self.ease = rng.gamma(2.0, 0.1, SAMPLES)
        self.asked: list[list[list[int]]] = []

    def margins(self, candidates: np.ndarray) -> np.ndarray:
        self.asked.append(candidates.tolist())
        return self._margins(candidates)

    def _margins(self, candidates: np.ndarray) -> np.ndarray:
        harm = 4.0 ** (1 - np.array(WIDTHS))[candidates] @ self.needs
        return np.asarray(self.ease - harm, dtype=np.float32)

    def values(self, candidates: np.ndarray) -> np.ndarray:
        quality = (self._margins(candidates) > 0).mean(axis=1)
        return np.stack([quality, -np.array(WIDTHS)[candidates].sum(axis=1)], axis=1)

    def costs(self, candidates: np.ndarray) -> np.ndarray:
        values = self.values(candidates)
        values[:, 0] = np.nan
        return values

    def frontier(self) -> Frontier:
        objectives = {"accuracy": "maximize", "model_size": "minimize"}
        made = Frontier(Setting(self.space, objectives, seed=3, costs=self.costs))
        made.learn_margins(Margins(self.margins, [Follows(np.full(SAMPLES, 1 / SAMPLES)), None]))
        return made


def told(answers: Answers, made: Frontier, batches: int, *, failing: int | None = None):
    """The batches that were proposed and told; candidates fail whose first choice is `failing`."""
    found = []
    for _ in range(batches):
        rows = made.ask(4)
        values = answers.values(rows)
        values[rows[:, 0] == failing] = np.nan
        made.tell(rows, values)
        found.append((rows, values))
    return found


def test_margins_are_asked_only_of_what_was_evaluated_well():
    answers = Answers()
    batches = told(answers, answers.frontier(), 12, failing=1)
    rows, values = (np.concatenate(part) for part in zip(*batches, strict=True))
    failed = np.isnan(values).any(axis=1)
    assert failed.any()
    asked = [row for part in answers.asked for row in part]
    assert asked  # a network that fails or hangs, or that is out of bounds, isn't run for them
    assert all(row[0] != 1 for row in asked)
    assert all(row in rows[~failed].tolist() for row in asked)
    assert len({tuple(row) for row in asked}) == len(asked)


@pytest.mark.parametrize("known", ["some", "none"])
def test_answers_that_cannot_be_had_are_done_without(known):
    class Silent(Answers):
        def margins(self, candidates):
            found = super().margins(candidates)
            found[(candidates.sum(axis=1) % 3 == 0) | (known == "none")] = np.nan
            return found

    answers = Silent()
    made = answers.frontier()
    batches = told(answers, made, 12)
    assert made.finished is None
    values = np.concatenate([values for _, values in batches])
    assert len(values) > 40
    other = answers.values(answers.space.sample(400, np.random.default_rng(0)))
    worst = np.minimum(values.min(axis=0), other.min(axis=0))
    volumes = [moocore.hypervolume(some, ref=worst, maximise=True) for some in (values, other)]
    assert volumes[0] > volumes[1]


@pytest.mark.parametrize("failing", [None, 1])
@pytest.mark.parametrize("kept", [2, 9, 12])
def test_told_again_it_asks_for_the_same_margins_and_proposes_the_same(kept, failing):
    straight = Answers()
    batches = told(straight, straight.frontier(), 14, failing=failing)
    again = Answers()
    resumed = again.frontier()
    resumed.replay(batches[:kept])
    for rows, values in batches[kept:]:
        assert np.array_equal(resumed.ask(4), rows)
        resumed.tell(rows, values)
    assert again.asked == straight.asked  # in the same batches: they change the last digit


def test_of_many_trials_only_batches_with_the_best_are_asked_about():
    answers = Answers()
    made = answers.frontier()
    every = np.random.default_rng(0).permutation(answers.space.at(range(answers.space.size)))
    for batch in np.split(every[:2000], 500):
        made.tell(batch, answers.values(batch))
    made.ask(50)  # the first candidates, as planned
    assert len(made.ask(4)) > 0
    assert MOST_ROWS / 4 <= len(answers.asked) < 500 - 5
    assert all(len(batch) == 4 for batch in answers.asked)
