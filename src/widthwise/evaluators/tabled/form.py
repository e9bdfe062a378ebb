"""How a table stands in a parquet file: columns of choices and metrics, the rest in the file's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from widthwise.core.arrays import FloatArray
from widthwise.core.hashing import hash_arrays, hash_value

ABOUT, WEIGHTS = b"widthwise.table", b"widthwise.weights"  # JSON; safetensors in base64
FORM = 1
CHECKSUM = "checksum"


def checksum(said: Mapping[str, Any], values: Mapping[str, FloatArray], weights: bytes) -> str:
    """A hash of all that a table says: its metadata, in the order of the space its values, its weights."""
    others = {key: value for key, value in said.items() if key != CHECKSUM}
    return hash_value([others, hash_arrays(values.items()), hash_value(weights.hex())])
