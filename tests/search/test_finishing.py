"""What a search leaves when it is over, from Python as from the command: its page, the pick judged."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import widthwise as ww
from widthwise.study.run_files import DETAIL, LAYERS, PAGE, TESTED

OBJECTIVES = {"accuracy": {"direction": "maximize"}, "model_size": {"direction": "minimize"}}
CONFIG = {
    "dataset": "jsc",
    "search": {
        "search_space": {
            "name": "graph/quantize/mixed_precision_ptq",
            "setup": {"by": "type"},
            "seed": {"linear": {"config": {"name": ["integer"], "weight_width": [2, 4, 8]}}},
        },
        "strategy": {"name": "brute-force", "metrics": OBJECTIVES},
    },
}


def test_a_search_from_python_leaves_what_the_command_leaves(tmp_path: Path) -> None:
    study = ww.search("jsc-mlp", None, CONFIG, out=tmp_path / "run")
    page = (tmp_path / "run" / PAGE).read_text(encoding="utf-8")
    number = study.pick("knee").number
    assert f"Picked, the knee of the front: trial {number}" in page
    assert "test samples, which no candidate was chosen by" in page
    assert f"Tensors of trial {number}" in page
    assert {name for name in (TESTED, LAYERS, DETAIL) if (tmp_path / "run" / name).is_file()} == {
        TESTED,
        LAYERS,
        DETAIL,
    }


def test_the_page_can_be_left_out(tmp_path: Path) -> None:
    ww.search("jsc-mlp", None, CONFIG, out=tmp_path / "run", page=False)
    assert not any((tmp_path / "run" / name).exists() for name in (PAGE, TESTED, LAYERS, DETAIL))


def test_a_page_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def started(run: object, problem: object) -> None:
        (tmp_path / "run" / PAGE).mkdir()

    with caplog.at_level(logging.WARNING):
        study = ww.search("jsc-mlp", None, CONFIG, out=tmp_path / "run", started=started)
    assert "the page was not written" in caplog.text
    assert study.front
