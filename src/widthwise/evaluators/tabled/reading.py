"""Tables read from parquet files, ours by name; what is wrong with a file is said in a line."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.core.files import check_growth, existing_file
from widthwise.evaluators.tabled.form import ABOUT, CHECKSUM, FORM, WEIGHTS, checksum
from widthwise.evaluators.tabled.table import SearchTable
from widthwise.metrics.stored import metric_from_json
from widthwise.spaces.space import Decision

TABLES = ("jets", "digits-cnn")  # that are part of the package
FOLDER = Path(__file__).parent / "tables"
ENDING = ".parquet"


def load_table(source: str | Path) -> SearchTable:
    """A table by name (jets, digits-cnn) or from a file that `write_table` wrote; nothing else is needed.

    Raises UserError for unknown names, and for files that are no such table, lack candidates or have some
    twice, or were changed since they were written.
    """
    if not isinstance(source, str | Path):
        raise UserError(
            f"load_table: {type(source).__name__} is no table; give {', '.join(TABLES)} or a FILE{ENDING}"
        )
    if isinstance(source, str) and not source.lower().endswith(ENDING) and "/" not in source:
        if source not in TABLES:
            raise unknown("table", source, [*TABLES, f"a file FILE{ENDING}"])
        return _read(FOLDER / f"{source}{ENDING}")
    return _read(existing_file(source))


def _read(path: Path) -> SearchTable:
    from pyarrow import parquet

    try:
        metadata = parquet.read_metadata(path)
    except Exception as error:  # a broken file makes pyarrow raise nearly anything
        raise UserError(f"{path}: no parquet file that can be read; see docs/tables.md") from error
    stored = metadata.metadata or {}
    if ABOUT not in stored:
        raise UserError(
            f"{path}: is no table of a whole space; one is written by widthwise.write_table(table, path)"
        )
    check_growth(path, 8 * metadata.num_rows * metadata.num_columns)
    try:
        said, weights = json.loads(stored[ABOUT]), base64.b64decode(stored[WEIGHTS], validate=True)
        if said["form"] != FORM:
            raise UserError(
                f"{path}: is of form {said['form']!r}, this version reads {FORM}; update widthwise"
            )
        decisions = tuple(Decision(str(d["name"]), tuple(d["choices"])) for d in said["decisions"])
        metrics = {str(metric["name"]): metric_from_json(metric) for metric in said["metrics"]}
        columns = parquet.read_table(path, columns=[*(d.name for d in decisions), *metrics])
        rows = _order(columns, decisions, path)
        values = {name: _numbers(columns, name)[rows] for name in metrics}
        sound = said[CHECKSUM] == checksum(said, values, weights)
        table = SearchTable(said["name"], decisions, values, metrics, said["about"], _tensors(weights))
    except UserError:
        raise
    except Exception as error:  # bytes that were changed make json, pyarrow or numpy raise nearly anything
        raise UserError(f"{path}: this table is damaged; get the file again") from error
    if not sound:
        raise UserError(f"{path}: its values are not those that were written; get the file again")
    return table


def _order(columns: Any, decisions: tuple[Decision, ...], path: Path) -> IntArray:
    """Which row of the file [N] each candidate of the space is; UserError unless each is there once."""
    size = int(np.prod([len(decision.choices) for decision in decisions], dtype=np.float64))
    if len(columns) != size:
        raise UserError(f"{path}: has {len(columns):,} rows, but its decisions make {size:,} candidates")
    positions = np.zeros(size, dtype=np.int64)
    for decision in decisions:
        index = {choice: place for place, choice in enumerate(decision.choices)}
        encoded = columns[decision.name].combine_chunks().dictionary_encode()
        known = [index.get(choice, -1) for choice in encoded.dictionary.to_pylist()]
        if -1 in known:
            raise UserError(f"{path}: {decision.name} has a value that is none of its choices")
        chosen = np.array(known, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]
        positions = positions * len(decision.choices) + chosen
    if len(np.unique(positions)) < size:
        raise UserError(f"{path}: has candidates twice, and lacks others")
    return np.argsort(positions)


def _numbers(columns: Any, name: str) -> FloatArray:
    return columns[name].to_numpy().astype(np.float64)  # type: ignore[no-any-return]


def _tensors(weights: bytes) -> Mapping[str, Any]:
    from safetensors.numpy import load

    return load(weights) if weights else {}
