"""A config from a file or a mapping, with what the command line overrides."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from widthwise.config.read import read_config
from widthwise.config.schema import DeclaredMetric, SearchConfig
from widthwise.config.trust import refuse_code
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.core.table import Document, Table
from widthwise.core.toml import dotted, parse_key, parse_value, read_toml, shown
from widthwise.metrics.catalogue import find_metric
from widthwise.metrics.own import Given, find_metrics

TEXTS = {("model",), ("dataset",), ("load_name",), ("project",)}  # a file may be called 1e5
DEEPEST = 16

Keys = tuple[str, ...]


def load_config(
    config: str | Path | Mapping[str, Any] | SearchConfig,
    overrides: Mapping[str, Any] | None = None,
    *,
    options: Mapping[str, str] | None = None,
    metrics: Sequence[Given] = (),
    untrusted: bool = False,
) -> SearchConfig:
    """The config of a TOML file, of nested mappings or of another config, checked.

    `overrides` maps dotted keys ("search.strategy.setup.n_trials") to values; text is read as a TOML value
    ("[2, 4]", "true") where it is one; None leaves a key as it is. `options` maps keys to what errors call
    them in place of `--set KEY`. `metrics`: one's own, from Python, which the config may name. `untrusted`: a
    config that names code is refused, and none of it imported.
    Raises UserError, one line that names file and key, says what was found and what is allowed.
    """
    label = "config"
    tables: Mapping[str, Any]
    if isinstance(config, SearchConfig):
        tables, label = tables_of(config), config.source
    elif isinstance(config, Mapping):
        tables = config
    elif isinstance(config, str | Path):
        tables, label = read_toml(config), str(config)
    else:
        raise UserError(f"config: is a {type(config).__name__}; give a path or a mapping")
    tables = _plain(tables, Document(label), ())
    given = {}
    for key, value in (overrides or {}).items():
        path = parse_key(str(key))
        if value is not None:
            given[path] = _override(path, value)
            tables = _with(tables, path, given[path])
    if untrusted:
        refuse_code(tables, label)
    names = {parse_key(key): name for key, name in (options or {}).items()}
    own = [DeclaredMetric(metric) for metric in find_metrics(metrics, find_metric)]
    if isinstance(config, SearchConfig):  # tables hold no objects
        own = [*(one for one in config.metrics if one.is_from_python), *own]
    return read_config(Table(tables, (), Document(label, tuple(given), names)), own)


def _override(path: Keys, value: Any) -> Any:
    parsed = parse_value(value) if isinstance(value, str) else value
    if path in TEXTS and not isinstance(parsed, str):
        parsed = value
    return _plain(parsed, Document("config", (path,)), path)


def _with(tables: Mapping[str, Any], path: Keys, value: Any) -> dict[str, Any]:
    """The tables with one value in its place; what was there is left as it was."""
    key, *rest = path
    if not rest:
        return {**tables, key: value}
    inner = tables.get(key)
    if inner is not None and not isinstance(inner, Mapping):
        raise UserError(f"--set {dotted(path)}: {key} is {shown(inner)} and no table; set {key} itself")
    return {**tables, key: _with(inner or {}, tuple(rest), value)}


def _plain(value: Any, document: Document, path: Keys, depth: int = 0) -> Any:
    """The value in the types that TOML has; other numbers (numpy's) by their Python value."""
    if depth > DEEPEST or len(path) > DEEPEST:
        raise UserError(f"{document.where(path[:3])}: is nested too deeply; no key has more than six parts")
    if isinstance(value, Mapping):
        keys = [_key(key, document, path) for key in value]
        inner = zip(keys, value.values(), strict=True)
        return {key: _plain(found, document, (*path, key), depth + 1) for key, found in inner}
    if isinstance(value, list | tuple):
        return [_plain(found, document, path, depth + 1) for found in value]
    if isinstance(value, str | Path):
        return _text(value, document, path) if isinstance(value, str) else str(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise UserError(f"{document.where(path)}: is a number of more than 64 bits; give a smaller one")
    if value is None or isinstance(value, bool | int | float | datetime.date | datetime.time):
        return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _plain(value.item(), document, path, depth + 1)
    return _name_of(value, document.where(path))


def _name_of(value: object, where: str) -> str:
    """A function or class as `module:callable`, by which a run finds it again; UserError where none does."""
    module, name = str(getattr(value, "__module__", "__main__")), str(getattr(value, "__qualname__", ""))
    found = getattr(sys.modules.get(module), name, None) if module != "__main__" else None
    if callable(value) and found is value:
        return f"{module}:{name}"
    kind = type(value).__name__
    named = "; name it module:callable, of a module that can be imported" if callable(value) else ""
    raise UserError(f"{where}: is a {kind}; allowed: text, numbers, true, false, lists, tables{named}")


def _key(key: object, document: Document, path: Keys) -> str:
    if not isinstance(key, str):
        raise UserError(f"{document.where(path)}: has the key {shown(key)}, which is no text")
    return _text(key, document, path)


def _text(text: str, document: Document, path: Keys) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(f"{document.where(path)}: {ascii(text)[:60]} has half a character; mend it") from None
    return text
