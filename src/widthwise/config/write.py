"""A config as tables in the lab's schema, and as TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from widthwise.config.budgets import TARGET
from widthwise.config.metrics import write_metrics
from widthwise.config.schema import Search, SearchConfig
from widthwise.core.toml import dumps
from widthwise.metrics.timing import Timing
from widthwise.spaces.kinds import kind_of
from widthwise.training.finetuning.reading import write_finetuning
from widthwise.training.reading import lab_keys


def tables_of(config: SearchConfig) -> dict[str, Any]:
    """Nested dicts that `load_config` reads back as an equal config; what is None is left out."""
    plain = (
        "model",
        "dataset",
        "load_name",
        "load_type",
        "batch_size",
        "seed",
        "accelerator",
        "project",
        "task",
        "output",
    )
    tables: dict[str, Any] = {key: getattr(config, key) for key in plain}
    tables |= {key: getattr(config.training, name) for name, key in lab_keys().items()}
    tables["data"] = _fields(config.data)
    tables["metrics"] = write_metrics(config.metrics)
    if config.searching is not None:
        tables["search"] = _search(config.searching)
    return _without_none(tables)


def toml_of(config: SearchConfig) -> str:
    """The resolved config as TOML text, always the same for equal configs."""
    return dumps(tables_of(config))


def _search(search: Search) -> dict[str, Any]:
    evaluation = search.evaluation
    strategy: dict[str, Any] = {
        "name": search.strategy.name,
        "sw_runner": {
            "basic_evaluation": {
                "data_loader": f"{evaluation.part}_dataloader",
                "num_samples": evaluation.samples,
            }
        },
        "hw_runner": {
            "average_bitwidth": {"compare_to": evaluation.compare_to},
            "latency": None if search.timing == Timing() else _fields(search.timing),
        },
        "setup": {
            "n_trials": search.trials,
            "timeout": search.timeout,
            "n_jobs": search.jobs,
            "sum_scaled_metrics": search.summed,
            "direction": search.direction,
            "uniform_first": None if search.uniform_first else False,
        },
        "options": dict(search.strategy.options) or None,
        "metrics": {o.name: {"scale": o.scale, "direction": o.direction} for o in search.objectives},
    }
    space = kind_of(search.space).write(search.space)
    tables = {"search_space": space.pop("search_space"), "strategy": strategy, **space}
    if search.finetune is not None:
        tables |= write_finetuning(search.finetune)
    bounds: dict[str, Any] = {} if search.target is None else {TARGET: search.target}
    for constraint in search.constraints:
        bounds.setdefault(constraint.name, []).append(f"{constraint.op} {constraint.bound!r}")
    return {**tables, "constraints": bounds or None}


def _fields(settings: Any) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in fields(settings)}


def _without_none(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in tables.items()
        if value is not None
    }
