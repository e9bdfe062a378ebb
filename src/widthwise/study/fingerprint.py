"""What changes the results of a search, as short values and hashes, and how two searches differ in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from widthwise.core.counting import count_text
from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_value, text_of
from widthwise.metrics.goals.aim import Aim
from widthwise.spaces.space import Space

VERSIONED = ("widthwise", "torch", "numpy", "optuna")
PROPOSALS = "proposals"  # how they are drawn, where that is not as it always was
NETWORKS, EACH_ONCE = "networks", "each once"  # where candidates may be the same network as others
_BEFORE = {PROPOSALS: "by the history of one generator"}  # what it was before it was noted
CAUSES = {  # what changes with something else, which then is what to restore
    "data": ("seed", "evaluation"),  # how it is split, and which part is judged on
    "weights": ("seed",),  # where they are random
    "candidates": ("space",),
    "metrics": ("objectives", "constraints", "own metrics"),
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
        "space": f"{_size(space)} candidates, {hash_value(decisions)}",
        "metrics": ", ".join(metrics),
        "objectives": text_of(aim.as_json()),
        "strategy": strategy,
        "options": text_of(dict(options or {})),
        "seed": str(seed),
    }
    versions = {f"version of {name}": found for name in VERSIONED if (found := _version(name))}
    return {**values, **{name: text_of(value) for name, value in others.items()}, **versions}


def _size(space: Space) -> str:
    """Written out as it always was, where Python writes that many digits at all."""
    return f"{space.size:,}" if space.size < 10**4000 else count_text(space.size)


def differences(stored: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs, an entry each, as "seed: 0 then, 1 now"; not what may only follow from another entry."""
    names = [*stored, *(name for name in now if name not in stored)]
    changed = {name for name in names if stored.get(name) != now.get(name)}
    return [
        f"{name}: {_readable(name, stored.get(name, _BEFORE.get(name, 'none')))} then, "
        f"{_readable(name, now.get(name, 'none'))} now"
        for name in names
        if name in changed and changed.isdisjoint(CAUSES.get(name, ()))
    ]


def _readable(name: str, text: str) -> str:
    """Objectives as people write them; all else as it is stored."""
    if name != "objectives":
        return text
    try:
        aim = json.loads(text)
        each = [f"{one['direction']} {one['name']} (scale {one['scale']:g})" for one in aim["objectives"]]
        summed = f"{aim['direction']} the sum of " if aim["summed"] else ""
    except (ValueError, KeyError, TypeError):
        return text
    return summed + " and ".join(each)


def check_same(stored: Mapping[str, str], now: Mapping[str, str], where: str) -> None:
    """Raises UserError with all that differs, where anything does."""
    if found := differences(stored, now):
        raise UserError(
            f"{where}: was searched with something else, so it can't be resumed: {'; '.join(found)}; "
            "restore that, or start a new study beside it (--force-new)"
        )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
