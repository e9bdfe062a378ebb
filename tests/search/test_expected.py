"""What a strategy expected of trials: by number, the same whether resumed or not, beside what came out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from helpers.searches import SPACE, Evaluator, make_record
from widthwise.core.errors import UserError
from widthwise.report.page.study import page_of
from widthwise.report.shown.view import study_view
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.search.proposing import proposer
from widthwise.study.expected import Expectations, read_expected
from widthwise.study.run_files import EXPECTED
from widthwise.study.run_folder import resume_run, start_run
from widthwise.study.study import Study


def _searched(folder: Path, *trials: int) -> Study:
    """By frontier, interrupted after each of the numbers of trials but the last."""
    record = make_record(strategy="frontier")
    for number, most in enumerate(trials):
        with resume_run(folder) if number else start_run(folder, record) as run:
            judge = Evaluator()
            made = proposer("frontier", SPACE, record.settings.aim, judge_of(judge), seed=0, options={})
            expectations = Expectations(folder, tuple(record.settings.aim.directions))
            study = run_search(made, judge, run.writer, limits=Limits(trials=most), expected=expectations.add)
            expectations.write()
    return study


def judge_of(judge: Evaluator):
    from widthwise.evaluators.called import evaluator_of

    return evaluator_of(judge, ("accuracy", "model_size"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "sample"
    _searched(folder, 50)
    return folder


def test_of_what_a_model_proposed_there_is_what_it_expected(folder: Path) -> None:
    kept = read_expected(folder)
    assert kept.objectives == ("accuracy", "model_size")
    assert max(kept.values) == 49
    assert min(kept.values) > 0, "the first candidates come without a model"
    block = Study.load(folder).trials.arrays()
    expected = np.array([kept.values[n][0] for n in sorted(kept.values)])
    assert all(math.isnan(kept.values[n][1]) for n in kept.values), "the size is known, not expected"
    measured = block.metrics[sorted(kept.values), 0]
    assert np.corrcoef(expected, measured)[0, 1] > 0.8


def test_a_resumed_search_keeps_the_same(folder: Path, tmp_path: Path) -> None:
    _searched(tmp_path / "sample", 42, 50)  # 42: the end of a batch
    kept, whole = read_expected(tmp_path / "sample"), read_expected(folder)
    assert kept.values.keys() == whole.values.keys()
    for number, values in whole.values.items():
        assert kept.values[number] == pytest.approx(values, rel=1e-6, nan_ok=True)


def test_the_page_has_expected_beside_measured_in_the_metrics_own_units(folder: Path) -> None:
    study = Study.load(folder)
    view = study_view(study)
    (one,) = view.expected
    assert one.name == "accuracy"
    assert one.measured == tuple(study.trials[number].metrics["accuracy"] for number in one.numbers)
    off = np.abs(np.array(one.expected) - np.array(one.measured))
    assert (
        f"{len(off)} trials before they were judged: half of them lie within {np.median(off):.3f}"
        in one.words
    )
    page = page_of(view)
    assert 'id="expected-0"' in page
    assert one.words in page


def test_values_are_told_unscaled_and_unsigned(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    study = _searched(folder, 20)
    values = study.aim.values({name: np.array([0.5, 100.0])[[i]] for i, name in enumerate(study.aim.names)})
    content = {"objectives": list(study.aim.names), "values": {"3": values[0].tolist()}}
    (folder / EXPECTED).write_text(json.dumps(content))
    found = {one.name: one for one in study_view(Study.load(folder)).expected}
    assert found["accuracy"].expected == (0.5,)
    assert found["model_size"].expected == pytest.approx((100.0,))
    assert found["model_size"].words == ""


def test_a_strategy_without_a_model_leaves_none(tmp_path: Path) -> None:
    record = make_record()
    with start_run(tmp_path / "sample", record) as run:
        made = proposer("random", SPACE, record.settings.aim, judge_of(Evaluator()), seed=0, options={})
        expectations = Expectations(run.path, tuple(record.settings.aim.directions))
        run_search(made, Evaluator(), run.writer, limits=Limits(trials=20), expected=expectations.add)
        expectations.write()
    assert not (tmp_path / "sample" / EXPECTED).exists()
    view = study_view(Study.load(tmp_path / "sample"))
    assert view.expected == ()
    assert "expected-" not in page_of(view).split("<script")[0]


def test_what_cannot_be_written_ends_no_search(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expectations = Expectations(tmp_path, ("accuracy",))
    expectations.add(np.array([3]), np.array([[0.5]]))
    (tmp_path / EXPECTED).mkdir()
    expectations.write()
    assert EXPECTED in caplog.text


@pytest.mark.parametrize("content", ["{", "[]", '{"objectives": ["a"], "values": {"0": [1, 2]}}'])
def test_a_broken_file_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / EXPECTED).write_text(content)
    with pytest.raises(UserError, match="is broken; delete it"):
        read_expected(tmp_path)
