"""A comparison of strategies in words and tables, as the terminal and the page both show it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from widthwise.comparing.result import LEVELS, Comparison, quartiles
from widthwise.comparing.signed_ranks import least_p
from widthwise.report.sheets import Sheet, big_count, brief_time, plural
from widthwise.report.terminal import shown_number, shown_seconds

if TYPE_CHECKING:
    from widthwise.comparing.signed_ranks import PairTest
    from widthwise.space import FloatArray

SIGNIFICANT = 0.05


def heading_lines(comparison: Comparison) -> list[str]:
    """What was compared on what, and what shares are of."""
    seeds = plural(len(comparison.seeds), "seed")
    asked = comparison.asked_budget
    more = f" (of {asked:,} asked for: there are no more candidates)" if asked > comparison.budget else ""
    points = plural(comparison.front, "point")
    whole = (
        f"the true front, of {points}: the whole space was evaluated"
        if comparison.truth == "space"
        else f"the front of all that was evaluated, of {points}; the true one is not known"
    )
    reference = ", ".join(f"{name} {value:.4g}" for name, value in comparison.reference.items())
    size = big_count(comparison.size)
    each = brief_time(comparison.seconds_per_evaluation)
    total = f"{plural(comparison.evaluated, 'candidate')} in {shown_seconds(comparison.seconds)}"
    return [
        f"{comparison.task}: {size} candidates, {comparison.budget:,} evaluations{more}, {seeds}",
        f"shares are of the hypervolume of {whole}",
        f"measured from {reference}",
        f"evaluating took {each} a candidate in batches ({total}), apart from the strategies' own time",
    ]


def share_sheet(comparison: Comparison) -> Sheet:
    """A row a strategy: its share after some numbers of evaluations."""
    after = [f"after {n:,}" for n in comparison.milestones]
    rows = tuple(
        (outcome.label, *(_share_band(outcome.share_at(n)) for n in comparison.milestones))
        for outcome in comparison.outcomes
    )
    return Sheet(
        "Share of the hypervolume: median (lower-upper quartile) over the seeds", ("strategy", *after), rows
    )


def reach_sheet(comparison: Comparison) -> Sheet:
    """A row a strategy: evaluations until its share was at some levels, and its own time."""
    reach = [f"to {level:.0%}" for level in LEVELS]
    rows = tuple(
        (
            outcome.label,
            *(_reach_band(outcome.to_reach(level), comparison.budget) for level in LEVELS),
            brief_time(float(quartiles(outcome.own_seconds[:, -1])[1])),
        )
        for outcome in comparison.outcomes
    )
    return Sheet(
        "Evaluations until a share is reached: median (lower-upper quartile); own time of a run: median",
        ("strategy", *reach, "own time"),
        rows,
    )


def best_sheet(comparison: Comparison) -> Sheet:
    """A row a strategy: the best of each metric that is an objective, by itself, when the budget is spent."""
    names = [name for name in comparison.directions if name in comparison.objectives]
    names = names or list(comparison.directions)  # a sum of metrics is none of them
    rows = tuple(
        (outcome.label, *(_best_band(name, outcome.best[name][:, -1]) for name in names))
        for outcome in comparison.outcomes
    )
    return Sheet(
        f"Best of each after {plural(comparison.budget, 'evaluation')}: median (lower-upper quartile)",
        ("strategy", *names),
        rows,
    )


def pair_sheets(comparison: Comparison) -> list[Sheet]:
    """For each measure a row a pair: on how many seeds the first did better, and whether by chance."""
    measures = list(dict.fromkeys(test.measure for test in comparison.tests))
    return [
        Sheet(
            f"Pairs by {measure}: signed ranks over the seeds (Wilcoxon, two-sided), corrected (Holm)",
            ("first", "second", "won/lost/tied", "difference", "p", "Holm's p", "better"),
            tuple(_pair(test) for test in comparison.tests if test.measure == measure),
            left=2,
        )
        for measure in measures
    ]


def _pair(test: PairTest) -> tuple[str, ...]:
    return (
        test.first,
        test.second,
        f"{test.better}/{test.worse}/{test.equal}",
        f"{test.difference:+.4f}",
        _p(test.p),
        _p(test.holm),
        _verdict(test),
    )


def sheets(comparison: Comparison) -> list[Sheet]:
    """All tables."""
    tables = (share_sheet, reach_sheet, best_sheet)
    return [*(table(comparison) for table in tables), *pair_sheets(comparison)]


def caution_lines(comparison: Comparison) -> list[str]:
    """What a reader should be warned of."""
    found = [f"{label} is left out, it failed: {reason}" for label, reason in comparison.failures.items()]
    least = least_p(len(comparison.seeds))
    if comparison.tests and least >= SIGNIFICANT:
        found.append(
            f"{plural(len(comparison.seeds), 'seed')} can't show a difference: the smallest p possible is "
            f"{least:.3g}; give 6 seeds or more"
        )
    for outcome in comparison.outcomes:
        short = int((outcome.evaluations < comparison.budget).sum())
        if short:
            first = int((outcome.evaluations < comparison.budget).argmax())
            found.append(
                f"{outcome.label} ended before the budget with {plural(short, 'seed')}, first after "
                f"{outcome.evaluations[first]:,} evaluations: {outcome.ended[first]}"
            )
    return found


def _verdict(test: PairTest) -> str:
    """The better of the two, where that is more than chance."""
    if test.holm >= SIGNIFICANT:
        return "not shown"
    # where many seeds are tied the median difference may be 0: then the count of seeds tells
    more = test.difference if test.difference != 0 else test.better - test.worse
    return test.first if more > 0 else test.second


def _share_band(values: FloatArray) -> str:
    low, middle, high = quartiles(values)
    return f"{middle:.3f} ({low:.3f}-{high:.3f})"


def _reach_band(values: FloatArray, budget: int) -> str:
    low, middle, high = (_whole(value, budget) for value in quartiles(values))
    return middle if low == middle == high else f"{middle} ({low}-{high})"


def _whole(value: float, budget: int) -> str:
    return f">{budget:,}" if math.isnan(value) else f"{math.ceil(value):,}"


def _best_band(name: str, values: FloatArray) -> str:
    low, middle, high = (shown_number(name, float(value)) for value in quartiles(values))
    return middle if low == middle == high else f"{middle} ({low}-{high})"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1g}"
