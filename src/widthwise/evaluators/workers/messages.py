"""Messages between the driver and its workers: JSON and the bytes of arrays; reading one runs nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from widthwise.core.arrays import IntArray
from widthwise.evaluators.protocol import Results
from widthwise.network.checkpoints import as_safetensors

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.network.realised import Realised

HEAD = 8  # bytes that say how long the JSON is
WEIGHTS = "weights of "  # what arrays of weights are called, before their number
SAMPLE = "sample of "  # what those of samples of the data are
TYPES = ("<i8", "<f8", "|u1")

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class WorkerError:
    """What a worker raised, as text; by_user: it was a UserError."""

    text: str
    by_user: bool


def pack(head: Mapping[str, Any], arrays: Arrays | None = None) -> bytes:
    """Plain JSON values and arrays (int64, float64, uint8) as one message."""
    known = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    for name, array in known.items():
        if array.dtype.str not in TYPES:
            raise TypeError(f"{name} is {array.dtype}; messages hold int64, float64 and uint8")
    shapes = [[name, array.dtype.str, list(array.shape)] for name, array in known.items()]
    text = json.dumps([dict(head), shapes]).encode()
    return b"".join(
        [len(text).to_bytes(HEAD, "little"), text, *(array.tobytes() for array in known.values())]
    )


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `pack` was given; raises ValueError for bytes that are no message."""
    start = HEAD + int.from_bytes(message[:HEAD], "little")
    head, shapes = json.loads(message[HEAD:start])
    if not isinstance(head, dict):
        raise ValueError("no message: its head is no table")
    arrays = {}
    for name, kind, shape in shapes:
        if kind not in TYPES:
            raise ValueError(f"{name} is of type {kind!r}; messages hold {', '.join(TYPES)}")
        dtype = np.dtype(kind)
        if not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError(f"{name} has the shape {shape}")
        stop = start + dtype.itemsize * math.prod(shape)
        arrays[name] = np.frombuffer(message[start:stop], dtype=dtype).reshape(shape)
        start = stop
    return head, arrays


def pack_candidates(candidates: IntArray, asked: int = 0) -> bytes:
    """Candidates [K, D] for a worker; asked: a number by which its answer is known."""
    return pack({"asked": asked}, {"candidates": np.asarray(candidates, dtype="<i8")})


def unpack_candidates(message: bytes) -> tuple[IntArray, int]:
    """Candidates [K, D] of the driver, and the number that the answer needs."""
    head, arrays = unpack(message)
    return arrays["candidates"], int(head["asked"])


def pack_results(results: Results, realised: Sequence[Realised] = (), *, asked: int = 0) -> bytes:
    """Results for the driver, and the networks that were trained for them."""
    head = {
        "asked": asked,
        "failures": list(results.failures.items()),
        "pruned": sorted(results.pruned),
        "notes": [[row, *lines] for row, lines in results.notes.items()],
        "realised": [network.as_json() for network in realised],
    }
    arrays = {name: np.asarray(values, dtype="<f8") for name, values in results.items()}
    for place, network in enumerate(realised):
        arrays[f"{WEIGHTS}{place}"] = _bytes(network.weights or {})
        if network.sample is not None:
            arrays[f"{SAMPLE}{place}"] = _bytes(network.sample)
    return pack(json.loads(json.dumps(head, default=int)), arrays)  # rows may be numpy's integers


def unpack_results(message: bytes) -> Results | WorkerError:
    """Results of a worker, or what it raised."""
    if (error := unpack_error(message)) is not None:
        return error
    head, arrays = unpack(message)
    failures = {int(row): str(reason) for row, reason in head["failures"]}
    metrics = {name: values for name, values in arrays.items() if not name.startswith((WEIGHTS, SAMPLE))}
    notes = {int(row): tuple(map(str, lines)) for row, *lines in head["notes"]}
    return Results(metrics, failures, frozenset(map(int, head["pruned"])), notes=notes)


def check_results(results: Results, count: int) -> None:
    """Raises ValueError where results are not of so many candidates."""
    if any(values.dtype.str != "<f8" or values.shape != (count,) for values in results.values()):
        raise ValueError(f"metrics that are not of {count} candidates")
    if not all(0 <= row < count for row in (*results.failures, *results.pruned, *results.notes)):
        raise ValueError(f"rows that are none of {count} candidates")


def unpack_realised(message: bytes) -> tuple[Realised, ...]:
    """The networks that a worker trained for the results of a message; none where it raised."""
    head, arrays = unpack(message)
    stored = head.get("realised", ())
    if not stored:
        return ()
    from safetensors.torch import load

    from widthwise.network.realised import Realised

    def tensors(kind: str, place: int) -> dict[str, Tensor] | None:
        found = arrays.get(f"{kind}{place}")
        return None if found is None else load(found.tobytes())

    return tuple(
        Realised.from_json(
            network, tensors(WEIGHTS, place), tensors(SAMPLE, place), where="a worker's network"
        )
        for place, network in enumerate(stored)
    )


def _bytes(tensors: Mapping[str, Tensor]) -> NDArray[np.uint8]:
    return np.frombuffer(as_safetensors(tensors), dtype=np.uint8)


def pack_error(text: str, *, by_user: bool, asked: int = 0) -> bytes:
    """What went wrong with a whole message, for the driver."""
    return pack({"error": text, "by_user": by_user, "asked": asked})


def answers(message: bytes, asked: int) -> bool:
    """Whether a message is the answer to the one of this number."""
    return unpack(message)[0].get("asked") == asked


def unpack_error(message: bytes) -> WorkerError | None:
    """What went wrong, where the message says that something did."""
    head, _ = unpack(message)
    return WorkerError(str(head["error"]), bool(head["by_user"])) if "error" in head else None
