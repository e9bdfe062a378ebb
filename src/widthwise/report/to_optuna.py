"""A study as Optuna keeps one, for its dashboard and for whatever else reads its databases."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.toml import shown_choice

if TYPE_CHECKING:
    import optuna

    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

MADE = "widthwise"  # attribute of the study that says where it is from
CONSTRAINTS = "constraints"  # where Optuna's samplers keep how far a trial is out of bounds


def to_optuna(study: Study, storage: str | optuna.storages.BaseStorage) -> optuna.Study:
    """A study of the same name, trials, values and front in one of Optuna's storages; made anew.

    Values are those of the objectives, unscaled, or their scaled sum. Trials that failed have no values;
    bounds are Optuna's constraints. Raises UserError where it can't be opened, and where it has a study of
    this name.
    """
    import optuna

    opened = _opened(storage)
    directions = list(study.aim.directions.values())
    try:
        made = optuna.create_study(storage=opened, study_name=study.name, directions=directions)
    except optuna.exceptions.DuplicatedStudyError as error:
        raise UserError(
            f"{_place(storage)}: has a study {study.name} already; name another database"
        ) from error
    if len(directions) > 1:
        with warnings.catch_warnings():  # that names of metrics are new
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            made.set_metric_names(list(study.aim.directions))
    made.set_user_attr(MADE, f"{study.record.settings.model} by {study.record.settings.strategy}")
    made.add_trials(_trials(study))
    return made


def _opened(storage: str | optuna.storages.BaseStorage) -> optuna.storages.BaseStorage:
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    if not isinstance(storage, str):
        return storage
    try:
        return optuna.storages.get_storage(storage)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise UserError(
            f"{_place(storage)}: can't be opened by Optuna: {why}; give a URL as sqlite:///trials.db"
        ) from error


def _place(storage: object) -> str:
    """An address without what may be a password."""
    head, at, rest = str(storage).rpartition("@")
    return f"{head.partition('://')[0]}://…@{rest}" if at else str(storage)


def _trials(study: Study) -> Iterator[optuna.trial.FrozenTrial]:
    import optuna

    record = study.record
    spread: dict[str, optuna.distributions.BaseDistribution] = {
        decision.name: optuna.distributions.CategoricalDistribution(list(map(_choice, decision.choices)))
        for decision in record.space.decisions
    }
    for trial in study.trials:
        values = _values(study, trial)
        good = trial.state == "complete" and all(map(math.isfinite, values))
        away = [_excess(constraint, trial.metrics) for constraint in record.settings.constraints]
        pruned = trial.state == "pruned"
        states = optuna.trial.TrialState
        yield optuna.trial.create_trial(
            state=states.COMPLETE if good else states.PRUNED if pruned else states.FAIL,
            values=values if good else None,
            params={name: _choice(value) for name, value in trial.config.items()},
            distributions=spread,
            user_attrs={
                "number": trial.number,
                **{name: value if math.isfinite(value) else None for name, value in trial.metrics.items()},
                **({} if trial.reason is None else {"reason": trial.reason}),
            },
            system_attrs={CONSTRAINTS: away} if away and good else {},
        )


def _values(study: Study, trial: Trial) -> list[float]:
    if study.aim.summed:
        return [sum(trial.scaled_metrics.values())]
    return [  # a scale below 0 turns the direction round
        trial.metrics[objective.name] if objective.scale > 0 else trial.scaled_metrics[objective.name]
        for objective in study.aim.objectives
    ]


def _excess(constraint: Any, metrics: Mapping[str, float]) -> float:
    """How far out of the bound, above 0 where it is."""
    import numpy as np

    return float(constraint.excess(np.array([metrics[constraint.name]]))[0])


def _choice(value: Any) -> bool | int | float | str | None:
    """As Optuna takes it; lists as text."""
    return value if value is None or isinstance(value, bool | int | float | str) else shown_choice(value)
