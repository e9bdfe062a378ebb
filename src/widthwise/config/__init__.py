"""Configs: the lab's TOML schema, checked at the door, as typed objects (imports nothing heavy)."""

from __future__ import annotations

from widthwise.config.constraints import parse_constraint
from widthwise.config.load import load_config
from widthwise.config.schema import (
    Constraint,
    DataOptions,
    Evaluation,
    Objective,
    QuantisationSearch,
    Search,
    SearchConfig,
    SeedRule,
    StrategySettings,
    Training,
    WidthSearch,
)
from widthwise.config.template import default_config_text, example_names, example_text

__all__ = [
    "Constraint",
    "DataOptions",
    "Evaluation",
    "Objective",
    "QuantisationSearch",
    "Search",
    "SearchConfig",
    "SeedRule",
    "StrategySettings",
    "Training",
    "WidthSearch",
    "default_config_text",
    "example_names",
    "example_text",
    "load_config",
    "parse_constraint",
]
