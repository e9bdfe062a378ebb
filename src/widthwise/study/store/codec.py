"""Candidates and metrics as text in a row, and many rows' text back as arrays."""

from __future__ import annotations

import json

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray

FIRST = ord("0")  # the character of choice 0
MOST_CHOICES = 0xD800 - FIRST  # characters above are halves of pairs, which no text may hold
MANY = 5_000  # rows from which on another reader pays
ENDLESS = "1e999"  # JSON has no word for infinity, but every reader makes it of this number


def candidates_to_text(candidates: IntArray) -> list[str]:
    """One character a decision for each of the candidates [K, D]: 0 to 9 are the first ten choices."""
    if candidates.size == 0:
        return [""] * len(candidates)
    codes = np.ascontiguousarray(candidates + FIRST, dtype=np.uint32)
    texts: list[str] = codes.view(f"U{candidates.shape[1]}").ravel().tolist()
    return texts


def text_to_candidates(texts: str, count: int, decisions: int) -> IntArray:
    """The candidates [count, decisions] whose texts are given one after another."""
    codes = np.frombuffer(texts.encode("utf-32-le"), dtype="<u4")
    return codes.astype(np.int64).reshape(count, decisions) - FIRST


def metrics_to_text(values: FloatArray) -> list[str]:
    """A JSON array for each row of [K, M]: null for NaN, and numbers that read back exactly."""
    if len(values) == 0:
        return []
    text = json.dumps(values.tolist(), separators=(",", ":"))[1:-1]
    if not np.isfinite(values).all():
        text = text.replace("NaN", "null").replace("Infinity", ENDLESS)
    return text.replace("],[", "]\n[").split("\n")


def text_to_metrics(texts: str, count: int, metrics: int) -> FloatArray:
    """The values [count, metrics] whose JSON arrays are given with commas between them."""
    if count >= MANY and metrics:
        return _many_to_metrics(texts, metrics)
    # one flat list is parsed, because a list for each row takes half as long again
    flat = json.loads(f"[{texts.replace('[', '').replace(']', '')}]") if metrics else []
    return np.array(flat, dtype=np.float64).reshape(count, metrics)


def _many_to_metrics(texts: str, metrics: int) -> FloatArray:
    """The same with pyarrow's reader of lines, which gives the same numbers in a third of the time."""
    from pyarrow import BufferReader, csv, float64

    names = [str(column) for column in range(metrics)]
    read = csv.read_csv(
        BufferReader(texts[1:-1].replace("],[", "\n").encode()),
        read_options=csv.ReadOptions(column_names=names),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, float64()), null_values=["null"]
        ),
    )
    return np.stack([column.to_numpy() for column in read.columns], axis=1)
