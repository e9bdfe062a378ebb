"""Tables of one's own: looked up, written, read back, and refused where they are not whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import widthwise as ww
from helpers.metrics import metrics_of
from widthwise.core.arrays import FloatArray
from widthwise.evaluators.protocol import Evaluator
from widthwise.evaluators.tabled.form import ABOUT
from widthwise.metrics.catalogue import Metric
from widthwise.testing import check_evaluator

DECISIONS = (ww.Decision("a/width", (2, 4, 8)), ww.Decision("b/name", ("integer", "log")))
FIGURES = {"accuracy": [0.5, 0.6, 0.9, 0.5, 0.7, 0.2], "model_size": [1.0, 2.0, 4.0, 1.5, 2.0, 3.0]}


def table_of(
    values: dict[str, list[float]], decisions: tuple[ww.Decision, ...] = DECISIONS
) -> ww.SearchTable:
    """A table of these figures."""
    arrays = {name: np.array(each) for name, each in values.items()}
    return ww.SearchTable("mine", decisions, arrays, {each.name: each for each in metrics_of(*values)})


def changed(path: Path, table: pa.Table) -> Path:
    """The file with other rows, its metadata as it was."""
    parquet.write_table(table, path)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A table that was written."""
    return ww.write_table(table_of(FIGURES), tmp_path / "mine.parquet")


def test_it_keeps_the_contract_of_evaluators() -> None:
    table = table_of(FIGURES)
    assert isinstance(table, Evaluator)
    check_evaluator(table, table.space)


def test_a_candidate_gets_its_row() -> None:
    table = table_of(FIGURES)
    assert table.space.chosen(table.candidates[3]) == {"a/width": 4, "b/name": "log"}
    assert table(table.candidates[[3, 0]])["accuracy"].tolist() == [0.5, 0.5]
    assert table.costs(table.candidates[[3]]) == {"model_size": [1.5]}


def test_what_failed_is_told_as_failed() -> None:
    table = table_of(FIGURES | {"accuracy": [0.5, np.nan, 0.9, 0.5, 0.7, 0.2]})
    assert list(table(table.candidates).failures) == [1]
    assert 1 not in table.front(["accuracy", "model_size"])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_front_is_what_no_other_row_dominates(data: st.DataObject) -> None:
    figures = st.lists(st.integers(0, 4).map(float), min_size=6, max_size=6)
    values = {"accuracy": data.draw(figures), "model_size": data.draw(figures)}
    points = list(zip(values["accuracy"], (-size for size in values["model_size"]), strict=True))
    expected = {
        row
        for row, (x, y) in enumerate(points)
        if not any(u >= x and v >= y and (u, v) != (x, y) for u, v in points)
    }
    found = table_of(values).front(["accuracy", "model_size"])
    assert set(found.tolist()) == expected
    assert [points[row][0] for row in found] == sorted(points[row][0] for row in found)


@st.composite
def tables(draw: st.DrawFn) -> ww.SearchTable:
    """Any small table: numbers, texts and switches to choose, whole, short and long figures, failures."""
    choices = (
        st.lists(st.integers(-9, 99), min_size=1, max_size=4, unique=True)
        | st.lists(st.text(max_size=4), min_size=1, max_size=3, unique=True)
        | st.lists(st.floats(-3, 3), min_size=1, max_size=3, unique=True)
    )
    made = draw(st.lists(choices, min_size=1, max_size=3))
    decisions = tuple(ww.Decision(f"d{i}", tuple(each)) for i, each in enumerate(made))
    size = ww.Space(decisions).size
    figure = st.floats(allow_infinity=False) | st.integers(-(2**40), 2**40).map(float)
    column: st.SearchStrategy[FloatArray] = st.lists(figure, min_size=size, max_size=size).map(np.array)
    metrics = {name: Metric(name, "quality", "maximize", "", "one's own") for name in ("x", "y")}
    return ww.SearchTable("any", decisions, {name: draw(column) for name in metrics}, metrics, {"note": "é"})


@settings(max_examples=60, deadline=None)
@given(tables())
def test_what_is_read_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, table: ww.SearchTable
) -> None:
    again = ww.load_table(ww.write_table(table, tmp_path_factory.mktemp("any") / "any.parquet"))
    assert again.decisions == table.decisions
    assert (again.metrics, again.about, again.name) == (table.metrics, table.about, table.name)
    for name, values in table.values.items():
        assert np.array_equal(again[name], values, equal_nan=True)


