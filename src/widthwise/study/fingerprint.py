"""What changes the results of a search, as short values and hashes, and how two searches differ in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError
from widthwise.metrics.goals.aim import Aim
from widthwise.spaces.space import Space
from widthwise.study.store.records import jsonable

if TYPE_CHECKING:
    from torch import nn

VERSIONED = ("widthwise", "torch", "numpy", "optuna")
CAUSES = {  # what changes with something else, which then is what to restore
    "data": ("seed", "evaluation"),  # how it is split, and which part is judged on
    "weights": ("seed",),  # where they are random
    "candidates": ("space",),
    "metrics": ("objectives", "constraints"),
}


def fingerprint(
    *,
    space: Space,
    aim: Aim,
    metrics: Iterable[str],
    strategy: str,
    seed: int,
    weights: str,
    data: str,
    options: Mapping[str, Any] | None = None,
    **others: Any,
) -> dict[str, str]:
    """Everything by name; `weights` and `data` are hashes of arrays, `others` whatever else matters."""
    decisions = [(decision.name, decision.choices) for decision in space.decisions]
    values = {
        "weights": weights,
        "data": data,
        "space": f"{space.size:,} candidates, {hash_value(decisions)}",
        "metrics": ", ".join(metrics),
        "objectives": _text(aim.as_json()),
        "strategy": strategy,
        "options": _text(dict(options or {})),
        "seed": str(seed),
    }
    versions = {f"version of {name}": found for name in VERSIONED if (found := _version(name))}
    return {**values, **{name: _text(value) for name, value in others.items()}, **versions}


def hash_value(value: Any) -> str:
    """A short hash of anything that JSON or `str` can say."""
    return hashlib.blake2b(_text(value).encode(), digest_size=8).hexdigest()


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
    """A short hash of data as a loader gives it: batches of tensors."""
    return hash_arrays(
        (f"{number}.{part}", array)
        for number, batch in enumerate(batches)
        for part, array in enumerate(batch)
    )


def differences(stored: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs, an entry each, as "seed: 0 then, 1 now"; not what may only follow from another entry."""
    names = [*stored, *(name for name in now if name not in stored)]
    changed = {name for name in names if stored.get(name) != now.get(name)}
    return [
        f"{name}: {stored.get(name, 'none')} then, {now.get(name, 'none')} now"
        for name in names
        if name in changed and changed.isdisjoint(CAUSES.get(name, ()))
    ]


def check_same(stored: Mapping[str, str], now: Mapping[str, str], where: str) -> None:
    """Raises UserError with all that differs, where anything does."""
    if found := differences(stored, now):
        raise UserError(
            f"{where}: was searched with something else, so it can't be resumed: {'; '.join(found)}; "
            "restore that, or start a new study beside it (--force-new)"
        )


def _numbers(array: Any) -> np.ndarray[Any, np.dtype[Any]]:
    if hasattr(array, "detach"):
        import torch

        plain = array.detach().cpu().contiguous()
        if plain.dtype == torch.bfloat16:  # numpy has no such type: its bits will do
            plain = plain.view(torch.int16)
        return np.asarray(plain.numpy())
    return np.asarray(array)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, default=jsonable, sort_keys=True, ensure_ascii=False)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
