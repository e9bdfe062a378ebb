"""Picking a trial by a rule: from the front, or from all stored trials within the bounds of the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.goals.constraints import feasible
from widthwise.metrics.goals.picking import metrics_in, pick
from widthwise.study.measured import Measured, measured_columns, metrics_of_tools
from widthwise.study.store import StudyRecord
from widthwise.study.store.records import Block
from widthwise.study.ties import Tie, best_first
from widthwise.study.trials import Trial, Trials


def picked(
    rule: str,
    record: StudyRecord,
    front: Sequence[Tie],
    trials: Trials,
    measured: Mapping[int, Sequence[Measured]],
) -> Trial:
    """The trial that a rule chooses, as `Study.pick` has it; measured: what tools found, by trial.

    Raises UserError for a rule that can't be read or met, and where the front is empty.
    """
    if not front:
        within = " within the bounds" if record.settings.constraints else ""
        raise UserError(f"pick: there is nothing to pick from; no trial succeeded{within}")
    aim = record.settings.aim
    tools = metrics_of_tools(measured, rule, taken=record.columns)
    others = [m for m in metrics_in(rule, [*record.metrics, *tools]) if m.name not in aim.names]
    metrics = [*(objective.metric for objective in aim.objectives), *others]
    directions = [*(o.direction for o in aim.objectives), *(metric.direction for metric in others)]
    if not others and not aim.summed:
        rows = [tie.trial for tie in front]
        values = [[trial.metrics[metric.name] for metric in metrics] for trial in rows]
        return rows[pick(rule, metrics, directions, values, numbers=[trial.number for trial in rows])]
    block = trials.arrays()
    columns = _columns(record, block, measured)
    table = _allowed(record, block, columns, metrics)
    names = [metric.name for metric in metrics]
    row = pick(rule, metrics, directions, table, numbers=block.numbers.tolist())
    equal = np.flatnonzero((table == table[row]).all(axis=1))
    rest = [metric for metric in record.metrics if metric.name not in names]
    row = int(equal[best_first(rest, {m.name: columns[m.name][equal] for m in rest}, len(equal))[0]])
    return trials[int(block.numbers[row])]


def _columns(
    record: StudyRecord, block: Block, measured: Mapping[int, Sequence[Measured]]
) -> dict[str, FloatArray]:
    """All figures [K] of stored trials by name, those that tools found after the search's own."""
    columns = dict(zip(record.columns, block.metrics.T, strict=True))
    found = measured_columns(measured, block.numbers.tolist(), taken=columns)
    return columns | {name: np.array(column) for name, column in found.items()}


def _allowed(
    record: StudyRecord, block: Block, columns: Mapping[str, FloatArray], metrics: Sequence[Metric]
) -> FloatArray:
    """The metrics [K, metrics] of stored trials; NaN for those that failed, or are without the bounds."""
    table = np.stack([columns[metric.name] for metric in metrics], axis=1)
    table[np.isin(block.numbers, list(block.reasons))] = np.nan
    if constraints := record.settings.constraints:
        table[~feasible(constraints, columns)] = np.nan
    return table
