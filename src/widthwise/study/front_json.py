"""Trials of a front as front.json has them: plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from widthwise.study.measured import Measured
from widthwise.study.sureness import KeptSureness
from widthwise.study.ties import Tie
from widthwise.study.trials import Trial


def front_as_json(
    ties: Sequence[Tie],
    sure: KeptSureness,
    close: Mapping[int, Sequence[int]] | None,
    measured: Mapping[int, Sequence[Measured]],
) -> list[dict[str, Any]]:
    """A row of the front each; close: by trial, the others that it can't be told from; None: not known."""
    rows = []
    for tie in ties:
        number = tie.trial.number
        row = trial_as_json(tie.trial) | {"alike": tie.alike}
        row |= {"standard_errors": sure.errors[number]} if number in sure.errors else {}
        row |= {} if close is None else {"within_noise_of": close.get(number, ())}
        row |= {"measured": [each.as_json() for each in measured[number]]} if number in measured else {}
        rows.append(row)
    return rows


def trial_as_json(trial: Trial) -> dict[str, Any]:
    """A trial of the front."""
    return {
        "number": trial.number,
        "software_metrics": dict(trial.software_metrics),
        "hardware_metrics": dict(trial.hardware_metrics),
        "scaled_metrics": dict(trial.scaled_metrics),
        "config": dict(trial.config),
    }
