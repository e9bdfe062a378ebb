"""Options in groups: a command takes a dataclass, and its fields are options of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer reads it: each group among its parameters is replaced by the group's own fields.

    A group is a dataclass whose fields are declared as options of a command are, each with a default.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind) and isinstance(kind, type)}
    taken: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            taken |= {option.name: option for option in _options(groups[name])}
        else:
            taken[name] = parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hints[name])

    @wraps(command)
    def run(**given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**made, **given)

    run.__annotations__ = {name: parameter.annotation for name, parameter in taken.items()}
    run.__signature__ = inspect.Signature(list(taken.values()))  # type: ignore[attr-defined]
    return run


def _options(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(field.name, kind, default=field.default, annotation=hints[field.name])
        for field in fields(group)
    ]
