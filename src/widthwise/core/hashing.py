"""Short hashes of anything that decides a result: values, arrays, weights, batches of data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn


def hash_value(value: Any) -> str:
    """A short hash of anything that JSON or `str` can say."""
    return hashlib.blake2b(text_of(value).encode(), digest_size=8).hexdigest()


def hash_arrays(arrays: Iterable[tuple[str, Any]]) -> str:
    """A short hash of named arrays or tensors: names, types, shapes and every byte, in their order."""
    digest = hashlib.blake2b(digest_size=8)
    for name, array in arrays:
        values = _numbers(array)
        digest.update(f"{name}\0{values.dtype.str}\0{values.shape}\0".encode())
        digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def hash_weights(model: nn.Module) -> str:
    """A short hash of a network's weights and buffers."""
    return hash_arrays(model.state_dict().items())


def hash_batches(batches: Iterable[Iterable[Any]]) -> str:
    """A short hash of data as a loader gives it: batches of tensors, nested or by name."""
    return hash_arrays(
        (f"{number}.{part}", array) for number, batch in enumerate(batches) for part, array in _parts(batch)
    )


def _parts(batch: Any) -> Iterator[tuple[str, Any]]:
    """The arrays of a batch, each by the keys and indices that lead to it; of anything else what is plain."""
    entries = batch.items() if isinstance(batch, Mapping) else enumerate(batch)
    for key, value in entries:
        if isinstance(value, Mapping | tuple | list):
            yield from ((f"{key}.{inner}", array) for inner, array in _parts(value))
        elif hasattr(value, "shape"):
            yield str(key), value
        else:
            yield str(key), value if isinstance(value, str | int | float) else type(value).__name__


def _numbers(array: Any) -> np.ndarray[Any, np.dtype[Any]]:
    if hasattr(array, "detach"):
        import torch

        plain = array.detach().cpu().contiguous()
        if plain.dtype == torch.bfloat16:  # numpy has no such type: its bits will do
            plain = plain.view(torch.int16)
        return np.asarray(plain.numpy())
    return np.asarray(array)


def text_of(value: Any) -> str:
    """A string as it is, and anything else as JSON says it, the same for equal values."""
    if isinstance(value, str):
        return value
    return json.dumps(value, default=jsonable, sort_keys=True, ensure_ascii=False)


def jsonable(value: Any) -> Any:
    """A value that JSON can't hold as one that it can: dataclasses by field, the rest as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if hasattr(value, "item"):  # numbers of numpy
        return value.item()
    return str(value)
