"""A table written as a parquet file, as small as its values allow; any reader of parquet opens it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.core.files import write_atomically
from widthwise.evaluators.tabled.form import ABOUT, CHECKSUM, FORM, WEIGHTS, checksum
from widthwise.evaluators.tabled.table import SearchTable
from widthwise.metrics.stored import metric_to_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

OFTEN = 10  # times that a value occurs, from which a dictionary of them is smaller
PLAIN = (bool, int, float, str)  # what a choice may be


def write_table(table: SearchTable, path: str | Path) -> Path:
    """The table as one parquet file: a column for each decision, then each metric; rows in the space's order.

    Numbers are kept exactly, in the smallest type that holds a column. Raises UserError for another ending,
    choices that are neither numbers, texts nor switches, and what can't be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    path = Path(path).expanduser()
    if path.suffix.lower() != ".parquet":
        raise UserError(f"{path}: tables are parquet files; give a name that ends in .parquet")
    columns: dict[str, Any] = {}
    for column, decision in enumerate(table.decisions):
        if odd := [choice for choice in decision.choices if not isinstance(choice, PLAIN)]:
            raise UserError(f"table {table.name}: {decision.name} chooses {odd[0]!r}; give numbers or texts")
        columns[decision.name] = pa.array(decision.choices).take(pa.array(table.candidates[:, column]))
    metrics = {name: _smallest(values) for name, values in table.values.items()}
    encodings = {name: found for name, array in metrics.items() if (found := _encoding(array))}
    columns |= {name: pa.array(array) for name, array in metrics.items()}
    file = io.BytesIO()
    parquet.write_table(
        pa.table(columns).replace_schema_metadata(_metadata(table)),
        file,
        compression="zstd",
        compression_level=19,
        row_group_size=len(table),
        use_dictionary=[name for name in columns if name not in encodings],
        column_encoding=encodings,
    )
    write_atomically(path, file.getvalue())
    return path


def _metadata(table: SearchTable) -> dict[bytes, bytes]:
    from safetensors.numpy import save

    weights = (
        save({name: np.asarray(array) for name, array in table.weights.items()}) if table.weights else b""
    )
    said: dict[str, Any] = {
        "form": FORM,
        "name": table.name,
        "decisions": [{"name": d.name, "choices": list(d.choices)} for d in table.decisions],
        "metrics": [metric_to_json(table.metrics[name]) for name in table.values],
        "about": dict(table.about),
    }
    said[CHECKSUM] = checksum(said, table.values, weights)
    return {
        ABOUT: json.dumps(said, ensure_ascii=False, allow_nan=False).encode(),
        WEIGHTS: base64.b64encode(weights),
    }


def _encoding(values: NDArray[Any]) -> str | None:
    """How a column is written whose values hardly occur again; None: as a dictionary of them."""
    if len(values) > OFTEN * len(np.unique(values)):
        return None
    return "DELTA_BINARY_PACKED" if np.issubdtype(values.dtype, np.integer) else "BYTE_STREAM_SPLIT"


def _smallest(values: FloatArray) -> NDArray[Any]:
    """The same numbers in the smallest of these types that holds each exactly."""
    with np.errstate(invalid="ignore", over="ignore"):
        for kind in (np.int32, np.float32):
            narrow = values.astype(kind)
            if np.array_equal(narrow.astype(np.float64), values, equal_nan=True):
                return narrow
    return values
