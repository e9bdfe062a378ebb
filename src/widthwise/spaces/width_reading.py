"""One rule of a search of channels, checked."""

from __future__ import annotations

from widthwise.core.errors import unknown
from widthwise.core.table import Table, as_number
from widthwise.core.toml import shown
from widthwise.spaces.format_rules import Choices, choices, is_unset
from widthwise.spaces.settings import SeedRule

LAB_WIDTH_NAMES = ("output_only", "both", "input_only")
MULTIPLIERS = ("channel_multiplier", "channel_multiplier_input", "channel_multiplier_output")


def width_rule(key: str, table: Table) -> SeedRule:
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
