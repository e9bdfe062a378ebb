"""What fine-tuning made of trials, for the terminal and as a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from widthwise.report.tables import plain_table
from widthwise.report.terminal import shown_number

if TYPE_CHECKING:
    from rich.table import Table

    from widthwise.study.finetuned import Finetuned
    from widthwise.study.study import Study


def finetuned_table(study: Study, found: Iterable[Finetuned]) -> Table:
    """A row a trial: each objective before and after, and which of the two networks stands for it."""
    objectives = study.aim.objectives
    rows = []
    for tuned in found:
        figures = [
            f"{shown_number(o.metric, tuned.before[o.name])} → {shown_number(o.metric, tuned.after[o.name])}"
            if tuned.reason is None
            else shown_number(o.metric, tuned.before[o.name])
            for o in objectives
        ]
        stands = "failed" if tuned.reason is not None else "tuned" if tuned.better else "as searched"
        rows.append([str(tuned.number), *figures, stands])
    headers = ("trial", *(o.name for o in objectives), "network")
    return plain_table(headers, rows, right=headers[:-1])


def tuned_lines(study: Study) -> tuple[str, ...]:
    """How many trials were fine-tuned, and stand as such; nothing where none was."""
    found = study.finetuned
    if not found:
        return ()
    better = {number for number, tuned in found.items() if tuned.better}
    front = sum(trial.number in better for trial in study.front)
    return (
        f"{len(found):,} trial{'s' * (len(found) > 1)} fine-tuned: {len(better):,} got better and stand as "
        f"tuned, {front:,} of them on the front.",
    )
