"""Messages between the driver and its workers: JSON and the bytes of arrays; reading one runs nothing."""

from __future__ import annotations

import json
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
    arrays = {}
    for name, kind, shape in shapes:
        if kind not in TYPES:
            raise ValueError(f"{name} is of type {kind!r}; messages hold {', '.join(TYPES)}")
        dtype = np.dtype(kind)
        stop = start + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(message[start:stop], dtype=dtype).reshape(shape)
        start = stop
    return head, arrays


def pack_candidates(candidates: IntArray) -> bytes:
    """Candidates [K, D] for a worker."""
    return pack({}, {"candidates": np.asarray(candidates, dtype="<i8")})


def unpack_candidates(message: bytes) -> IntArray:
    """Candidates [K, D] of the driver."""
    return unpack(message)[1]["candidates"]


def pack_results(results: Results, realised: Sequence[Realised] = ()) -> bytes:
    """Results for the driver, and the networks that were trained for them."""
    head = {
        "failures": list(results.failures.items()),
        "pruned": sorted(results.pruned),
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
    return Results(metrics, failures, frozenset(head["pruned"]))


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


def pack_error(text: str, *, by_user: bool) -> bytes:
    """What went wrong with a whole message, for the driver."""
    return pack({"error": text, "by_user": by_user})


def unpack_error(message: bytes) -> WorkerError | None:
    """What went wrong, where the message says that something did."""
    head, _ = unpack(message)
    return WorkerError(str(head["error"]), bool(head["by_user"])) if "error" in head else None
