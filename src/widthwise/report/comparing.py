"""A comparison of strategies in words and tables, as the terminal and the page both show it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from widthwise.core.counting import count_text
from widthwise.report.sheets import Sheet, brief_time, plural
from widthwise.report.terminal import shown_number, shown_seconds
from widthwise.search.comparing.result import LEVELS, Comparison, quartiles
from widthwise.search.comparing.signed_ranks import least_p

if TYPE_CHECKING:
    from widthwise.core.arrays import FloatArray
    from widthwise.metrics.catalogue import Metric
    from widthwise.search.comparing.signed_ranks import PairTest

SIGNIFICANT = 0.05


def heading_lines(comparison: Comparison) -> list[str]:
    """What was compared on what, and what shares are of."""
    points = plural(comparison.front, "point")
    whole = (
        f"the true front, of {points}: the whole space was evaluated"
        if comparison.truth == "space"
        else f"the front of all that was evaluated, of {points}; the true one is not known"
    )
    reference = ", ".join(f"{name} {value:.4g}" for name, value in comparison.reference.items())
    each = brief_time(comparison.seconds_per_evaluation)
    total = f"{plural(comparison.evaluated, 'candidate')} in {shown_seconds(comparison.seconds)}"
    evaluations = f"{plural(comparison.budget, 'evaluation')}{_asked(comparison)}"
    return [
        f"{comparison.task}: {_size(comparison)}, {evaluations}, {plural(len(comparison.seeds), 'seed')}",
        f"shares are of the hypervolume of {whole}",
        f"measured from {reference}",
        f"evaluating took {each} a candidate in batches ({total}), apart from the strategies' own time",
    ]


def _size(comparison: Comparison) -> str:
    if comparison.size == 1:
        return "1 candidate"
    return f"{count_text(comparison.size)} candidates"


def _asked(comparison: Comparison) -> str:
    asked = comparison.asked_budget
    if asked <= comparison.budget:
        return ""
    why = "there are no more candidates"
    if comparison.budget < comparison.size:
        why = "no more candidates are within the bounds of cost"
    return f" (of {asked:,} asked for: {why})"


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
    """A row a strategy: evaluations until its share was at some levels."""
    reach = [f"to {level:.0%}" for level in LEVELS]
    rows = tuple(
        (outcome.label, *(_reach_band(outcome.to_reach(level), comparison.budget) for level in LEVELS))
        for outcome in comparison.outcomes
    )
    return Sheet(
        "Evaluations until a share is reached: median (lower-upper quartile)", ("strategy", *reach), rows
    )


def effort_sheet(comparison: Comparison) -> Sheet:
    """A row a strategy: its share averaged over all numbers of evaluations, and its own time."""
    rows = tuple(
        (
            outcome.label,
            _share_band(outcome.mean_share),
            brief_time(float(quartiles(outcome.own_seconds[:, -1])[1])),
        )
        for outcome in comparison.outcomes
    )
    return Sheet(
        f"Mean share over the {plural(comparison.budget, 'evaluation')}: median (lower-upper quartile); "
        "own time of a run: median",
        ("strategy", "mean share", "own time"),
        rows,
    )


def best_sheet(comparison: Comparison, names: Sequence[str] = ()) -> Sheet:
    """A row a strategy: the best of each metric, by itself, when the budget is spent; else of objectives."""
    names = names or objectives_among(comparison)
    rows = tuple(
        (outcome.label, *(_best_band(comparison.metrics[name], outcome.best[name][:, -1]) for name in names))
        for outcome in comparison.outcomes
    )
    return Sheet(
        f"Best of each after {plural(comparison.budget, 'evaluation')}: median (lower-upper quartile)",
        ("strategy", *names),
        rows,
    )


def objectives_among(comparison: Comparison) -> list[str]:
    """The metrics that are objectives; all of them where a sum of metrics is the only one."""
    names = [name for name in comparison.directions if name in comparison.objectives]
    return names or list(comparison.directions)


def pair_sheets(comparison: Comparison) -> list[Sheet]:
    """For each measure a row a pair: on how many seeds the first did better, and whether by chance."""
    if len(comparison.seeds) < 2:
        return []
    measures = list(dict.fromkeys(test.measure for test in comparison.tests))
    return [
        Sheet(
            f"Pairs by {measure}: signed ranks over the seeds (Wilcoxon, two-sided), corrected (Holm)",
            ("first", "second", "won/lost/tied", "difference", "p", "Holm's p", "better"),
            tuple(_pair(test) for test in comparison.tests if test.measure == measure),
            left=2,
            words=1,
        )
        for measure in measures
    ]


def _pair(test: PairTest) -> tuple[str, ...]:
    return (
        test.first,
        test.second,
        f"{test.better}/{test.worse}/{test.equal}",
        _signed(test.difference),
        _p(test.p),
        _p(test.holm),
        _verdict(test),
    )


def sheets(comparison: Comparison, *, all_metrics: bool = False) -> list[Sheet]:
    """All tables; the best of all metrics, or of objectives alone."""
    best = best_sheet(comparison, list(comparison.directions) if all_metrics else ())
    tables = (share_sheet, reach_sheet, effort_sheet)
    return [*(table(comparison) for table in tables), best, *pair_sheets(comparison)]


def caution_lines(comparison: Comparison) -> list[str]:
    """What a reader should be warned of."""
    found = [f"{label} is left out, it failed: {reason}" for label, reason in comparison.failures.items()]
    if comparison.failed:
        found.append(
            f"{comparison.failed:,} of {plural(comparison.evaluated, 'candidate')} failed and are worth "
            f"nothing, the first because: {comparison.failed_because}"
        )
    if comparison.interrupted:
        found.append(f"stopped before all was done; left out: {', '.join(comparison.interrupted)}")
    found += _too_few_seeds(comparison)
    for outcome in comparison.outcomes:
        short = int((outcome.evaluations < comparison.budget).sum())
        if short:
            first = int((outcome.evaluations < comparison.budget).argmax())
            found.append(
                f"{outcome.label} ended before the budget with {plural(short, 'seed')}, first after "
                f"{outcome.evaluations[first]:,} evaluations: {outcome.ended[first]}"
            )
    return found


def _too_few_seeds(comparison: Comparison) -> list[str]:
    """That no pair can differ by more than chance, however the seeds turn out; nothing where one can."""
    seeds, pairs = len(comparison.seeds), math.comb(len(comparison.outcomes), 2)
    least = least_p(seeds) * pairs
    if not pairs or least < SIGNIFICANT:
        return []
    enough = next(n for n in range(seeds, 100) if least_p(n) * pairs < SIGNIFICANT)
    corrected = f", corrected for {pairs} pairs" if pairs > 1 else ""
    return [
        f"{plural(seeds, 'seed')} can't show a difference: the smallest p possible is "
        f"{min(least, 1.0):.3g}{corrected}; give {enough} seeds or more"
    ]


def _verdict(test: PairTest) -> str:
    """The better of the two, where that is more than chance."""
    if test.holm >= SIGNIFICANT:
        return "not shown"
    # where many seeds are tied the median difference may be 0: then the count of seeds tells
    more = test.difference if test.difference != 0 else test.better - test.worse
    return test.first if more > 0 else test.second


def _signed(difference: float) -> str:
    """+0.0123; 0 without a sign."""
    shown = f"{difference:+.4f}"
    return shown if float(shown) else shown[1:]


def _share_band(values: FloatArray) -> str:
    low, middle, high = (_share(value) for value in quartiles(values))
    return middle if low == middle == high else f"{middle} ({low}-{high})"


def _share(value: float) -> str:
    """Three places; 1.000 is the whole, and what lacks little of it is 0.999."""
    return f"{min(value, 0.999) if value < 1 else value:.3f}"


def _reach_band(values: FloatArray, budget: int) -> str:
    low, middle, high = (_whole(value, budget) for value in quartiles(values))
    between = " to " if high.startswith(">") else "-"
    return middle if low == middle == high else f"{middle} ({low}{between}{high})"


def _whole(value: float, budget: int) -> str:
    return f">{budget:,}" if math.isnan(value) else f"{math.ceil(value):,}"


def _best_band(metric: Metric, values: FloatArray) -> str:
    low, middle, high = (shown_number(metric, float(value)) for value in quartiles(values))
    return middle if low == middle == high else f"{middle} ({low}-{high})"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1g}"
