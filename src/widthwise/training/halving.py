"""How successive halving shares out training (imports nothing heavy)."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.errors import UserError


@dataclass(frozen=True)
class Halving:
    """How budgets grow: one of `reduction` candidates goes on to the next rung, with so many times as much.

    minimum: the least budget (epochs, steps …). candidates: how many a search lets start together; None: so
    many that one is left for the full budget. Source: Jamieson and Talwalkar 2016; with several objectives as
    in Schmucker et al. 2021 (non-domination, then crowding). Raises UserError for values out of range.
    """

    reduction: int = 3
    minimum: int = 1
    candidates: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("reduction", 2), ("minimum", 1), ("candidates", 2)):
            value = getattr(self, name)
            if name == "candidates" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UserError(f"halving.{name} = {value!r} is no whole number from {least}")

    def budgets(self, full: int) -> tuple[int, ...]:
        """The budgets of the rungs, ascending, the last of them `full`."""
        found = [full]
        while found[0] // self.reduction >= self.minimum and found[0] > 1:
            found.insert(0, found[0] // self.reduction)
        return tuple(found)

    def together(self, full: int) -> int:
        """How many candidates start together where the last rung has the budget `full`."""
        return self.candidates or self.reduction ** (len(self.budgets(full)) - 1)
