"""Searches of formats and channels together: what a config says of them, each part read by its own kind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from widthwise.core.table import Table
from widthwise.spaces.format_rules import rule_tables
from widthwise.spaces.kinds import SearchTables, SpaceKind
from widthwise.spaces.quantisation_kind import QuantisationKind
from widthwise.spaces.reading import LAB_SETUP
from widthwise.spaces.settings import ALL, CORRECT, EQUALISE, FOLD_BATCHNORM, JOINT, JointSearch
from widthwise.spaces.width_kind import SETUP as WIDTH_SETUP
from widthwise.spaces.width_kind import WidthKind
from widthwise.spaces.width_reading import LAB_WIDTH_NAMES, MULTIPLIERS

if TYPE_CHECKING:
    from widthwise.data.modules import Data
    from widthwise.network.graph import Graph
    from widthwise.spaces.joint import JointSpace

FORMATS, WIDTHS = QuantisationKind(), WidthKind()
FORMAT_SETUP = ("by", "tie", "share_inputs", "untie", FOLD_BATCHNORM, EQUALISE, CORRECT)
WIDTH_KEYS = (*MULTIPLIERS, "channels")
INHERIT: dict[str, Any] = {"weights": "inherit"}  # by default: formats are of weights that are there
NOT_HERE = ("repeats", "halving", "stacked")


class JointKind:
    """How many channels each group has and which format each tensor, in one candidate."""

    name: str = JOINT
    always: tuple[str, ...] = ("average_bitwidth", "model_size", "parameters", "macs")
    evaluator: str = "widthwise.evaluators.joint:for_space"

    def read(self, tables: SearchTables) -> JointSearch:
        """Each rule's channels and formats apart, and in [search.training] how each width is trained."""
        setup, training = tables.setup, tables.training
        setup.known.update(dict.fromkeys((*FORMAT_SETUP, *WIDTH_SETUP)))
        setup.close(lab=LAB_SETUP)
        of_formats, of_widths = _apart(tables.seed)
        for_formats = {key: setup.values[key] for key in FORMAT_SETUP if key in setup.values}
        for_widths = INHERIT | {key: setup.values[key] for key in WIDTH_SETUP if key in setup.values}
        if ALL in of_widths:
            for_widths["by"] = ALL
        seed, nothing = tables.seed, _with(training, {})
        formats = SearchTables(_with(setup, for_formats), _with(seed, of_formats), nothing, tables.base)
        widths = SearchTables(_with(setup, for_widths), _with(seed, of_widths), training, tables.base)
        found = JointSearch(FORMATS.read(formats), WIDTHS.read(widths))
        channels = found.widths
        others = {"repeats": channels.repeats > 1, "halving": channels.halving, "stacked": channels.stacked}
        for key, given in others.items():
            if given:
                training.fail(key, 'is for searches of channels alone ("graph/width"); leave it out')
        return found

    def write(self, settings: JointSearch) -> dict[str, Any]:
        """The space, its rules put together again, and how each width is trained."""
        formats, widths = FORMATS.write(settings.formats), WIDTHS.write(settings.widths)
        of_formats, of_widths = formats["search_space"], widths["search_space"]
        rules: dict[str, Any] = {key: dict(rule["config"]) for key, rule in of_formats["seed"].items()}
        for key, rule in of_widths["seed"].items():
            whole = settings.widths.by == ALL and key == "default"
            rules.setdefault(ALL if whole else key, {}).update(rule["config"])
        setup = {**of_widths["setup"], **of_formats["setup"]}
        seed = {key: {"config": config} for key, config in rules.items()}
        training = {key: value for key, value in widths["training"].items() if key not in NOT_HERE}
        return {"search_space": {"name": self.name, "setup": setup, "seed": seed}, "training": training}

    def network(self, network: Graph, settings: JointSearch) -> Graph:
        """The network with its batch norms folded, where that is asked: widths are trained before that."""
        return FORMATS.network(network, settings.formats)

    def space(self, network: Graph, data: Data, settings: JointSearch) -> JointSpace:
        """The sizes and the formats that the rules allow."""
        from widthwise.spaces.joint import JointSpace
        from widthwise.spaces.quantisation import QuantisationSpace
        from widthwise.spaces.width_rules import width_space

        widths = width_space(network.unfolded or network, settings.widths, example=data)
        return JointSpace(network, widths, partial(QuantisationSpace.from_config, search=settings.formats))

    def needs_weights(self, settings: JointSearch) -> bool:
        """Only where candidates inherit them."""
        return WIDTHS.needs_weights(settings.widths)

    def lines(self, network: Graph, space: JointSpace) -> list[str]:
        """The sizes of each group, then the formats of each layer."""
        return [*WIDTHS.lines(network, space.widths), *FORMATS.lines(network, space.formats)]

    def warnings(self, space: JointSpace) -> list[str]:
        """Those of both, and how many candidates are the same network as another."""
        once = "candidates that are the same network, as a layer in float has no bits, are searched once"
        both = [*WIDTHS.warnings(space.widths), *FORMATS.warnings(space.formats)]
        return list(dict.fromkeys([*both, *([once] if space.has_spare else [])]))


KIND: SpaceKind = JointKind()


def _apart(seed: Table) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the rules say of formats, and what of channels, by key."""
    of_formats: dict[str, Any] = {}
    of_widths: dict[str, Any] = {}
    for key, rule in rule_tables(seed):
        names = rule.values.get("name", [])
        names = names if isinstance(names, list) else [names]
        sides = [name for name in names if name in LAB_WIDTH_NAMES]
        if sides and len(sides) < len(names):
            rule.fail(
                "name",
                f"{sides[0]} is a side of a layer and the others are formats; give the formats here, and say "
                "the side by channel_multiplier_input or channel_multiplier_output",
            )
        own = (*WIDTH_KEYS, "name") if sides else WIDTH_KEYS
        of_widths |= _config(key, {name: value for name, value in rule.values.items() if name in own})
        of_formats |= _config(key, {name: value for name, value in rule.values.items() if name not in own})
    return of_formats, of_widths


def _config(key: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: {"config": dict(values)}} if values else {}


def _with(table: Table, values: Mapping[str, Any]) -> Table:
    """A table at the place of another."""
    return Table(values, table.path, table.document)
