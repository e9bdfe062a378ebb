"""A comparison as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from widthwise.core.arrays import FloatArray
from widthwise.core.files import write_atomically
from widthwise.core.finite import finite
from widthwise.core.plain import plain_cell
from widthwise.search.comparing.result import LEVELS, Comparison, Outcome, quartiles
from widthwise.search.comparing.signed_ranks import least_p

JSON, CSV = "comparison.json", "comparison.csv"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All but the single curves, in plain JSON values; null for what was never reached.

    Bands are [lower quartile, median, upper quartile] over the seeds.
    """
    content = {
        "task": comparison.task,
        "size": comparison.size,
        "truth": comparison.truth,
        "front": comparison.front,
        "objectives": comparison.objectives,
        "reference": comparison.reference,
        "seeds": list(comparison.seeds),
        "budget": comparison.budget,
        "batch": comparison.batch,
        "evaluated": comparison.evaluated,
        "failed": comparison.failed,
        "failed_because": comparison.failed_because,
        "seconds_per_evaluation": comparison.seconds_per_evaluation,
        "strategies": {outcome.label: _strategy(outcome, comparison) for outcome in comparison.outcomes},
        "tests": [asdict(test) for test in comparison.tests],
        "least_p": least_p(len(comparison.seeds)),
        "failures": comparison.failures,
        "interrupted": list(comparison.interrupted),
    }
    cleaned: dict[str, Any] = finite(content)
    return cleaned


def as_csv(comparison: Comparison) -> str:
    """Every curve: a row for each strategy, seed and number of evaluations."""
    metrics = list(comparison.directions)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "strategy",
            "seed",
            "evaluations",
            "share",
            *(plain_cell(f"best_{name}") for name in metrics),
            "own_seconds",
        ]
    )
    for outcome in comparison.outcomes:
        writer.writerows(_rows(outcome, comparison))
    return text.getvalue()


def write(comparison: Comparison, folder: Path) -> tuple[Path, Path]:
    """comparison.json and comparison.csv in the folder, each whole or not at all."""
    text = json.dumps(as_json(comparison), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / JSON, text.encode() + b"\n")
    write_atomically(folder / CSV, as_csv(comparison).encode())
    return folder / JSON, folder / CSV


def _strategy(outcome: Outcome, comparison: Comparison) -> dict[str, Any]:
    return {
        "name": outcome.entrant.name,
        "options": dict(outcome.entrant.options),
        "share": {str(n): _band(outcome.share_at(n)) for n in comparison.milestones},
        "mean_share": _band(outcome.mean_share),
        "evaluations_to_reach": {f"{level:g}": _band(outcome.to_reach(level)) for level in LEVELS},
        "best": {
            name: {str(n): _band(values[:, n - 1]) for n in comparison.milestones}
            for name, values in outcome.best.items()
        },
        "own_seconds": _band(outcome.own_seconds[:, -1]),
        "runs": [
            {
                "seed": seed,
                "evaluations": int(outcome.evaluations[row]),
                "share": float(outcome.final[row]),
                "mean_share": float(outcome.mean_share[row]),
                "evaluations_to_reach": {
                    f"{level:g}": float(outcome.to_reach(level)[row]) for level in LEVELS
                },
                "own_seconds": float(outcome.own_seconds[row, -1]),
                "ended": outcome.ended[row],
            }
            for row, seed in enumerate(comparison.seeds)
        ],
    }


def _band(values: FloatArray) -> list[float]:
    return [float(value) for value in quartiles(values)]


def _rows(outcome: Outcome, comparison: Comparison) -> Iterator[list[Any]]:
    for row, seed in enumerate(comparison.seeds):
        for n in range(int(outcome.evaluations[row])):
            best = [float(values[row, n]) for values in outcome.best.values()]
            yield [
                plain_cell(outcome.label),
                seed,
                n + 1,
                float(outcome.share[row, n]),
                *("" if math.isnan(value) else value for value in best),  # none yet
                float(outcome.own_seconds[row, n]),
            ]
