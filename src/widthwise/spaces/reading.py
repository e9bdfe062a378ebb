"""[search.search_space]: what a search may choose, bit widths and formats or channels."""

from __future__ import annotations

from collections.abc import Iterator

from widthwise.core.errors import UserError, unknown
from widthwise.core.table import Table, as_number
from widthwise.core.toml import shown
from widthwise.network.selection import BY, WidthBy, check_pattern
from widthwise.spaces.format_rules import (
    Choices,
    choices,
    is_unset,
    quantisation_rule,
    rule_tables,
)
from widthwise.spaces.settings import (
    QUANTISATION,
    WIDTH,
    Importance,
    QuantisationSearch,
    SeedRule,
    Weights,
    WidthSearch,
)
from widthwise.training.halving import Halving
from widthwise.training.reading import read_halving, read_training
from widthwise.training.settings import Settings

WIDTH_BY: dict[str, WidthBy] = {"all": "all", **BY}
WEIGHTS: dict[str, Weights] = {"scratch": "scratch", "inherit": "inherit", "supernet": "supernet"}
IMPORTANCE: dict[str, Importance] = {
    "magnitude": "magnitude",
    "batch_norm": "batch_norm",
    "taylor": "taylor",
}
LAB_SETUP = ("model", "dataset", "task", "accelerator", "score_mod")
LAB_WIDTH_NAMES = ("output_only", "both", "input_only")
MULTIPLIERS = ("channel_multiplier", "channel_multiplier_input", "channel_multiplier_output")


def read_space(table: Table, training: Table, base: Settings) -> QuantisationSearch | WidthSearch:
    """The search space by its name; `training` is [search.training], `base` what it starts from."""
    name = table.text("name")
    if name is None:
        table.fail("name", f"is missing; allowed: {QUANTISATION}, {WIDTH}")
    setup, seed = table.table("setup"), table.table("seed")
    table.close()
    if not seed.values:
        raise UserError(f"{seed.where()}: is missing; add [search.search_space.seed.linear.config]")
    if name == QUANTISATION:
        if training.values:
            training.document.ignored.append(training.path)
        return _quantisation(setup, seed)
    if name == WIDTH:
        return _width(setup, seed, training, base)
    raise unknown("search space", name, [QUANTISATION, WIDTH], where=table.where("name"))


def _quantisation(setup: Table, seed: Table) -> QuantisationSearch:
    by = setup.choice("by", BY, "name")
    tie, share_inputs = setup.flag("tie", False), setup.flag("share_inputs", False)
    setup.close(lab=LAB_SETUP)
    found = [quantisation_rule(key, rule) for key, rule in _checked_rules(seed, by)]
    if all(map(_is_float, found)):
        raise UserError(
            f'{seed.where()}: keeps every layer in float; give a rule name = ["integer"] or alike'
        )
    default, rules = _without_default(found)
    return QuantisationSearch(by, rules, default, tie, share_inputs)


def _width(setup: Table, seed: Table, training: Table, base: Settings) -> WidthSearch:
    by = setup.choice("by", WIDTH_BY, "name")
    minimum, maximum = setup.whole("minimum", 1), setup.whole("maximum", None)
    if maximum is not None and maximum < minimum:
        setup.fail("maximum", f"{maximum} is below minimum = {minimum}; leave one out or raise the maximum")
    round_to = setup.whole("round_to", 1)
    weights = setup.choice("weights", WEIGHTS, "scratch")
    importance = setup.choice("importance", IMPORTANCE, "magnitude")
    setup.close(lab=LAB_SETUP)
    found = [_width_rule(key, rule) for key, rule in _checked_rules(seed, by)]
    if all(map(_is_float, found)):
        raise UserError(f"{seed.where()}: changes no width; give a rule channel_multiplier = [1, 2]")
    if by == "all":
        found = [SeedRule("default", _only_rule(found, seed).fields)]
    default, rules = _without_default(found)
    repeats, halving = training.whole("repeats", 1), read_halving(training)
    trained = read_training(training, base)
    training.close(strict=True)
    _check_weights(training, weights, trained, halving)
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
    )


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


def _checked_rules(seed: Table, by: WidthBy) -> Iterator[tuple[str, Table]]:
    """Every rule once; with by = "regex" a key that is a regular expression."""
    seen = set()
    for key, rule in rule_tables(seed):
        if key in seen:  # a.b in quotes and as nested tables
            raise UserError(f"{rule.where()}: {key} is given twice; leave one out")
        seen.add(key)
        if by == "regex" and key != "default":
            check_pattern(key, where=rule.where())
        yield key, rule


def _without_default(rules: list[SeedRule]) -> tuple[SeedRule | None, tuple[SeedRule, ...]]:
    default = next((rule for rule in rules if rule.key == "default"), None)
    return default, tuple(rule for rule in rules if rule is not default)


def _only_rule(rules: list[SeedRule], seed: Table) -> SeedRule:
    if len(rules) != 1 or rules[0].key not in ("all", "default"):
        given = ", ".join(rule.key for rule in rules)
        raise UserError(
            f'{seed.where()}: by = "all" takes one rule, [search.search_space.seed.all.config]; found {given}'
        )
    return rules[0]


def _is_float(rule: SeedRule) -> bool:
    """Whether a rule changes nothing: its only choices are "NA"."""
    return all(is_unset(choice) for _, found in rule.fields for choice in found)


def _width_rule(key: str, table: Table) -> SeedRule:
    """A rule with the choices of multipliers or channels; raises UserError for what gives no channels."""
    table.known.update(dict.fromkeys(("name", *MULTIPLIERS, "channels")))
    table.close(strict=True)
    fields = {field: choices(table, field) for field in table}
    for field, found in fields.items():
        _check_width_choices(table, field, found)
    given = [field for field in fields if field != "name"]
    if not given and not all(is_unset(c) or c == "input_only" for c in fields.get("name", ("both",))):
        table.fail(
            "channel_multiplier", "is missing; write channel_multiplier = [1, 2] or channels = [16, 32]"
        )
    if "channels" in given and len(given) > 1:
        table.fail("channels", f"contradicts {given[given[0] == 'channels']}; leave one of them out")
    if "channel_multiplier" in given and len(given) > 1:
        other = next(field for field in given if field != "channel_multiplier")
        table.fail(other, "contradicts channel_multiplier, which stands for input and output; leave one out")
    return SeedRule(key, tuple(fields.items()))


def _check_width_choices(table: Table, field: str, found: Choices) -> None:
    for choice in found:
        if field == "name":
            if not is_unset(choice) and choice not in LAB_WIDTH_NAMES:
                raise unknown("width change", choice, [*LAB_WIDTH_NAMES, "NA"], where=table.where(field))
        elif field == "channels":
            if isinstance(choice, bool) or not isinstance(choice, int) or choice < 1:
                table.fail(field, f"{shown(choice)} is no whole number from 1")
        elif (as_number(choice) or 0) <= 0:
            table.fail(field, f"{shown(choice)} is no number above 0")
