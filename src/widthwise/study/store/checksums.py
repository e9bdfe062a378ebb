"""Checksums over what a store holds, by which damage is found: CRC-32, as numbers that every database keeps.

They find what failing disks and memory do, not what somebody does who computes them again.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from widthwise.core.arrays import IntArray

Failures = Sequence[tuple[int, str]]
NUMBERS, TIMES = ("study_id", "number", "first", "asked", "evaluated"), ("seconds", "elapsed")


def of_batch(
    batch: Mapping[str, Any], numbers: IntArray, candidates: str, metrics: str, failures: Failures
) -> int:
    """Of a batch's row and its trials as they are stored.

    numbers [k] of the trials that have rows, ascending; their candidates one after another, their metrics
    with commas between them; failures by number.
    """
    plain = struct.pack("<5q2d", *(batch[name] for name in NUMBERS), *(batch[name] for name in TIMES))
    found = zlib.crc32(plain)
    for part in (
        (batch["cut"] or "").encode(),
        numbers.astype("<i8", copy=False).tobytes(),
        candidates.encode(),
        metrics.encode(),
        json.dumps(failures).encode() if failures else b"",
    ):
        found = zlib.crc32(part, found)
    return found


def of_study(row: Mapping[str, Any]) -> int:
    """Of all columns of a study's row but the checksum itself."""
    columns = sorted((name, value) for name, value in row.items() if name != "checksum")
    return zlib.crc32(json.dumps(columns).encode())


def of_batches(checksums: Sequence[int], before: int = 0) -> int:
    """Of the checksums of a study's batches in their order; before: that of the ones before these."""
    return zlib.crc32(np.asarray(checksums, dtype="<i8").tobytes(), before)
