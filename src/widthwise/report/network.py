"""A network in the terminal: how it was captured and is evaluated, and its groups of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.report.tables import plain_table

if TYPE_CHECKING:
    from rich.table import Table

    from widthwise.network.graph import Graph
    from widthwise.network.widths.groups import Groups


def capture_line(graph: Graph) -> str:
    """How the network was captured, and why it is that way."""
    if graph.capture == "fx":
        return "capture:     by torch.fx: its graph gives what the network gives"
    why = graph.capture_error
    return f"capture:     as it runs: formats apply to the calls that it makes; not by torch.fx ({why})"


def mode_line(graph: Graph) -> str:
    """How candidates that differ in formats would be evaluated."""
    if graph.capture == "fx":
        return "evaluation:  candidates together: values that they share are computed once"
    return "evaluation:  one pass per candidate; calls alike are answered from memory"


def group_table(groups: Groups) -> Table:
    """A row a group: its size, who makes its channels, and all that changes with them."""
    rows = [
        [
            group.name,
            f"{group.size:,}",
            "any" if group.blocks == 1 else f"multiples of {group.blocks}",
            ", ".join(f"{member.owner} ({member.side})" for member in group.members),
        ]
        for group in groups.groups
    ]
    return plain_table(["group", "channels", "sizes", "members"], rows, right=["channels"])


def fixed_table(groups: Groups) -> Table:
    """A row for channels that can't be resized, with the reason."""
    rows = [[fixed.name, f"{fixed.size:,}", fixed.reason] for fixed in groups.fixed]
    return plain_table(["of", "channels", "why"], rows, right=["channels"])
