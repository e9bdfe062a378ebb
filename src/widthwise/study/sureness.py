"""How sure the figures of a front's trials are, as a run folder keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from widthwise.core.errors import BROKEN, UserError
from widthwise.core.files import write_atomically
from widthwise.core.inside import read_inside
from widthwise.study.run_files import SURENESS

MOST_BYTES = 2**26
FLOAT = -1  # in place of a trial's number: the network that was searched, in float


@dataclass(frozen=True)
class KeptSureness:
    """samples: that trials were judged on. errors: by trial number, the standard error of each quality.

    close: by metric, the pairs of trials that it doesn't tell apart on these samples. FLOAT stands for the
    float network in both.
    """

    samples: int = 0
    errors: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    close: Mapping[str, frozenset[frozenset[int]]] = field(default_factory=dict)

    def alike(self, numbers: Sequence[int], metrics: Sequence[str]) -> dict[int, tuple[int, ...]]:
        """A trial to the others of these that none of the metrics tells it from; others are left out."""
        judged = [self.close[name] for name in metrics if name in self.close]
        if not judged:
            return {}
        pairs = frozenset.intersection(*judged)
        found = {
            number: tuple(other for other in numbers if frozenset((number, other)) in pairs)
            for number in numbers
        }
        return {number: others for number, others in found.items() if others}

    def like_float(self, numbers: Sequence[int], metrics: Sequence[str]) -> tuple[int, ...]:
        """Those of the trials that none of the metrics tells from the float network."""
        return self.alike([*numbers, FLOAT], metrics).get(FLOAT, ())

    def write(self, folder: Path) -> None:
        """Into the run folder."""
        content: dict[str, Any] = {
            "samples": self.samples,
            "errors": {str(number): dict(errors) for number, errors in self.errors.items()},
            "close": {name: sorted(sorted(pair) for pair in pairs) for name, pairs in self.close.items()},
        }
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)
        write_atomically(folder / SURENESS, text.encode() + b"\n")


def read_sureness(folder: Path | None) -> KeptSureness:
    """What a run folder keeps; nothing where it keeps none. Raises UserError where that is broken."""
    if folder is None:
        return KeptSureness()
    try:
        content = read_inside(folder, SURENESS, most=MOST_BYTES)
        if content is None:
            return KeptSureness()
        stored = json.loads(content)
        return KeptSureness(
            int(stored["samples"]),
            {
                int(number): {str(name): float(error) for name, error in errors.items()}
                for number, errors in stored["errors"].items()
            },
            {
                str(name): frozenset(frozenset(map(int, pair)) for pair in pairs)
                for name, pairs in stored["close"].items()
            },
        )
    except BROKEN as error:
        raise UserError(f"{folder / SURENESS}: is broken; delete it, the figures are kept without") from error
