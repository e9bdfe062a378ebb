"""The layers of a picked trial looked at once the search is over: sizes, work, what formats do to data."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from widthwise.core.importing import describe_error
from widthwise.network.passes.metadata import propagate
from widthwise.network.passes.storing import stored_elements
from widthwise.network.passes.summary import summarize_quantization_analysis_pass
from widthwise.study.layer_figures import LayerFigures, NodeFigures, TensorFigures

if TYPE_CHECKING:
    from widthwise.network.graph import Graph
    from widthwise.search.problem import Problem
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

SAMPLES = 256

logger = logging.getLogger(__name__)


def keep_layers(problem: Problem, study: Study, trial: Trial, folder: Path) -> None:
    """Writes them into the run folder; nothing where the run keeps no network of the trial."""
    if problem.own_evaluator:
        return
    try:
        graph = study.network(trial)
        arguments = {"data": problem.data, "samples": SAMPLES}
        summary = summarize_quantization_analysis_pass(graph, arguments)[1]
        tensors = tuple(
            TensorFigures(
                found.layer,
                found.tensor,
                repr(found.format),
                found.statistics.minimum,
                found.statistics.maximum,
                found.statistics.clipped,
                found.statistics.snr_db,
            )
            for found in summary.tensors
        )
        nodes = _nodes(graph, study, trial)
        LayerFigures(trial.number, SAMPLES, nodes, tensors).write(folder)
    except Exception as error:  # what was found is kept: this only shows it
        logger.warning("the layers of the picked trial could not be looked at: %s", describe_error(error))


def _nodes(graph: Graph, study: Study, trial: Trial) -> tuple[NodeFigures, ...]:
    """In execution order; attributes that nodes read are none."""
    metas = propagate(graph, study.realised(trial).example())
    stored = stored_elements(graph)
    found = []
    for node in graph.fx_graph.nodes:
        if node.op == "get_attr":
            continue
        cost, held = metas[node.name].cost, stored[node.name]
        parameters = held.weight_elements + held.bias_elements + held.other_parameters
        reads = tuple(n.name for n in node.all_input_nodes if n.op != "get_attr")
        kind = node.op if node.op in ("placeholder", "output") else str(metas[node.name].type)
        found.append(NodeFigures(node.name, kind, reads, parameters, cost.macs if cost is not None else 0))
    return tuple(found)
