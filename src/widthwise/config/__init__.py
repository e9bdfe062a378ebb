"""Configs: the lab's TOML schema, checked at the door, as typed objects (imports nothing heavy)."""

from __future__ import annotations

from widthwise.config.load import load_config
from widthwise.config.schema import DataOptions, Evaluation, Search, SearchConfig, StrategySettings
from widthwise.config.template import default_config_text, example_names, example_text

__all__ = [
    "DataOptions",
    "Evaluation",
    "Search",
    "SearchConfig",
    "StrategySettings",
    "default_config_text",
    "example_names",
    "example_text",
    "load_config",
]
