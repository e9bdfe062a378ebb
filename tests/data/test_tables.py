"""Tables as people have them: separators, quotes, lines of names or none, and where the label is."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.errors import UserError
from widthwise.data.arrays import Asked
from widthwise.data.facts import facts_of
from widthwise.data.modules import load_data
from widthwise.data.own import read_samples
from widthwise.data.served import DataModule
from widthwise.data.tables import column_of

WHOLE = {"splits": (0, 1, 0), "standardise": "none"}
RED = "cat,1.5,2\ndog,2.5,3\ncat,3.5,5\ndog,4.5,1\n"


def written(folder: Path, text: str, name: str = "own.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder / name


def load(path: Path, **options) -> DataModule:
    data = load_data(path, **{**WHOLE, **options})
    assert isinstance(data, DataModule)
    return data


def values(data: DataModule) -> tuple[np.ndarray, np.ndarray]:
    x, y = data.parts["val"]
    return x.numpy(), y.numpy()


NAMES = st.text(st.sampled_from("abcXYZ _-.;,\t\"'()0123456789éß"), min_size=1, max_size=8).filter(
    # names that are numbers or missing are another matter, and pandas adds .1 to a name that is there already
    lambda name: any(c.isalpha() for c in name) and name == name.strip() and "." not in name
)
CELLS = st.one_of(
    st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, -0.0, 1e-20])
)


@st.composite
def tables(draw) -> tuple[list[str], list[list], list[str]]:
    """Names of columns, rows of numbers, and a class for each row."""
    width = draw(st.integers(1, 5))
    names = draw(st.lists(NAMES, min_size=width, max_size=width, unique_by=str.lower))
    names = [name for name in names if name.lower() not in ("label", "target", "class", "y")]
    rows = draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), min_size=4, max_size=9))
    classes = draw(
        st.lists(st.sampled_from(["red", "a,b", 'say "so"', "blue;green"]), min_size=2, max_size=3)
    )
    found = [draw(st.sampled_from(classes)) for _ in rows]
    return names, rows, found


def as_csv(lines: list[list], separator: str, ending: str, *, quoted: bool, spaced: bool) -> str:
    out = io.StringIO()
    quoting = csv.QUOTE_NONNUMERIC if quoted else csv.QUOTE_MINIMAL
    csv.writer(out, delimiter=separator, lineterminator=ending, quoting=quoting).writerows(lines)
    return out.getvalue().replace(separator, f"{separator} ") if spaced else out.getvalue()


@given(
    table=tables(),
    separator=st.sampled_from(",;\t"),
    ending=st.sampled_from(["\n", "\r\n"]),
    place=st.integers(0, 5),
    named=st.booleans(),
    quoted=st.booleans(),
    mark=st.booleans(),
    blank=st.booleans(),
)
def test_whatever_way_it_is_written_the_same_is_read(
    tmp_path_factory, table, separator, ending, place, named, quoted, mark, blank
):
    names, rows, classes = table
    if not names or len(set(classes)) < 2 or len(set(classes)) == len(classes):
        return
    place = min(place, len(names))
    lines = [[*row[:place], label, *row[place:]] for row, label in zip(rows, classes, strict=True)]
    if named:
        lines.insert(0, [*names[:place], "kind of it", *names[place:]])
    # a cell that holds another separator, without quotes, could be two
    quoted = quoted or any(other in str(cell) for line in lines for cell in line for other in ",;\t")
    text = as_csv(lines, separator, ending, quoted=quoted, spaced=False)
    text = ("\ufeff" if mark else "") + (ending if blank else "") + text
    samples = read_samples(written(tmp_path_factory.mktemp("csv"), text))
    assert np.array_equal(samples.x, np.array(rows, dtype=np.float64).astype("f4"))
    assert [samples.targets.class_names[code] for code in samples.targets.values] == classes
    called = names if named else [f"x{number}" for number in range(len(names) + 1) if number != place]
    assert list(samples.feature_names) == called
    assert samples.label == (
        "column kind of it" if named else f"column x{place} (its first line names no columns)"
    )


@given(rows=st.lists(st.tuples(CELLS, CELLS, st.integers(0, 1)), min_size=4, max_size=12))
def test_a_file_without_names_keeps_its_first_line(tmp_path_factory, rows: list):
    if len({label for *_, label in rows}) < 2 or rows[0][:2] == (0, 1):
        return
    path = written(tmp_path_factory.mktemp("csv"), as_csv(rows, ",", "\n", quoted=False, spaced=True))
    samples = read_samples(path, asked=Asked([-1], "classes"))
    assert np.array_equal(samples.x, np.array(rows, dtype=np.float64)[:, :2].astype("f4"))
    assert samples.targets.values.tolist() == [label for *_, label in rows]


@pytest.mark.parametrize(
    ("text", "header", "rows"),
    [
        (RED, None, 4),
        ("who,2019,2020\n1,1.5,2\n2,2.5,3\n1,3.5,5\n2,4.5,1\n", None, 4),
        ("kind,size,weight\n" + RED, None, 4),
        ("0,1,2\n" + RED, None, 4),  # as pandas writes columns without names
        ("kind,size,weight\n" + RED, True, 4),
        (RED, False, 4),
        (RED, True, 3),
        ("size,weight,kind\n,,cat\n1,2,dog\n3,4,cat\n", None, 3),
    ],
)
def test_a_line_of_names_is_seen_or_said(tmp_path: Path, text: str, header: bool | None, rows: int):
    path = written(tmp_path, text)
    if rows == 3 and header is None:
        with pytest.raises(UserError, match="feature size is nan in row 0"):
            load(path)
    else:
        assert len(read_samples(path, header=header, asked=Asked([0], "classes")).x) == rows


@given(
    rows=st.lists(st.tuples(st.floats(-1e6, 1e6, width=32), st.integers(0, 9)), min_size=4, max_size=9),
    separator=st.sampled_from(";\t"),
    named=st.booleans(),
)
def test_decimal_commas_are_points(tmp_path_factory, rows: list, separator: str, named: bool):
    lines = [[f"{x:f}".replace(".", ","), n, "ab"[row % 2]] for row, (x, n) in enumerate(rows)]
    lines = [["Preis, netto", "Zimmer", "Ort"], *lines] if named else lines
    text = as_csv(lines, separator, "\n", quoted=False, spaced=False)
    samples = read_samples(written(tmp_path_factory.mktemp("csv"), text))
    wanted = np.array([[float(f"{x:f}"), n] for x, n in rows]).astype("f4")
    np.testing.assert_allclose(np.asarray(samples.x), wanted, rtol=1e-6)


def test_cells_that_no_line_has_are_left_out(tmp_path: Path):
    x, _ = values(load(written(tmp_path, "a,b,label,\n1,2,0,\n3,4,1,\n5,6,0,\n7,8,1,\n")))
    assert x.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


@pytest.mark.parametrize("label", ["kind", 0, "0", -3, ["kind"]])
def test_the_label_is_said_by_name_or_number(tmp_path: Path, label):
    data = load(written(tmp_path, "kind,size,weight\n" + RED), label=label)
    assert data.class_names == ("cat", "dog")
    assert data.feature_names == ("size", "weight")


def test_the_only_column_of_text_is_the_label_wherever_it_stands(tmp_path: Path):
    data = load(written(tmp_path, "kind,size,weight\n" + RED))
    assert data.taken == "column kind, 2 classes; features as they are"
    assert facts_of(data).taken == data.taken


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("knid", "has no column named 'knid'; did you mean kind? allowed: kind, size, weight"),
        (3, "has no column 3; its 3 have the numbers from 0"),
        (["kind", "size"], "column kind holds text, and several labels have to be numbers"),
        (["size", "kind", "weight"], "all its columns are labels"),
        ("size", "column kind holds no numbers"),
    ],
)
def test_a_label_that_can_be_none_is_refused(tmp_path: Path, label, says: str):
    with pytest.raises(UserError) as caught:
        load(written(tmp_path, "kind,size,weight\n" + RED), label=label)
    assert says in str(caught.value)


def test_a_name_goes_before_a_number():
    assert column_of(2, ["a", "2", "c"], "own") == column_of("2", ["a", "2", "c"], "own") == "2"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_fractions_are_numbers_and_several_columns_several_targets(tmp_path: Path, suffix: str):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 4)), columns=["price", "a", "rent", "b"])
    path = tmp_path / f"own{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    one, two = (
        load(path, label="price"),
        load(path, label=["rent", "price"], standardise=True, splits=(1, 0, 0)),
    )
    x, y = values(one)
    np.testing.assert_allclose(y, frame["price"], rtol=1e-6)
    np.testing.assert_allclose(x, frame[["a", "rent", "b"]], rtol=1e-6)
    assert (y.dtype, one.classes) == (np.float32, None)
    np.testing.assert_allclose(two.parts["train"][1], frame[["rent", "price"]], rtol=1e-6)
    assert two.target_names == ("rent", "price")
    assert two.taken == "columns rent, price, numbers, 2 a sample; features standardised by the training part"


def test_columns_of_0_and_1_are_several_labels(tmp_path: Path):
    data = load(written(tmp_path, "wide,tall,red\n0.5,1,0\n1.5,0,0\n2.5,1,1\n"), label=["tall", "red"])
    _, y = values(data)
    assert y.dtype == np.int64
    assert y.tolist() == [[1, 0], [0, 0], [1, 1]]
    assert data.taken.startswith("columns tall, red, 0 or 1 for each of 2; ")


def test_what_is_for_files_is_refused_elsewhere(tmp_path: Path):
    with pytest.raises(UserError, match="digits: takes neither a label nor a header; those are for files"):
        load_data("digits", label="kind")
    pd.DataFrame({"a": [1.0], "label": [0]}).to_parquet(tmp_path / "own.parquet")
    with pytest.raises(UserError, match=r"header is for \.csv files"):
        load_data(tmp_path / "own.parquet", header=False)


def test_built_in_data_knows_what_its_targets_are():
    with pytest.raises(UserError, match="digits: says itself what its targets are"):
        load_data("digits", targets="numbers")


def test_a_task_that_is_named_tells_what_whole_numbers_are(tmp_path: Path):
    path = written(tmp_path, "a,label\n0.5,3\n1.5,4\n2.5,5\n3.5,4\n4.5,3\n5.5,5\n")
    assert load(path, task="regression").parts["val"][1].tolist() == [3, 4, 5, 4, 3, 5]
    assert load(path, task="classification").class_names == ("3", "4", "5")
    with pytest.raises(UserError, match="so they may be classes or numbers; say which"):
        load(path, task="binary")


LINES = st.lists(st.sampled_from("0123456789.,;\t\"'abc-\n\r é\x00NA"), max_size=60).map("".join)


@given(content=LINES.map(str.encode) | st.binary(max_size=60), label=st.none() | st.integers(-3, 3))
def test_whatever_a_file_holds_it_is_read_or_refused_in_one_line(tmp_path_factory, content, label):
    path = tmp_path_factory.mktemp("csv") / "own.csv"
    path.write_bytes(content)
    said, data = "", None
    try:
        data = load(path, label=label)
    except UserError as error:
        said = str(error)
    assert "\n" not in said
    if data is None:
        assert path.name in said
    else:
        x, y = values(data)
        assert len(x) == len(y) > 0
        assert np.isfinite(x).all()


@pytest.mark.parametrize("first", [0, 1])
def test_a_column_that_numbers_the_rows_is_left_out_and_said(tmp_path: Path, first: int):
    lines = [f"{first + row},{row * row % 7},{row % 3},{'ab'[row % 2]}" for row in range(12)]
    data = load(written(tmp_path, "\n".join(["id,p,q,label", *lines])))
    assert data.feature_names == ("p", "q")
    assert facts_of(data).title.endswith("own.csv, without column id: row numbers")


def test_a_column_of_other_numbers_stays(tmp_path: Path):
    lines = [f"{row + (row == 5)},{row % 3},{'ab'[row % 2]}" for row in range(12)]
    assert load(written(tmp_path, "\n".join(["id,q,label", *lines]))).feature_names == ("id", "q")


def indexed(tmp_path: Path, name: str, numbers: list[int]):
    lines = [f"{number},{row % 5},{row % 3},{'ab'[row % 2]}" for row, number in enumerate(numbers)]
    return load(written(tmp_path, "\n".join([f"{name},p,q,label", *lines])))


@pytest.mark.parametrize(
    ("name", "numbers", "said"),
    [
        (
            "",
            [5, 3, 1, 0, 2, 4, 11, 9, 7, 6, 8, 10],
            "without the first column, which has no name: row numbers",
        ),
        (
            "",
            [105, 3, 71, 20, 12, 44, 511, 92, 17, 6, 8, 910],
            "the first column, which has no name: row numbers",
        ),
        ("Id", [842302, 842517, 84300903, 84348301, *range(8)], "without column Id: row numbers"),
        ("row", [12, 3, 1, 7, 2, 4, 11, 9, 5, 6, 8, 10], "without column row: row numbers"),
    ],
)
def test_a_shuffled_or_cut_index_is_left_out_and_said(
    tmp_path: Path, name: str, numbers: list[int], said: str
):
    data = indexed(tmp_path, name, numbers)
    assert data.feature_names == ("p", "q")
    assert facts_of(data).title.endswith(said)


@pytest.mark.parametrize(("name", "numbers"), [("age", [*range(20, 32)]), ("", [1] * 6 + [*range(6)])])
def test_a_first_column_that_is_no_index_stays(tmp_path: Path, name: str, numbers: list[int]):
    assert len(indexed(tmp_path, name, numbers).feature_names) == 3


def test_classes_that_are_counted_from_one_are_said(tmp_path: Path):
    data = load(
        written(tmp_path, "a,label,b\n" + "\n".join(f"{row / 2},{row % 3 + 1},1" for row in range(12)))
    )
    assert data.class_names == ("1", "2", "3")
    assert data.taken == "column label, 3 classes, numbered from 1; features as they are"
