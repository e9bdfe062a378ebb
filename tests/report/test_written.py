"""A study written for others, and shown in notebooks: tables, pictures, figures, one screen of text."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import widthwise as ww
from helpers.studies import HOSTILE, made_run
from widthwise.core.screen import LINES
from widthwise.evaluators.protocol import Results
from widthwise.report.written import as_bytes
from widthwise.study.explanation import Advice, Against, Around, Change, Explanation, Meeting, Mixing
from widthwise.study.run_folder import load_run


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return made_run(tmp_path_factory.mktemp("runs") / "made")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs") / "made"
    return made_run(place, layers=[HOSTILE + "$x$|", "b"], name=HOSTILE)


def test_csv_has_every_row_of_the_front_with_its_figures_in_full(study):
    rows = list(csv.DictReader(io.StringIO(as_bytes(study, None, ["csv"])["csv"].decode())))
    trials = {str(tie.trial.number): tie.trial for tie in study.ties}
    assert {row["trial"] for row in rows[:-1]} == set(trials)
    for row in rows[:-1]:
        trial = trials[row["trial"]]
        assert {name: float(row[name]) for name in trial.metrics} == trial.metrics
        assert float(row["accuracy_error"]) == 0.01
        assert {name: int(row[name]) for name in trial.config} == trial.config
    assert rows[-1]["trial"] == "float"


def test_markdown_is_a_table_of_as_many_cells_a_row_whatever_names_hold(hostile):
    lines = as_bytes(hostile, None, ["md"])["md"].decode().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert not re.search(r"(?<!\\)<", "".join(lines))


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_pictures_are_the_same_each_time(hostile, kind, start):
    first = as_bytes(hostile, None, [kind])[kind]
    assert first.startswith(start)
    assert first == as_bytes(hostile, None, [kind])[kind]


def test_figures_have_the_front_and_take_any_two_figures(study):
    front = study.plot_front()
    drawn = {trace.name: trace for trace in front.data}
    assert sorted(drawn["front"].y) == sorted(tie.trial.metrics["accuracy"] for tie in study.ties)
    assert front.layout.xaxis.title.text == "model_size (bytes)"
    assert study.plot_front(x="loss", y="model_size").layout.yaxis.title.text == "model_size (bytes)"
    with pytest.raises(ww.UserError, match="did you mean loss"):
        study.plot_front(x="los")
    assert len(study.plot_layers().data[0].z) == len(study.record.space.decisions)
    assert study.plot_history().data[0].y[-1] == 1.0


def test_things_are_one_screen_of_text_and_escaped_html(hostile, study):
    graph = ww.Graph("jsc-three-linear")
    results = Results({"accuracy": np.linspace(0, 1, 100)})
    for thing in (study.front[0], study.record.space, graph, results, hostile.front[0], hostile.record.space):
        assert len(repr(thing).splitlines()) <= LINES
        assert "<b>" not in thing._repr_html_().replace("<p><b>", "")
    assert str(study.front[0].number) in repr(study.front[0])
    assert len(repr(study).splitlines()) <= 2 * LINES
    assert "<img" not in hostile._repr_html_()
    assert study.name in repr(study)


def test_a_page_is_written_from_python(study, tmp_path):
    written = study.report(tmp_path / "page.html", pick="best accuracy")
    assert f"trial {study.pick('best accuracy').number}" in written.read_text(encoding="utf-8")


def test_what_explain_found_is_on_the_page(tmp_path):
    study = made_run(tmp_path / "made")
    change = Change("first/weight", "first", None, "fixed<4,2>", {"accuracy": 0.9}, {"accuracy": -0.0625})
    around = Around("float", {"accuracy": 0.99}, (change,), (0,), {"accuracy": ((-0.0625,),)})
    met = Meeting("integer 4", 150.0, 0.5, study.front[0].number, 0.75, 0.25, 0.03)
    mixing = Mixing(
        "accuracy", "model_size", "test", 40, 1.0, (Against("uniform", (met,), 0.25, 0.03, "better", 0.5),)
    )
    advice = Advice(9, (), config="# the next search")
    Explanation(
        "made", 3, "knee", "accuracy", "model_size", (around,), (), (), (), (), (), (mixing,), advice
    ).write(study.folder)
    written = as_bytes(load_run(study.folder), None, ["html", "md"])
    page = written["html"].decode()
    assert "Beside each uniform scheme stands the best" not in page  # what the trials alone tell
    assert "never appears on the front" not in page
    told = written["md"].decode()
    assert told.count("Did mixing help?") == 1
    assert "the front is better at equal model" in told
    for said in (
        "first/weight",
        "fixed&lt;4,2&gt;",
        "-0.062",
        "integer 4",
        "+0.250 ± 0.030",
        "# the next search",
    ):
        assert said in page
    held = re.search(r'id="study">(.*?)</script>', page)
    assert held is not None
    assert json.loads(held[1])["pairs"] == [
        {"base": "float", "names": ["first/weight"], "values": [[-0.0625]]}
    ]


@pytest.mark.slow
def test_the_command_refuses_before_it_reads_and_writes_what_is_asked(study, tmp_path):
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "widthwise", "report", str(study.folder), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    for wrong, said in (
        (["--format", "gif"], "allowed: csv, md, pdf, png, svg"),
        (["--format", "png"], "give a file with --out"),
        (["--out", "x.png"], "goes with --format"),
        (["--html", "x.htm"], "give it that ending"),
    ):
        ran = run(*wrong)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert said in ran.stderr
    both = run("--html", "x.html", "--format", "md", "--out", "x.md")
    assert both.returncode == 0, both.stderr
    assert both.stdout == "Wrote x.html\nWrote x.md\n"
    assert run("--format", "md").stdout == (tmp_path / "x.md").read_text(encoding="utf-8")
    as_json = run("--json", "--html", "y.html")
    assert json.loads(as_json.stdout)["trials"] == study.summary.trials
    assert (tmp_path / "y.html").read_bytes() == (tmp_path / "x.html").read_bytes()
    clash = run("--json", "--format", "md")
    assert (clash.returncode, clash.stdout) == (2, "")
    assert "give a file with --out" in clash.stderr


@pytest.mark.parametrize("columns", [80, 120])
def test_in_a_pipe_the_table_is_plain_and_no_wider_than_asked(study, columns):
    ran = subprocess.run(
        [sys.executable, "-m", "widthwise", "report", str(study.folder)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1"},
    )
    assert "\x1b" not in ran.stdout
    lines = ran.stdout.splitlines()
    (head,) = [at for at, line in enumerate(lines) if line.strip().startswith("number ")]
    (last,) = [at for at, line in enumerate(lines) if line.strip().startswith("float ")]
    table = lines[head : last + 1]
    assert len(table) >= 2 + len(study.ties[:2])
    assert all(len(line) <= columns for line in table), max(table, key=len)
    assert all(len(line) == len(line.rstrip()) for line in table)