def test_weights_come_along(tmp_path: Path) -> None:
    made = table_of(FIGURES)
    weights = {"layer.weight": np.eye(3, dtype=np.float32), "count": np.array(7)}
    kept = ww.SearchTable(made.name, made.decisions, made.values, made.metrics, {}, weights)
    again = ww.load_table(ww.write_table(kept, tmp_path / "kept.parquet")).weights
    assert {name: array.tolist() for name, array in again.items()} == {
        name: array.tolist() for name, array in weights.items()
    }


def test_rows_in_another_order_are_the_same_table(file: Path) -> None:
    changed(file, parquet.read_table(file).take([4, 1, 0, 5, 3, 2]))
    assert ww.load_table(file)["accuracy"].tolist() == FIGURES["accuracy"]


def test_any_reader_of_parquet_opens_it(file: Path) -> None:
    rows = parquet.read_table(file).to_pylist()
    assert rows[5] == {"a/width": 8, "b/name": "log", "accuracy": pytest.approx(0.2), "model_size": 3}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([0, 1, 2, 3, 4], "has 5 rows, but its decisions make 6 candidates"),
        ([0, 1, 2, 3, 4, 4], "has candidates twice, and lacks others"),
    ],
)
def test_a_table_that_is_not_whole_is_refused(file: Path, rows: list[int], said: str) -> None:
    changed(file, parquet.read_table(file).take(rows))
    with pytest.raises(ww.UserError, match=said):
        ww.load_table(file)


def test_values_that_were_changed_are_noticed(file: Path) -> None:
    table = parquet.read_table(file)
    column = table.column_names.index("accuracy")
    changed(file, table.set_column(column, "accuracy", pa.array([1.0] * 6)))
    with pytest.raises(ww.UserError, match="not those that were written"):
        ww.load_table(file)


def test_an_unknown_choice_is_noticed(file: Path) -> None:
    table = parquet.read_table(file)
    changed(file, table.set_column(0, "a/width", pa.array([3] * 6)))
    with pytest.raises(ww.UserError, match="a/width has a value that is none of its choices"):
        ww.load_table(file)


@given(place=st.integers(0, 2**20), bits=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_bytes_that_were_changed_change_nothing_or_are_a_line(
    tmp_path_factory: pytest.TempPathFactory, place: int, bits: int
) -> None:
    path = ww.write_table(table_of(FIGURES), tmp_path_factory.getbasetemp() / "mine.parquet")
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= bits
    path.write_bytes(content)
    found: ww.SearchTable | str
    try:
        found = ww.load_table(path)
    except ww.UserError as error:
        found = str(error)
    if isinstance(found, str):
        assert "\n" not in found
    else:
        assert {name: values.tolist() for name, values in found.values.items()} == FIGURES
        assert (found.name, found.decisions) == ("mine", DECISIONS)


def test_a_table_of_another_version_is_refused(file: Path) -> None:
    table = parquet.read_table(file)
    said = json.loads(table.schema.metadata[ABOUT]) | {"form": 2}
    changed(file, table.replace_schema_metadata({**table.schema.metadata, ABOUT: json.dumps(said)}))
    with pytest.raises(ww.UserError, match="is of form 2, this version reads 1"):
        ww.load_table(file)


def test_other_files_are_refused_in_a_line(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no")
    for name, said in (
        ("other.parquet", "is no table of a whole space"),
        ("text.parquet", "no parquet file that can be read"),
        ("gone.parquet", "no such file"),
    ):
        with pytest.raises(ww.UserError, match=said):
            ww.load_table(tmp_path / name)
    with pytest.raises(ww.UserError, match="no table named 'jet'; did you mean jets"):
        ww.load_table("jet")
    with pytest.raises(ww.UserError, match="NoneType is no table; give jets"):
        ww.load_table(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("objectives", "said"),
    [
        (["accuracy", "size"], "no metric named 'size'; did you mean model_size"),
        ([], "give each once"),
        (["accuracy", "accuracy"], "give each once"),
        ({"accuracy": "up"}, "allowed: maximize, minimize"),
    ],
)
def test_objectives_are_checked(objectives: list[str], said: str) -> None:
    with pytest.raises(ww.UserError, match=said):
        table_of(FIGURES).aim(objectives)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ww.UserError, match="give a value for each of the 6 candidates"):
        table_of({"accuracy": [1.0]})
    with pytest.raises(ww.UserError, match="give both of each"):
        ww.SearchTable("mine", DECISIONS, {"accuracy": np.zeros(6)}, {})
    with pytest.raises(ww.UserError, match=r"ends in \.parquet"):
        ww.write_table(table_of(FIGURES), tmp_path / "mine.csv")
    odd = (ww.Decision("a", (None, 2)),)
    with pytest.raises(ww.UserError, match="a chooses None"):
        ww.write_table(table_of({"accuracy": [1.0, 2.0]}, odd), tmp_path / "mine.parquet")
