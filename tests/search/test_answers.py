"""What each sample counts in an objective, and who is told of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_recall

from helpers.metrics import objective
from widthwise.evaluators.protocol import Results
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.quality.follows import Follows
from widthwise.metrics.quality.margins import ClassAnswers
from widthwise.search.answers import teach_answers
from widthwise.strategies.protocol import Margins

LABELS = np.array([0, 0, 0, 1, 3, 3])


def shares_of(metric: str) -> np.ndarray:
    return ClassAnswers().shares(metric, torch.from_numpy(LABELS))


class Judge:
    """Knows margins."""

    def __call__(self, candidates: np.ndarray) -> Results:
        raise NotImplementedError

    def margins(self, candidates: np.ndarray) -> np.ndarray:
        return np.ones((len(candidates), len(LABELS)), dtype=np.float32)

    def follows(self, metrics: Sequence[str]) -> list[Follows | None]:
        known = ClassAnswers().metrics
        return [Follows(shares_of(metric)) if metric in known else None for metric in metrics]


class Pupil:
    """Keeps what it is taught."""

    batch, finished, learned = 1, None, None

    def ask(self, n: int) -> np.ndarray:
        raise NotImplementedError

    tell = ask

    def learn_margins(self, margins: Margins) -> None:
        self.learned = margins


@pytest.mark.parametrize("predicted", [[0, 0, 1, 1, 3, 3], [1, 0, 0, 0, 3, 0], [3, 3, 3, 3, 0, 0]])
def test_shares_of_right_answers_add_up_to_the_metric(predicted):
    right = np.array(predicted) == LABELS
    given = torch.tensor(predicted), torch.tensor(LABELS)
    assert right @ shares_of("accuracy") == pytest.approx(
        float(multiclass_accuracy(*given, 4, average="micro"))
    )
    macro = float(multiclass_recall(*given, 4, average="none")[[0, 1, 3]].mean())
    assert right @ shares_of("recall") == pytest.approx(macro)
    assert right @ shares_of("accuracy_macro") == pytest.approx(macro)


def test_objectives_are_told_apart_with_sign_and_scale():
    objectives = objective("accuracy", "maximize", 2.0), objective("loss", "minimize")
    pupil = Pupil()
    teach_answers(pupil, Aim(objectives), Judge())
    first, second = pupil.learned.follows
    assert first.factor * first.shares == pytest.approx(np.full(6, 2 / 6))
    assert second is None
    assert pupil.learned.of(np.zeros((2, 3))).shape == (2, 6)
    upside_down = Pupil()
    teach_answers(upside_down, Aim((objective("recall", "minimize"),)), Judge())
    (follows,) = upside_down.learned.follows
    assert follows.factor * follows.shares.sum() == pytest.approx(-1)


@pytest.mark.parametrize(
    ("aim", "judge"),
    [
        (Aim((objective("loss", "minimize"), objective("model_size", "minimize"))), Judge()),
        (Aim((objective("accuracy", "maximize"),), summed=True, direction="maximize"), Judge()),
        (Aim((objective("accuracy", "maximize"),)), lambda candidates: Results({})),
    ],
    ids=["none counts answers", "summed", "no margins"],
)
def test_nothing_is_taught_where_it_is_no_use(aim, judge):
    pupil = Pupil()
    teach_answers(pupil, aim, judge)
    assert pupil.learned is None
