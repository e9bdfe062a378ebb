"""Inputs that are nearly right: one value of a JSON, a table or a database is another, the rest is sound."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

DEEP: Any = []
for _ in range(200):
    DEEP = [DEEP]

VALUES = st.sampled_from(
    [
        *(
            None,
            True,
            -1,
            0,
            1,
            2**31,
            2**63,
            10**400,
            -0.5,
            1e308,
            5e-324,
            "",
            "0",
            "nan",
            "\x1b[2J\n",
            "'; --",
        ),
        *("../../x", "my:code", "x" * 100_000, [], {}, [[]], [None], {"": {}}, DEEP, list(range(1000))),
    ]
)


@st.composite
def another_json(draw: st.DrawFn, content: bytes) -> bytes:
    """JSON with one to three of its values or keys changed, doubled or gone; numbers may be none."""
    found = json.loads(content)
    for _ in range(draw(st.integers(1, 3))):
        found = _changed(draw, found)
    text = json.dumps(found)
    if draw(st.integers(0, 9)) == 0:
        text = text.replace("0", draw(st.sampled_from(["NaN", "Infinity", "-Infinity", "1e999"])), 1)
    return text.encode()


def _changed(draw: st.DrawFn, found: Any) -> Any:
    """A walk down to a place, and something else there."""
    inside = found if isinstance(found, list | dict) and found else None
    if inside is None or draw(st.integers(0, 3)) == 0:
        return draw(VALUES)
    keys = list(inside) if isinstance(inside, dict) else list(range(min(len(inside), 50)))
    key = draw(st.sampled_from(keys))
    copied: Any = dict(inside) if isinstance(inside, dict) else list(inside)
    what = draw(st.sampled_from(["deeper", "deeper", "deeper", "gone", "twice"]))
    if what == "deeper":
        copied[key] = _changed(draw, inside[key])
    elif what == "gone":
        del copied[key]
    elif isinstance(copied, dict):
        copied[draw(st.sampled_from(["", "0", "-1", "x", f"{key}2", "\x1b"]))] = inside[key]
    else:
        copied.append(inside[key])
    return copied


@st.composite
def another_safetensors(draw: st.DrawFn, content: bytes) -> bytes:
    """Its header of JSON is another, its tensors are the same."""
    length = int.from_bytes(content[:8], "little")
    header = draw(another_json(content[8 : 8 + length]))
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


@st.composite
def another_zip(draw: st.DrawFn, content: bytes, change: Any) -> bytes:
    """An archive, as npz and torch files are, with one member changed, renamed, gone or there twice."""
    out = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),  # of names that are there twice
        zipfile.ZipFile(io.BytesIO(content)) as archive,
        zipfile.ZipFile(out, "w") as made,
    ):
        names = archive.namelist()
        chosen, what = draw(st.sampled_from(names)), draw(st.sampled_from(["bytes", "bytes", "name", "gone"]))
        for name in names:
            held = archive.read(name)
            if name != chosen:
                made.writestr(name, held)
            elif what == "bytes":
                made.writestr(name, draw(change(held)))
            elif what == "name":
                made.writestr(draw(st.sampled_from(["../x", "y.npy", "\x1b", "/etc/x", name + "2"])), held)
    return out.getvalue()


@st.composite
def another_parquet(draw: st.DrawFn) -> bytes:
    """A sound table of columns of any type."""
    rows = draw(st.integers(0, 4))
    kinds = [
        *(
            pa.int8(),
            pa.uint64(),
            pa.float16(),
            pa.float64(),
            pa.bool_(),
            pa.string(),
            pa.binary(),
            pa.null(),
        ),
        *(
            pa.date32(),
            pa.timestamp("ns"),
            pa.decimal128(38, 10),
            pa.list_(pa.int64()),
            pa.dictionary(pa.int8(), pa.string()),
        ),
        pa.struct([("x", pa.int64())]),
    ]
    columns = draw(st.lists(st.sampled_from(kinds), max_size=4))
    names = [draw(st.sampled_from(["a", "label", "", "\x1b", "=1", "a.b"])) for _ in columns]
    unique = list(dict.fromkeys(names))
    arrays = [pa.nulls(rows, kind) for kind in columns[: len(unique)]]
    out = io.BytesIO()
    pq.write_table(pa.table(dict(zip(unique, arrays, strict=True))), out)
    return out.getvalue()


def change_database(draw: st.DrawFn, path: Path) -> None:
    """One to three values of a store are others; it has no checksums, so that what reads them is reached."""
    tables = ("widthwise_studies", "widthwise_batches", "widthwise_trials", "widthwise_failures")
    with sqlite3.connect(path) as database:
        for table in tables[:2]:
            database.execute(f"alter table {table} drop column checksum")
        database.execute("drop table widthwise_heads")
        database.execute("update widthwise_version set version_num = '0001'")
        for _ in range(draw(st.integers(1, 3))):
            table = draw(st.sampled_from(tables))
            columns = [row[1] for row in database.execute(f"pragma table_info({table})")]
            column = draw(st.sampled_from(columns))
            rows = database.execute(f"select {column} from {table} limit 20").fetchall()
            old = draw(st.sampled_from(rows))[0] if rows else None
            new = _other_value(draw, old)
            try:
                database.execute(f"update {table} set {column} = ? where {column} is ?", (new, old))
            except sqlite3.IntegrityError:
                continue
    database.close()


def _other_value(draw: st.DrawFn, old: Any) -> Any:
    if isinstance(old, str) and old[:1] in ("[", "{") and draw(st.booleans()):
        with contextlib.suppress(ValueError):  # changed before, into none
            return draw(another_json(old.encode())).decode()
    plain = [None, -1, 0, 1, 5, 2**62, -(2**62), 0.5, 1e308, "", "x", "[1]", "{}", b"\xff\x00", "0" * 10_000]
    return draw(st.sampled_from(plain))
