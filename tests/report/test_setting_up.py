"""Long set-up and the search itself: how far they are, at what rate, how long they will take."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import pytest
from rich.console import Console

import widthwise as ww
from widthwise.core.steps import LOGGER, Step, listening, step
from widthwise.report import setting_up
from widthwise.report.progress import SearchProgress
from widthwise.report.setting_up import StepProgress
from widthwise.search.limits import Progress


def _at(trials: int, **more: object) -> Progress:
    told = {"trials": trials, "total": 100, "failed": 0, "stopped": 0, "cut": 0, "front": 1, "seconds": 10.0}
    return Progress(**{**told, "timeout": None, "rate": trials / 10, **more})


def _said(progress: Progress) -> str:
    out = io.StringIO()
    shown = SearchProgress(Console(file=out, width=200))
    shown._said -= 60  # a line is due
    shown(progress)
    return out.getvalue()


def test_a_search_says_how_long_it_will_take() -> None:
    assert "20/100 trials · 2 a second · 10.0 s · 40.0 s left" in _said(_at(20))
    assert "· 2 a second · 10.0/30 s · 20.0 s left" in _said(_at(20, timeout=30.0))
    assert "· 5.0 s each · 10.0 s · 8 min 10 s left · 1 failed · 2 stopped early" in _said(
        _at(2, failed=1, stopped=2)
    )
    assert "left" not in _said(_at(100))
    assert "left" not in _said(_at(20, total=None))


def test_steps_are_told_to_who_listens_and_to_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Step] = []
    with caplog.at_level(logging.DEBUG, logger=LOGGER.name):
        with listening(heard.append):
            step("counting", 3, 10)
        step("counting", 4, 10)
    assert heard == [Step("counting", 3, 10)]
    assert [record.name for record in caplog.records] == [LOGGER.name]  # the second, as its level was set
    assert not LOGGER.handlers


def test_a_step_has_its_rate_and_the_time_left() -> None:
    shown = StepProgress(None)
    assert (shown.line(), shown.told) == ("", False)
    shown(Step("calibrating", 0, 1024))
    shown._begun -= 4
    shown(Step("calibrating", 512, 1024))
    assert re.fullmatch(r"calibrating 512/1,024 · 4\.\d s · 12\d a second · [34]\.\d s left", shown.line()), (
        shown.line()
    )
    shown(Step("reading", 0, None))
    assert re.fullmatch(r"reading 0 · 0\.\d s", shown.line())


def test_in_a_file_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting_up, "AFTER", 0.0)
    out = io.StringIO()
    shown = StepProgress(Console(file=out, width=200))
    shown(Step("calibrating", 0, 10))
    assert out.getvalue() == ""
    shown._said -= setting_up.SECONDS_BETWEEN_LINES
    shown(Step("calibrating", 5, 10))
    shown(Step("calibrating", 6, 10))
    assert out.getvalue().count("calibrating") == 1
    shown.stop()
    shown._said -= setting_up.SECONDS_BETWEEN_LINES
    shown(Step("calibrating", 7, 10))
    assert out.getvalue().count("calibrating") == 1


def test_a_search_tells_of_what_its_set_up_does(tmp_path: Path) -> None:
    heard: list[Step] = []
    rule = {"name": ["integer"], "data_in_width": [8], "data_in_frac_width": ["auto"], "weight_width": [4, 8]}
    config = {
        "model": "jsc-mlp",
        "dataset": "jsc",
        "search": {
            "search_space": {
                "name": "graph/quantize/mixed_precision_ptq",
                "setup": {"by": "type"},
                "seed": {"linear": {"config": rule}},
            },
            "strategy": {"name": "brute-force", "metrics": {"accuracy": {"direction": "maximize"}}},
        },
    }
    with listening(heard.append):
        ww.search(None, None, config, out=tmp_path / "run", page=False)
    doing = [one.doing for one in heard]
    assert doing[:2] == ["reading the data", "capturing the network"]
    assert "calibrating formats, samples" in doing
    assert "calibrating" not in (tmp_path / "run" / "log.txt").read_text()
