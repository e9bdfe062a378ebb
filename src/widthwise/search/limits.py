"""When a search stops by itself, and how far it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import Metric


@dataclass(frozen=True)
class Limits:
    """What a search may take; all count over every session of a study, resumed ones included.

    trials: evaluated candidates, failed ones too; None: until the strategy has no more.
    timeout: seconds of searching by a clock that never jumps; looked at between batches.
    max_failures: more failed trials than this in a row stop the search; None: never.
    trial_timeout: seconds for one trial, which fails when they are over; candidates are then evaluated one at
        a time.
    """

    trials: int | None = None
    timeout: float | None = None
    max_failures: int | None = 100
    trial_timeout: float | None = None

    def __post_init__(self) -> None:
        for name in ("trials", "timeout", "trial_timeout"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UserError(f"{name} = {value}; give a number above 0, or leave it out for no limit")
        if self.max_failures is not None and self.max_failures < 0:
            raise UserError(
                f"max_failures = {self.max_failures}; give 0 or more, or leave it out for no limit"
            )

    def batch(self, given: int | None, natural: int) -> int:
        """Candidates to evaluate at once: as given, else what is natural to the strategy."""
        if given is not None and given < 1:
            raise UserError(f"batch_size = {given}; give 1 or more")
        if self.trial_timeout is None:
            return given or natural
        if given is not None and given > 1:
            raise UserError(
                f"trial_timeout needs candidates one at a time; batch_size = {given}, leave it out"
            )
        return 1

    def over(self, *, trials: int, seconds: float, failed_in_a_row: int, last_reason: str) -> str | None:
        """Why the search must stop now, or None."""
        if self.max_failures is not None and failed_in_a_row > self.max_failures:
            return f"{failed_in_a_row} trials in a row failed, the last because: {last_reason}"
        if self.trials is not None and trials >= self.trials:
            return f"{trials:,} trial{'s' if trials != 1 else ''} done"
        if self.timeout is not None and seconds >= self.timeout:
            return f"timeout of {self.timeout:g} s reached"
        return None


@dataclass(frozen=True)
class Progress:
    """How far a search is.

    total: trials to be expected at most, None where nobody knows.
    rate: trials a second in this session; seconds: over all sessions; timeout as in Limits.
    stopped: trials that stopped early, which are none of the failed ones.
    cut: candidates that were out of bounds and never evaluated.
    best: the best of each objective so far, scaled; metrics: what they are, where they are no sum.
    """

    trials: int
    total: int | None
    failed: int
    stopped: int
    cut: int
    front: int
    seconds: float
    timeout: float | None
    rate: float
    best: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
