"""Which spaces a strategy can't handle, refused before anything is evaluated."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.errors import UserError
from widthwise.spaces.space import Decision, Space

OTHERS = "tpe, nsga2, frontier or random"  # that take any space and any objectives


@dataclass(frozen=True)
class Abilities:
    """What a sampler can handle; None: no limit."""

    objectives: int | None = None
    decisions: int | None = None
    fewest_decisions: int = 1
    choices: int | None = None  # of one decision that is not ordered
    ordered_only: bool = False
    instead: str = OTHERS


def refuse(name: str, abilities: Abilities, space: Space, *, objectives: int) -> None:
    """Raise UserError where the sampler can't handle this space, with what would work instead."""
    if abilities.objectives is not None and objectives > abilities.objectives:
        raise UserError(
            f"strategy {name}: takes one objective, found {objectives}; combine them "
            f"(sum_scaled_metrics = true) or use {OTHERS}"
        )
    searched = [decision for decision in space.decisions if len(decision.choices) > 1]
    if space.size == 1:
        return
    if len(searched) < abilities.fewest_decisions:
        raise UserError(
            f"strategy {name}: needs {abilities.fewest_decisions} decisions with more than one choice, found "
            f"{len(searched)}; use brute-force"
        )
    if abilities.decisions is not None and len(searched) > abilities.decisions:
        raise UserError(
            f"strategy {name}: takes up to {abilities.decisions:,} decisions, found {len(searched):,}; "
            f"use {abilities.instead}"
        )
    _refuse_choices(name, abilities, [decision for decision in searched if not decision.ordered])


def _refuse_choices(name: str, abilities: Abilities, unordered: list[Decision]) -> None:
    if abilities.ordered_only and unordered:
        raise UserError(
            f"strategy {name}: needs numbers in ascending order in every decision; {_listed(unordered)} "
            f"have others; use {abilities.instead}"
        )
    most = abilities.choices
    large = [decision for decision in unordered if most is not None and len(decision.choices) > most]
    if large:
        raise UserError(
            f"strategy {name}: takes up to {most:,} choices without an order in a decision; {_listed(large)} "
            f"has {len(large[0].choices):,}; give numbers in ascending order or use {abilities.instead}"
        )


def _listed(decisions: list[Decision]) -> str:
    names = ", ".join(decision.name for decision in decisions[:3])
    return names if len(decisions) <= 3 else f"{names} and {len(decisions) - 3} more"
