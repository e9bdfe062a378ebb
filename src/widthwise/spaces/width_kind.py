"""Searches of channels: what a config says of them, and what it means for each group."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.table import Table
from widthwise.network.selection import BY, WidthBy
from widthwise.spaces.kinds import SearchTables, SpaceKind
from widthwise.spaces.reading import (
    LAB_SETUP,
    checked_rules,
    is_float,
    left_out_line,
    seed_tables,
    single_line,
    without_default,
)
from widthwise.spaces.settings import ALL, FOLD_BATCHNORM, WIDTH, Importance, SeedRule, Weights, WidthSearch
from widthwise.spaces.width_reading import width_rule
from widthwise.training.halving import Halving
from widthwise.training.reading import read_halving, read_training
from widthwise.training.settings import Settings

if TYPE_CHECKING:
    from widthwise.data.modules import Data
    from widthwise.network.graph import Graph
    from widthwise.spaces.width import WidthSpace

WIDTH_BY: dict[str, WidthBy] = {"all": "all", **BY}
WEIGHTS: dict[str, Weights] = {"scratch": "scratch", "inherit": "inherit", "supernet": "supernet"}
IMPORTANCE: dict[str, Importance] = {
    "magnitude": "magnitude",
    "batch_norm": "batch_norm",
    "taylor": "taylor",
}
SETUP = ("by", "round_to", "minimum", "maximum", "weights", "importance")


class WidthKind:
    """How many channels each group of layers has; candidates are trained, tuned, or read off a supernet."""

    name: str = WIDTH
    always: tuple[str, ...] = ("parameters", "macs")
    evaluator: str = "widthwise.evaluators.trained:for_space"

    def read(self, tables: SearchTables) -> WidthSearch:
        """The rules, and in [search.training] how candidates are trained."""
        setup, seed, training = tables.setup, tables.seed, tables.training
        by = setup.choice("by", WIDTH_BY, "name")
        minimum, maximum = setup.whole("minimum", 1), setup.whole("maximum", None)
        if maximum is not None and maximum < minimum:
            setup.fail(
                "maximum", f"{maximum} is below minimum = {minimum}; leave one out or raise the maximum"
            )
        round_to = setup.whole("round_to", 1)
        weights = setup.choice("weights", WEIGHTS, "scratch")
        importance = setup.choice("importance", IMPORTANCE, "magnitude")
        if setup.flag(FOLD_BATCHNORM, False):
            setup.fail(
                FOLD_BATCHNORM,
                "is for searches of formats: networks of other widths keep their batch norms; leave it out",
            )
        setup.close(lab=LAB_SETUP)
        found = [width_rule(key, rule) for key, rule in checked_rules(seed, by)]
        if all(map(is_float, found)):
            raise UserError(f"{seed.where()}: changes no width; give a rule channel_multiplier = [1, 2]")
        if by == "all":
            found = _for_all(found, seed)
        default, rules = without_default(found)
        repeats, halving = training.whole("repeats", 1), read_halving(training)
        stacked = training.flag("stacked", False)
        trained = read_training(training, tables.base)
        training.close(strict=True)
        _check_weights(training, weights, trained, halving)
        if stacked:
            _check_stacked(training, weights, trained)
        return WidthSearch(
            by,
            rules,
            default,
            round_to,
            minimum,
            maximum,
            weights,
            importance,
            training=trained,
            repeats=repeats,
            halving=halving,
            stacked=stacked,
        )

    def write(self, settings: WidthSearch) -> dict[str, Any]:
        """The space, and how candidates are trained."""
        setup = {key: getattr(settings, key) for key in SETUP}
        seed = seed_tables(settings.default, settings.rules)
        training = {
            **_fields(settings.training),
            "repeats": settings.repeats,
            "stacked": settings.stacked,
            "halving": None if settings.halving is None else _fields(settings.halving),
        }
        return {
            "search_space": {"name": self.name, "setup": setup, "seed": seed},
            "training": training,
        }

    def space(self, network: Graph, data: Data, settings: WidthSearch) -> WidthSpace:
        """The sizes that the rules allow."""
        from widthwise.spaces.width_rules import width_space

        return width_space(network, settings, example=data)

    def needs_weights(self, settings: WidthSearch) -> bool:
        """Only where candidates inherit them."""
        return settings.weights == "inherit"

    def lines(self, network: Graph, space: WidthSpace) -> list[str]:
        """The sizes of each group."""
        return [
            f"{choice.group}: {', '.join(f'{size:,}' for size in choice.sizes)} channels ({choice.kind})"
            for choice in space.choices
        ]

    def warnings(self, space: WidthSpace) -> list[str]:
        """Rules for another way to select layers, and a space with nothing to choose."""
        chosen = ", ".join(f"{c.group} can have {c.sizes[0]:,} channels" for c in space.choices)
        return [*left_out_line(space.by, space.unused), *single_line(space, chosen)]


KIND: SpaceKind = WidthKind()


def _check_weights(table: Table, weights: Weights, training: Settings, halving: Halving | None) -> None:
    """Raises UserError for settings that mean nothing for candidates with such weights."""
    if training.distil and weights != "inherit":
        table.fail(
            "distil",
            f"{training.distil:g} needs a teacher, which is the network that candidates inherit from; set "
            'weights = "inherit" in [search.search_space.setup], or leave distil out',
        )
    if halving is not None and weights == "supernet":
        table.fail(
            "halving",
            'is about candidates that are trained one by one; weights = "supernet" trains all together, so '
            "leave one of them out",
        )


def _check_stacked(table: Table, weights: Weights, training: Settings) -> None:
    """Raises UserError where several can't be trained at once."""
    if weights == "supernet":
        table.fail("stacked", "true is about candidates that are trained each; a supernet is one training")
    if training.mixed_precision:
        table.fail("stacked", "true goes without mixed_precision, which scales one loss; leave one out")


def _for_all(rules: list[SeedRule], seed: Table) -> list[SeedRule]:
    """The rules with that for all groups as the default; others are for another `by`."""
    every = [rule for rule in rules if rule.key in (ALL, "default") and not is_float(rule)]
    if len(every) != 1:
        given = ", ".join(rule.key for rule in rules)
        raise UserError(
            f'{seed.where()}: by = "all" takes one rule, [search.search_space.seed.all.config]; found {given}'
        )
    others = [rule for rule in rules if rule.key not in (ALL, "default")]
    return [SeedRule("default", every[0].fields), *others]


def _fields(settings: Settings | Halving) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in fields(settings)}
