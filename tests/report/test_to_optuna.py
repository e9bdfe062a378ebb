"""A study copied into Optuna's storage: its front there is ours."""

from __future__ import annotations

import optuna
import pytest

from helpers.studies import HOSTILE, made_run
from widthwise.core.errors import UserError
from widthwise.report.to_optuna import to_optuna

CASES = {
    "two objectives": {},
    "bounds": {"bounds": ["model_size <= 190", "accuracy >= 0.5"]},
    "three, some failed": {"metrics": ["accuracy", "model_size", "loss"], "objectives": 3, "fail": "some"},
    "one objective": {"metrics": ["accuracy", "model_size"], "objectives": 1},
    "joint, hostile": {"layers": [HOSTILE, "b"], "channels": True, "trials": 80, "name": HOSTILE},
    "empty": {"trials": 0},
}


@pytest.mark.parametrize("case", CASES)
def test_fronts_in_optuna_equal_ours(tmp_path, case):
    study = made_run(tmp_path / "made", sure=False, **CASES[case])
    found = to_optuna(study, optuna.storages.InMemoryStorage())
    assert len(found.trials) == study.summary.trials
    states = optuna.trial.TrialState
    assert len(found.get_trials(states=(states.FAIL,))) == study.summary.failed
    if len(study.aim.directions) > 1:
        assert {trial.user_attrs["number"] for trial in found.best_trials} == {t.number for t in study.front}
    else:
        assert found.best_value == study.front[0].metrics["accuracy"]
    for trial in found.get_trials(states=(states.COMPLETE,))[:20]:
        ours = study.trial(trial.user_attrs["number"])
        assert trial.params == dict(ours.config)
        assert trial.values == [ours.metrics[name] for name in study.aim.names]


def test_a_database_is_written_once(tmp_path):
    study = made_run(tmp_path / "made", trials=10, sure=False)
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    to_optuna(study, url)
    assert len(optuna.load_study(study_name="made", storage=url).trials) == 10
    with pytest.raises(UserError, match="has a study made already"):
        to_optuna(study, url)
    with pytest.raises(UserError, match="can't be opened by Optuna"):
        to_optuna(study, "nonsense://user:secret@nowhere")
    with pytest.raises(UserError) as raised:
        to_optuna(study, "nonsense://user:secret@nowhere")
    assert "secret" not in str(raised.value)
