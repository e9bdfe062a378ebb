"""Search the widths of a neural network: bits and formats of each tensor, channels of each layer."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from widthwise import formats, testing
    from widthwise.config import SearchConfig, load_config
    from widthwise.core.errors import UserError
    from widthwise.data.modules import load_data
    from widthwise.evaluators.engine import Evaluator, evaluate, standard_errors
    from widthwise.evaluators.tabled import SearchTable, TableProblem, load_table, write_table
    from widthwise.evaluators.trained import WidthEvaluator
    from widthwise.export.certify import certify
    from widthwise.export.importing import import_report
    from widthwise.export.latency.latency import measure
    from widthwise.export.torch import load
    from widthwise.export.write import export
    from widthwise.metrics.goals.pareto import hypervolume
    from widthwise.metrics.own import own_metric
    from widthwise.metrics.table_file import cost_table
    from widthwise.network.graph import Graph
    from widthwise.network.layers import register_layer
    from widthwise.network.named import load_checkpoint, load_model, save_checkpoint
    from widthwise.network.scheme import Scheme
    from widthwise.network.widths.resize import resize
    from widthwise.search.comparing import compare
    from widthwise.search.explaining import explain
    from widthwise.search.finetuning import finetune
    from widthwise.search.launch import search
    from widthwise.search.opening import load_run
    from widthwise.spaces.quantisation import QuantisationSpace
    from widthwise.spaces.space import Decision, Space
    from widthwise.spaces.width import WidthSpace
    from widthwise.strategies import strategy
    from widthwise.study.study import Study
    from widthwise.training import fit

__version__ = "0.1.0"

_HOME = {  # where each public name lives; imported on first use, so that importing widthwise imports no torch
    "Decision": "spaces.space",
    "Evaluator": "evaluators.engine",
    "Graph": "network.graph",
    "QuantisationSpace": "spaces.quantisation",
    "Scheme": "network.scheme",
    "SearchConfig": "config",
    "SearchTable": "evaluators.tabled",
    "Space": "spaces.space",
    "Study": "study.study",
    "TableProblem": "evaluators.tabled",
    "UserError": "core.errors",
    "WidthEvaluator": "evaluators.trained",
    "WidthSpace": "spaces.width",
    "certify": "export.certify",
    "compare": "search.comparing",
    "cost_table": "metrics.table_file",
    "evaluate": "evaluators.engine",
    "explain": "search.explaining",
    "export": "export.write",
    "finetune": "search.finetuning",
    "fit": "training",
    "hypervolume": "metrics.goals.pareto",
    "import_report": "export.importing",
    "load": "export.torch",
    "load_checkpoint": "network.named",
    "load_config": "config",
    "load_data": "data.modules",
    "load_model": "network.named",
    "load_run": "search.opening",
    "load_table": "evaluators.tabled",
    "measure": "export.latency.latency",
    "own_metric": "metrics.own",
    "register_layer": "network.layers",
    "resize": "network.widths.resize",
    "save_checkpoint": "network.named",
    "search": "search.launch",
    "standard_errors": "evaluators.engine",
    "strategy": "strategies",
    "write_table": "evaluators.tabled",
}

_MODULES = ("formats", "testing")  # public as a whole

__all__ = [
    "Decision",
    "Evaluator",
    "Graph",
    "QuantisationSpace",
    "Scheme",
    "SearchConfig",
    "SearchTable",
    "Space",
    "Study",
    "TableProblem",
    "UserError",
    "WidthEvaluator",
    "WidthSpace",
    "certify",
    "compare",
    "cost_table",
    "evaluate",
    "explain",
    "export",
    "finetune",
    "fit",
    "formats",
    "hypervolume",
    "import_report",
    "load",
    "load_checkpoint",
    "load_config",
    "load_data",
    "load_model",
    "load_run",
    "load_table",
    "measure",
    "own_metric",
    "register_layer",
    "resize",
    "save_checkpoint",
    "search",
    "standard_errors",
    "strategy",
    "testing",
    "write_table",
]


class _Package(ModuleType):
    """This package: rooms that have the name of a function (search, export) don't take its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"widthwise.{name}")
    if name not in _HOME:
        raise AttributeError(f"module widthwise has no attribute {name}")
    value = getattr(import_module(f"widthwise.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
