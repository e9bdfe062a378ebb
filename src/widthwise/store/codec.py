"""Candidates and metrics as text in a row, and many rows' text back as arrays."""

from __future__ import annotations

import json

import numpy as np

from widthwise.space import FloatArray, IntArray

FIRST = ord("0")  # the character of choice 0
MOST_CHOICES = 0xD800 - FIRST  # characters above are halves of pairs, which no text may hold
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
    # one flat list is parsed, because a list for each row takes half as long again
    flat = json.loads(f"[{texts.replace('[', '').replace(']', '')}]") if metrics else []
    return np.array(flat, dtype=np.float64).reshape(count, metrics)
