"""What of a config is code: seen before anything is imported, and refused where configs aren't trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.data.modules import DATA, FILE_TYPES, data_source
from widthwise.metrics.quality.tasks import TASKS
from widthwise.network.named import MODELS, model_source
from widthwise.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from widthwise.config import SearchConfig

KEYS = {"model": "model", "dataset": "dataset", "task": "task", "strategy": "search.strategy.name"}


def code_in(config: SearchConfig) -> tuple[str, ...]:
    """What loading this config imports and calls beside widthwise itself, as "model my.module:build".

    Nothing else of a config is ever run: names of metrics, formats, layers and built-ins are looked up in
    tables, files are read as data. `optunahub/package` is code too, which is downloaded. Imports nothing.
    """
    found = {}
    if config.model is not None and MODELS.is_code(model_source(config.model)):
        found["model"] = config.model
    if config.dataset is not None and is_callable(data_source(config.dataset)):
        found["dataset"] = config.dataset
    if TASKS.is_code(config.task):
        found["task"] = config.task
    if config.searching is not None and config.searching.strategy.name not in STRATEGIES:
        found["strategy"] = config.searching.strategy.name
    return tuple(f"{kind} {name}" for kind, name in found.items())


def is_callable(source: str) -> bool:
    """Whether a data source is a module:callable, and no built-in data set and no file."""
    return not source.lower().endswith(FILE_TYPES) and DATA.is_code(source)


def check(config: SearchConfig, *, untrusted: bool = True) -> tuple[str, ...]:
    """What `code_in` finds; raises UserError that names the keys where a config may not run code."""
    found = code_in(config)
    if found and untrusted:
        named = ", ".join(
            f"{KEYS[kind]} = {name}" for kind, _, name in (entry.partition(" ") for entry in found)
        )
        raise UserError(
            f"{config.source}: {named}: names code that would run, which --untrusted refuses; "
            "read that code, then leave --untrusted out, or name a built-in"
        )
    return found
