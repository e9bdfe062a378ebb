"""What functions give back is one screen at a prompt and escaped HTML in a notebook, and says the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import widthwise as ww
from helpers.configs import FORMATS
from helpers.studies import HOSTILE, made_run
from widthwise.core.screen import LINES
from widthwise.export.certify import Certificate
from widthwise.export.latency.latency import Latency
from widthwise.export.latency.turns import Measured as Turns
from widthwise.export.latency.turns import Quartiles
from widthwise.metrics.timing import Timing
from widthwise.study.explanation import Advice, Around, Change, Explanation
from widthwise.study.measured import Measured
from widthwise.training.history import Epoch, History


def html(found: Any) -> str:
    return str(found._repr_html_())


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> ww.Study:
    folder = tmp_path_factory.mktemp("runs") / "run"
    model = ww.load_model("jsc-tiny", seed=0)
    return ww.search(model, None, {**FORMATS, "model": None}, out=folder, page=False)


def test_an_export_says_what_was_written_and_how_it_was_checked(searched: ww.Study, tmp_path: Path) -> None:
    done = ww.export(searched, searched.front[0], "torch", tmp_path / "out")
    check = done.check
    for text in (repr(done), html(done)):
        assert f"trial {searched.front[0].number} as torch" in text
        assert f"{check.equal:,} of {check.samples:,} outputs equal" in text
    assert len(repr(done).splitlines()) <= LINES


def test_a_comparison_says_the_shares_of_each_strategy(searched: ww.Study) -> None:
    found = ww.compare(FORMATS, "random,tpe", seeds=2, budget=6)
    for text in (repr(found), html(found)):
        for outcome in found.outcomes:
            assert outcome.label in text
        assert "Share of the hypervolume" in text
    assert len(repr(found).splitlines()) <= LINES
    assert html(found).count("<table>") == 2


def test_an_explanation_says_its_pick_and_what_each_tensor_does(searched: ww.Study) -> None:
    told = searched.explain(pairs=4)
    for text in (repr(told), html(told)):
        assert f"trial {told.pick} (" in text
        assert "seq_blocks_2/weight" in text
    assert len(repr(told).splitlines()) <= LINES


def test_whatever_names_hold_is_escaped() -> None:
    change = Change(HOSTILE, HOSTILE, None, "fixed<4,2>", {"own\x1b": 0.9}, {"own\x1b": -0.0625})
    around = Around("float", {"own\x1b": 0.99}, (change,), (0,), {"own\x1b": ((-0.0625,),)})
    told = Explanation(
        HOSTILE, 3, "knee", "own\x1b", None, (around,), (), (), (), (), (), (), Advice(9, (), why_not="few")
    )
    assert "-0.062" in repr(told), "of a metric that is not known by name"
    refused = Certificate(3, refused=HOSTILE)
    for found in (told, refused):
        assert "<img" not in html(found)
        assert "<script" not in html(found)
        assert "\x1b" not in html(found) + repr(found)


def test_what_tools_and_clocks_measured_is_said_by_its_figures() -> None:
    measured = Measured("yosys", "Yosys 0.30", {"yosys_luts": 412.0}, ("a note",))
    one = Certificate(7, (measured,))
    quartiles = Quartiles(0.2, 0.25, 0.3)
    latency = Latency(Turns(5e-6, 2e-5, quartiles, Quartiles(0.99, 1, 1.01), 30), Timing(), "ONNX Runtime")
    for found, said in ((measured, "luts 412"), (one, "luts 412"), (one, "Trial 7"), (latency, "0.250")):
        assert said in repr(found)
        assert said in html(found)
    assert "20.0 us" in repr(latency)


def test_a_training_is_a_table_of_epochs() -> None:
    history = ww.fit(ww.load_model("jsc-tiny", seed=0), ww.load_data("jsc"), epochs=2)
    assert isinstance(history, History)
    assert html(history).count("<tr>") == 3
    assert "training loss" in html(history)
    assert isinstance(history.best, Epoch)


def test_studies_are_not_told_in_these_words(tmp_path: Path) -> None:
    from widthwise.report.results import told

    with pytest.raises(TypeError, match="Study: is told in no words"):
        told(made_run(tmp_path / "made"))
