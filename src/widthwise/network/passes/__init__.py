"""Passes: from a graph to a graph and what was found; an analysis finds, a transform changes.

Every pass is a function (graph, pass_args) -> (graph, info) that leaves its arguments as they are; it is
imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

PASSES = {
    "add_common_metadata_analysis_pass": "metadata",
    "add_software_metadata_analysis_pass": "metadata",
    "calibrate_transform_pass": "calibrate",
    "equalise_transform_pass": "equalise",
    "fold_batchnorm_transform_pass": "fold",
    "init_metadata_analysis_pass": "metadata",
    "quantize_transform_pass": "quantize",
    "redefine_linear_transform_pass": "width",
    "report_graph_analysis_pass": "report",
    "report_node_meta_param_analysis_pass": "report",
    "summarize_quantization_analysis_pass": "summary",
}

__all__ = list(PASSES)


def __getattr__(name: str) -> Any:
    """The pass of this name."""
    if name not in PASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PASSES[name]}"), name)


def __dir__() -> list[str]:
    """The passes, beside what the module itself has."""
    return sorted({*globals(), *PASSES})
