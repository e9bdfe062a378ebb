"""The lab's names over our functions: code written for MASE runs with only its import lines changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import fx, nn

from widthwise.core.errors import UserError, unknown
from widthwise.core.plain import plain_lines
from widthwise.mase.data import (
    DatasetInfo,
    InputGenerator,
    MaseDataModule,
    ModelInfo,
    get_dataset_info,
    get_model,
    get_model_info,
    load_model,
)
from widthwise.network.graph import META, Graph
from widthwise.network.layers import layer_type
from widthwise.network.operands import Operand
from widthwise.network.passes.calibrate import calibrate_transform_pass
from widthwise.network.passes.metadata import (
    NodeMeta,
    add_common_metadata_analysis_pass,
    add_software_metadata_analysis_pass,
    init_metadata_analysis_pass,
)
from widthwise.network.passes.quantize import quantize_transform_pass
from widthwise.network.passes.report import GraphReport
from widthwise.network.passes.report import report_graph_analysis_pass as _report_graph
from widthwise.network.passes.report import report_node_meta_param_analysis_pass as _report_nodes
from widthwise.network.passes.summary import QuantizationSummary
from widthwise.network.passes.summary import summarize_quantization_analysis_pass as _summarize
from widthwise.network.passes.width import get_parent_name, instantiate_linear, redefine_linear_transform_pass
from widthwise.network.quantized import Quantized
from widthwise.network.scheme import Scheme
from widthwise.network.stand_in import StandIn

__all__ = [
    "DatasetInfo",
    "InputGenerator",
    "MaseDataModule",
    "MaseGraph",
    "ModelInfo",
    "add_common_metadata_analysis_pass",
    "add_software_metadata_analysis_pass",
    "calibrate_transform_pass",
    "get_dataset_info",
    "get_logger",
    "get_mase_op",
    "get_mase_type",
    "get_model",
    "get_model_info",
    "get_node_actual_target",
    "get_parent_name",
    "init_metadata_analysis_pass",
    "instantiate_linear",
    "load_model",
    "quantize_transform_pass",
    "redefine_linear_transform_pass",
    "report_graph_analysis_pass",
    "report_node_meta_param_analysis_pass",
    "set_logging_verbosity",
    "summarize_quantization_analysis_pass",
]

LOGGER = "widthwise"


class MaseGraph(Graph):
    """A Graph under the lab's name: `.model`, `.fx_graph`, `.modules`, `.nodes`.

    `cf_args` fixes arguments of the network's forward while it is traced, by name.
    """

    def __init__(self, model: nn.Module, cf_args: Mapping[str, Any] | None = None) -> None:
        if cf_args and not isinstance(model, fx.GraphModule):
            traced = fx.Tracer().trace(model, concrete_args=dict(cf_args))
            model = fx.GraphModule(model, traced, type(model).__name__)
        super().__init__(model)

    def _wrapped(self, layer: nn.Module, scheme: Scheme, of: Sequence[Operand] | None) -> Quantized:
        """Passes written for the lab ask for a layer's class and attributes."""
        return StandIn(layer, scheme, of)

    @property
    def nodes(self) -> Any:
        """The fx nodes, in execution order."""
        return self.fx_graph.nodes


def summarize_quantization_analysis_pass(
    graph: Graph,
    pass_args: Graph | Mapping[str, Any] | None = None,
    save_dir: str | Path | None = None,
    *,
    ori_graph: Graph | None = None,
) -> tuple[Graph, QuantizationSummary]:
    """Logs what a quantisation changed, by type and by name; see passes.summary.

    Called as in the lab, with (graph, {"save_dir": …, "original_graph": …}), or as in its earlier years, with
    (ori_graph, graph, save_dir=None).
    """
    if isinstance(pass_args, Graph):
        ori_graph, graph, pass_args = graph, pass_args, None
    args = dict(pass_args or {})
    if ori_graph is not None:
        args["original_graph"] = ori_graph
    if save_dir is not None:
        args["save_dir"] = save_dir
    graph, summary = _summarize(graph, args)
    get_logger(__name__).info("Quantized graph histogram:\n%s", summary)
    return graph, summary


def report_graph_analysis_pass(
    graph: Graph, pass_args: Mapping[str, Any] | None = None, file_name: str | Path | None = None
) -> tuple[Graph, GraphReport]:
    """Prints the graph and what it consists of, or writes it to `file_name`; see passes.report."""
    args = dict(pass_args or {}) | ({"file_name": file_name} if file_name is not None else {})
    graph, report = _report_graph(graph, args)
    if args.get("file_name") is None:
        print(plain_lines(report))  # noqa: T201 - it is what the lab's pass is for
    return graph, report


def report_node_meta_param_analysis_pass(
    graph: Graph, pass_args: Mapping[str, Any] | None = None
) -> tuple[Graph, str]:
    """Logs a table of the nodes' metadata; see passes.report."""
    graph, table = _report_nodes(graph)
    get_logger(__name__).info("%s", table)
    return graph, table


def get_mase_op(node: fx.Node) -> str:
    """The type of a node's layer (linear, relu, add), or placeholder, get_attr, output."""
    meta = node.meta.get(META)
    if isinstance(meta, NodeMeta):
        return meta.type
    if not node.op.startswith("call_"):
        return node.op
    target = get_node_actual_target(node)
    return layer_type(target)


def get_mase_type(node: fx.Node) -> str:
    """The lab's kind of a node: module_related_func (linear, relu), module, builtin_func, implicit_func."""
    if not node.op.startswith("call_"):
        return node.op
    target = get_node_actual_target(node)
    if isinstance(target, nn.Module):
        return "module_related_func" if hasattr(nn.functional, layer_type(target)) else "module"
    if node.op == "call_method":
        return "implicit_func"
    module = getattr(target, "__module__", "") or ""
    return "module_related_func" if module.startswith("torch.nn.functional") else "builtin_func"


def get_node_actual_target(node: fx.Node) -> Any:
    """The module that a node calls, or its function, or the name of its method."""
    if node.op != "call_module":
        return node.target
    owner = node.graph.owning_module
    if owner is None:
        raise UserError(
            f"{node.name}: is a call of a network that runs as it is; use graph.modules[node.target]"
        )
    return owner.get_submodule(str(node.target))


def get_logger(name: str = LOGGER) -> logging.Logger:
    """A logger under ours, so that set_logging_verbosity reaches it."""
    below = name if name == LOGGER or name.startswith(f"{LOGGER}.") else f"{LOGGER}.{name}"
    return logging.getLogger(below)


def set_logging_verbosity(level: str | int = "info") -> None:
    """Logs to standard error from this level on: debug, info, warning, error."""
    logger = logging.getLogger(LOGGER)
    number = logging.getLevelNamesMapping().get(level.upper()) if isinstance(level, str) else level
    if number is None:
        raise unknown("logging level", level, ("debug", "info", "warning", "error"))
    logger.setLevel(number)
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)-8s %(message)s"))
        logger.addHandler(handler)
