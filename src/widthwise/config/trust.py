"""What of a config is code: seen before anything is imported, and refused where configs aren't trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widthwise.config.budgets import TARGET
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.core.registry import OWN, Registry
from widthwise.core.toml import dotted
from widthwise.data.modules import DATA, FILE_TYPES
from widthwise.formats import REGISTRY as FORMATS
from widthwise.metrics.catalogue import REGISTRY as METRICS
from widthwise.metrics.catalogue import known_metric
from widthwise.metrics.quality.tasks import TASKS
from widthwise.network.forms import EXPORTERS
from widthwise.network.named import MODELS
from widthwise.spaces.format_rules import named_formats
from widthwise.spaces.kinds import KINDS
from widthwise.strategies.registry import HUB_PREFIX
from widthwise.strategies.registry import REGISTRY as STRATEGIES

if TYPE_CHECKING:
    from widthwise.config import SearchConfig

Keys = tuple[str, ...]

STRATEGY: Keys = ("search", "strategy")
TRAINING: Keys = ("search", "training")
SPACE: Keys = ("search", "search_space")
CONSTRAINTS: Keys = ("search", "constraints")
SEED: Keys = (*SPACE, "seed")


@dataclass(frozen=True)
class Code:
    """A name in a config for which code that is not part of widthwise is imported.

    kind: "model", "metric" …; key: where it stands; package: the plug-in that it is from, if it is from one.
    """

    kind: str
    key: str
    name: str
    package: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" (package {self.package})" if self.package else "")

    @property
    def at_its_key(self) -> str:
        """As "model = my.module:build"."""
        return f"{self.key} = {self.name}" + (f" (package {self.package})" if self.package else "")


def code_in(config: SearchConfig) -> tuple[str, ...]:
    """What loading this config imports and calls beside widthwise itself, as "model my.module:build".

    Nothing else of a config is ever run: other names are looked up in tables, files are read as data.
    `optunahub/package` is code too, which is downloaded. Imports nothing.
    """
    return tuple(map(str, check(config, untrusted=False)))


def check(config: SearchConfig, *, untrusted: bool = True) -> tuple[Code, ...]:
    """What `code_in` finds; raises UserError that names the keys where a config may not run code."""
    tables = tables_of(config)
    if untrusted:
        refuse_code(tables, config.source)
    return tuple(dict.fromkeys(_code(tables)))


def refuse_code(tables: Mapping[str, Any], label: str) -> None:
    """Raises UserError where the tables of a config, read or not, name code. Imports nothing."""
    found = [code.at_its_key for code in dict.fromkeys(_code(tables))]
    if found:
        raise UserError(
            f"{label}: {', '.join(found)}: names code that would run, which --untrusted refuses; "
            "read that code, then leave --untrusted out, or name a built-in"
        )


def _code(tables: Mapping[str, Any]) -> Iterator[Code]:
    """Everything in the tables that is found by a name and is code; in the order of the file."""
    for kind, key, name, registry in _named(tables):
        if not isinstance(name, str):
            continue
        entry = None if ":" in name else registry.get(name)
        if entry is not None and entry.package != OWN:
            yield Code(kind, key, name, entry.package)
        elif _is_callable(kind, name):
            yield Code(kind, key, name)


def _is_callable(kind: str, name: str) -> bool:
    """Whether a name is of the form module:callable, or of a package that is downloaded."""
    if kind == "dataset" and name.lower().endswith(FILE_TYPES):
        return False
    return ":" in name or (kind == "strategy" and name.lower().startswith(HUB_PREFIX))


def _named(tables: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Registry[Any]]]:
    """Kind, key, name and registry of what a config names; names may be of any type, as they stand."""
    yield "model", "model", tables.get("model"), MODELS
    yield "dataset", "dataset", tables.get("dataset"), DATA
    yield "task", "task", tables.get("task"), TASKS
    for place in ((), TRAINING):
        yield "loss", dotted((*place, "loss")), _under(tables, place).get("loss"), TASKS
    yield "space", dotted((*SPACE, "name")), _under(tables, SPACE).get("name"), KINDS
    strategy = _under(tables, STRATEGY)
    yield "strategy", dotted((*STRATEGY, "name")), strategy.get("name"), STRATEGIES
    setup = (*STRATEGY, "setup")
    yield "strategy", dotted((*setup, "sampler")), _under(tables, setup).get("sampler"), STRATEGIES
    declared = _under(tables, ("metrics",))
    for name in declared:
        yield "metric", dotted(("metrics", name, "source")), _under(declared, (name,)).get("source"), METRICS
    for place in ((*STRATEGY, "metrics"), CONSTRAINTS):
        for name in _under(tables, place):
            if name not in declared and known_metric(str(name)) is None:
                yield "metric", dotted(place), name, METRICS
    yield "export form", dotted((*CONSTRAINTS, TARGET)), _under(tables, CONSTRAINTS).get(TARGET), EXPORTERS
    for keys, name in named_formats(_under(tables, SEED)):
        yield "format", dotted((*SEED, *keys)), name, FORMATS


def _under(tables: Mapping[str, Any], path: Keys) -> Mapping[str, Any]:
    """The table at a path, empty where there is none."""
    found: Any = tables
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
