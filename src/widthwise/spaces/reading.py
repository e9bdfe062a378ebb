"""Rules of a seed, which every kind of space has: each once, the default apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.table import Table
from widthwise.formats.base import UNSET
from widthwise.network.selection import WidthBy, check_pattern
from widthwise.spaces.format_rules import rule_tables
from widthwise.spaces.settings import SeedRule

if TYPE_CHECKING:
    from widthwise.spaces.space import Space

LAB_SETUP = ("model", "dataset", "task", "accelerator", "score_mod")


def checked_rules(seed: Table, by: WidthBy) -> Iterator[tuple[str, Table]]:
    """Every rule once; with by = "regex" a key that is a regular expression."""
    seen = set()
    for key, rule in rule_tables(seed):
        if key in seen:  # a.b in quotes and as nested tables
            raise UserError(f"{rule.where()}: {key} is given twice; leave one out")
        seen.add(key)
        if by == "regex" and key != "default":
            check_pattern(key, where=rule.where())
        yield key, rule


def without_default(rules: list[SeedRule]) -> tuple[SeedRule | None, tuple[SeedRule, ...]]:
    """The rule "default", if there is one, and the others."""
    default = next((rule for rule in rules if rule.key == "default"), None)
    return default, tuple(rule for rule in rules if rule is not default)


def is_float(rule: SeedRule) -> bool:
    """Whether a rule changes nothing: its only choices are "NA"."""
    return all(choice in UNSET for _, found in rule.fields for choice in found)


def left_out_line(by: WidthBy, unused: tuple[str, ...]) -> list[str]:
    """A line that names the rules that are for another `by` and so left out, if there are any."""
    if not unused:
        return []
    if by not in ("name", "type"):
        return [f'by = "{by}" leaves out the rules for names and types: {", ".join(unused)}']
    other = "type" if by == "name" else "name"
    return [f'by = "{by}" leaves out the rules for {other}s: {", ".join(unused)}; set by = "{other}"']


def single_line(space: Space, rules: str) -> list[str]:
    """A line that says so where a space has a single candidate; `rules`: what made it."""
    if space.size > 1:
        return []
    return [f"there is nothing to choose, the space has a single candidate: {rules}"]


def seed_tables(default: SeedRule | None, rules: tuple[SeedRule, ...]) -> dict[str, Any]:
    """[search.search_space.seed] with these rules, as they are read."""
    every = [*([default] if default else []), *rules]
    return {rule.key: {"config": {name: list(choices) for name, choices in rule.fields}} for rule in every}
