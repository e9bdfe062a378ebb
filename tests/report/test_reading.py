"""How far reading is: a line on a terminal after a second, nothing elsewhere, counts that are true."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from helpers import searches
from widthwise.report.reading import AFTER, ReadingProgress, reading_line
from widthwise.study.importance import importance
from widthwise.study.run_folder import load_run
from widthwise.study.runs import export_trials


def _shown(console: Console | None, *, since: float) -> ReadingProgress:
    with ReadingProgress(console) as progress:
        progress._since -= since
        progress._begun -= since
        progress(250_000, 1_000_000)
        progress.step("writing")
    return progress


@pytest.mark.parametrize(
    ("terminal", "since", "written"), [(True, 2 * AFTER, True), (True, 0.0, False), (False, 2 * AFTER, False)]
)
def test_a_line_moves_on_a_terminal_after_a_second(terminal: bool, since: float, written: bool) -> None:
    stream = io.StringIO()
    _shown(Console(file=stream, force_terminal=terminal, width=100), since=since)
    assert ("reading trials 250,000/1,000,000 · 1" in stream.getvalue()) == written
    assert ("writing · 0.0 s" in stream.getvalue()) == written
    assert bool(stream.getvalue()) == written


def test_rate_and_time_left_follow_from_what_is_read() -> None:
    assert reading_line(250, 1_000, 2.5) == "reading trials 250/1,000 · 100 a second · 7.5 s left"
    assert reading_line(0, 0, 0.0) == "reading trials 0/0"


def test_what_is_told_ends_with_all_trials(tmp_path) -> None:
    run = tmp_path / "run"
    searches.search(run)
    told: list[tuple[int, int]] = []
    study = load_run(run, progress=lambda *counts: told.append(counts))
    everything = (study.summary.trials,) * 2
    assert told[-1] == everything
    for read in (
        lambda tell: importance(study, progress=tell),
        lambda tell: importance(study, metrics=["all"], progress=tell),
        *(
            lambda tell, kind=kind: export_trials(run, kind, io.BytesIO(), progress=tell)
            for kind in ("csv", "json", "parquet")
        ),
    ):
        told.clear()
        read(lambda *counts: told.append(counts))
        assert told[-1] == everything
