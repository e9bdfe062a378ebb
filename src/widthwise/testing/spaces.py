"""What holds for every kind of search space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from widthwise.config import load_config
from widthwise.config.write import tables_of
from widthwise.evaluators.judging import Judging
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.tasks import metric_of
from widthwise.spaces.kinds import SpaceKind, kind_of
from widthwise.testing.evaluators import check_evaluator
from widthwise.testing.holds import holds

if TYPE_CHECKING:
    from widthwise.data.modules import Data
    from widthwise.network.graph import Graph


def check_space_kind(kind: SpaceKind, config: Mapping[str, Any], network: Graph, data: Data) -> None:
    """A kind reads what it writes, makes a space of a network, and its evaluator keeps the contract.

    config: of a search in a space of this kind, which its entry point or the registry must know by name.
    """
    from widthwise.core.importing import load_object

    read = load_config(config)
    settings = read.search.space
    holds(settings.kind == kind.name, "settings say of which kind they are")
    holds(kind_of(settings).name == kind.name, "a kind is found by its name")
    holds(load_config(tables_of(read)).search.space == settings, "what is written is read back as the same")
    space = kind.space(network, data, settings)
    holds(space.size >= 1, "a space has a candidate")
    holds(all(line.isprintable() for line in kind.lines(network, space)), "lines are one line each")
    holds(all(line.isprintable() for line in kind.warnings(space)), "warnings are one line each")
    holds(isinstance(kind.needs_weights(settings), bool), "needs_weights is true or false")
    task = check_data_fits_model(network.network, data, read.task).task
    wanted = [*(o.name for o in read.search.objectives), *task.better, *kind.always]
    costs = [metric_of(task, name).kind == "cost" for name in kind.always]
    holds(all(costs), "what is always stored are costs")
    judging = Judging.of(network.network, data, metrics=list(dict.fromkeys(wanted)), task=task)
    made = load_object(kind.evaluator, what="evaluator")(network, space, data, settings, judging)
    check_evaluator(made, space)
