"""What stands below the front on a study's page: mixing, layers, damage, the search, how to get the pick."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from widthwise.core.counting import count_text
from widthwise.metrics.catalogue import Metric
from widthwise.report.document import chart_element, paragraphs, scrolling, sheet_table, text
from widthwise.report.explanation import (
    advice_line,
    bargain_sheet,
    damage_sheet,
    heading_line,
    mixing_lines,
    pair_lines,
    signed,
)
from widthwise.report.page.section import section
from widthwise.report.sheets import Sheet
from widthwise.report.shown.advice import advice_lines
from widthwise.report.shown.mixing import Mixing
from widthwise.report.shown.overview import with_error
from widthwise.report.shown.view import StudyView
from widthwise.report.terminal import shown_number
from widthwise.study.explanation import Against, Explanation
from widthwise.study.explanation import Mixing as ExactMixing

MOST_MISSING = 12  # uniform schemes that are named
MOST_TENSORS = 200  # rows of the table of what formats do


def mixing_section(view: StudyView) -> str:
    if view.explanation is not None and view.explanation.mixing:
        return _exact_mixing(view, view.explanation)
    if not view.mixing:
        why = (
            "No uniform scheme is among the trials, so nothing is known of it."
            if len(view.study.record.space.decisions) > 1
            else "The space has a single decision: nothing can be mixed."
        )
        return section("mixing", [f"<p>{text(why)}</p>", *_missing(view), *_naive(view)])
    content = []
    for found in view.mixing:
        content += [f'<p class="lead">{text(found.words)}</p>', sheet_table(mixing_sheet(found))]
    content.append(
        '<p class="soft">Beside each uniform scheme stands the best of the front that costs no more. ±: one '
        "standard error of the difference, both taken as independent; on the same samples it is rather less. "
        "Best of several is better by chance alone: the test figures say more.</p>"
    )
    return section("mixing", [*content, *_missing(view), *_naive(view)])


def _explain(view: StudyView) -> str:
    """The command, as it can be copied."""
    folder = view.study.folder
    return shlex.join(["widthwise", "explain", "RUN" if folder is None else str(folder)])


def _naive(view: StudyView) -> list[str]:
    """What else one would do without a search, and what compares it."""
    if view.explanation is not None or len(view.study.record.space.decisions) < 2 or not view.study.front:
        return []
    return [
        '<p class="soft">Would lowering one decision after another, by sensitivity and without a search, '
        f"have done as well? <code>{text(_explain(view))}</code> evaluates that, where candidates aren't "
        "trained, and compares on test samples too.</p>"
    ]


def _missing(view: StudyView) -> list[str]:
    """Which uniform schemes the comparison lacks, and what evaluates them."""
    if not view.missing:
        return []
    few = ", ".join(view.missing[:MOST_MISSING])
    more = f" and {len(view.missing) - MOST_MISSING} more" if len(view.missing) > MOST_MISSING else ""
    how = (
        f" <code>{text(_explain(view))}</code> evaluates them, where candidates aren't trained."
        if view.explanation is None
        else ""
    )
    return [
        f'<p class="soft">Of the uniform schemes that the space has no trial is {text(few + more)}: they '
        f"were out of bounds, or the search didn't come to them.{how}</p>"
    ]


def _exact_mixing(view: StudyView, found: Explanation) -> str:
    """As `widthwise explain` evaluated it: every uniform scheme, and lowering one decision after another."""
    metrics = {metric.name: metric for metric in view.study.record.metrics}
    content = []
    for one in found.mixing:
        content += [f'<p class="lead">{text(line)}</p>' for line in mixing_lines(one, metrics)]
        content += [sheet_table(meeting_sheet(one, against, metrics)) for against in one.against]
    return section("mixing", content)


def meeting_sheet(found: ExactMixing, against: Against, metrics: Mapping[str, Metric]) -> Sheet:
    """Each baseline beside the best trial of the front that costs no more."""
    quality, cost = metrics[found.quality], metrics[found.cost]
    rows = tuple(
        (
            one.label,
            shown_number(cost, one.cost),
            shown_number(quality, one.quality),
            "none as cheap" if one.trial is None else f"trial {one.trial}",
            "" if one.front_quality is None else shown_number(quality, one.front_quality),
            ""
            if one.better is None
            else signed(quality, one.better)
            + ("" if one.error is None else f" ± {shown_number(quality, one.error)}"),
        )
        for one in against.meetings
    )
    heads = (
        against.baselines,
        found.cost,
        found.quality,
        "front",
        f"its {found.quality}",
        "front is better by",
    )
    return Sheet(f"{against.baselines} on {found.samples:,} {found.part} samples", heads, rows)


def mixing_sheet(found: Mixing) -> Sheet:
    """The uniform schemes beside the front, a row each."""
    quality, cost = found.quality, found.cost
    rows = tuple(
        (
            row.label,
            shown_number(cost.metric, row.cost),
            shown_number(quality.metric, row.quality),
            f"trial {row.front}",
            shown_number(cost.metric, row.front_cost),
            shown_number(quality.metric, row.front_quality),
            with_error(quality, row.gain, row.error),
            row.verdict,
        )
        for row in found.rows
    )
    heads = (
        "every layer",
        cost.name,
        quality.name,
        "front",
        f"its {cost.name}",
        f"its {quality.name}",
        "front is better by",
        "so it is",
    )
    return Sheet(f"{quality.name} at equal {cost.name}: uniform schemes and the front", heads, rows, 1, 1)


def damage_section(view: StudyView) -> str:
    found = view.explanation
    content = _not_explained(view) if found is None else _explained(view, found)
    advice = None if found is None else found.advice.config
    lines = [] if found is None else [advice_line(found)]
    if view.advice is not None:
        lines, advice = advice_lines(view.advice), view.advice.config
    if lines:
        content += ["<h3>For the next search</h3>", paragraphs(lines)]
    if advice is not None:
        content.append(
            "<details><summary>A config for it</summary>"
            '<p><a download="next.toml" href="#get" data-save="next-config">save it as next.toml</a></p>'
            f'<pre id="next-config" tabindex="0">{text(advice)}</pre></details>'
        )
    return section("damage", content)


def _not_explained(view: StudyView) -> list[str]:
    return [
        '<p class="soft">Single changes and pairs are not known in this run: '
        f"<code>{text(_explain(view))}</code> evaluates them.</p>"
    ]


def _explained(view: StudyView, found: Explanation) -> list[str]:
    """What each tensor's format does, what to give and to take, which pairs do more than the sum of both."""
    metrics = {metric.name: metric for metric in view.study.record.metrics}
    sheets = [damage_sheet(found, metrics, most=MOST_TENSORS), bargain_sheet(found, metrics)]
    pairs = [one for one in found.around if one.pairs is not None and found.quality in one.pairs]
    drawn = [
        f"<h3>Two changes at once around {'the pick' if one.base == 'pick' else 'float'}</h3>\n"
        f'<p class="soft">What both together add to the sum of each, of {text(found.quality)}; on the '
        "diagonal what each does alone.</p>\n"
        + chart_element(f"pairs-{number}", "Interactions of pairs of changes", "small")
        for number, one in enumerate(pairs)
    ]
    return [
        f'<p class="lead">{text(heading_line(found, metrics))}</p>',
        *(sheet_table(sheet) for sheet in sheets if sheet is not None),
        paragraphs([*pair_lines(found, metrics), *(f"Not told: {why}" for why in found.not_told)]),
        *drawn,
    ]


def course_section(view: StudyView) -> str:
    course = view.course
    content = []
    if course.trials:
        share = ["share of the final hypervolume"] if course.share else []
        charts = [*share, *(f"best {name}" for name in course.best)]
        drawn = "".join(
            f"<div><h3>{text(name)}</h3>{chart_element(f'course-{number}', name, 'small')}</div>"
            for number, name in enumerate(charts)
        )
        content += [
            '<div class="tools"><label>Over: <select id="choose-course">'
            '<option value="trials">trials</option><option value="seconds">seconds</option>'
            "</select></label></div>",
            f'<div class="charts">{drawn}{_expected(view)}</div>',
        ]
    summary = view.study.summary
    if summary.cut:
        also = f" or can't be written as {text(view.study.target)}," if view.study.target else ""
        also += " or are the same network as another" if view.study.each_once else ""
        content.append(
            f"<p>{summary.cut:,} candidates were out of bounds by their costs{also} and not evaluated.</p>"
        )
    if course.failures:
        rows = tuple((reason, f"{count:,}") for reason, count in course.failures)
        rows += ((f"for other reasons, {course.others:,} more", ""),) if course.others else ()
        content.append(sheet_table(Sheet("Trials without figures, by reason", ("reason", "trials"), rows)))
    return section("course", content or ["<p>No trial was evaluated.</p>"])


def _expected(view: StudyView) -> str:
    """What the strategy expected beside what was measured, of each objective that it has a model of."""
    return "".join(
        f"<div><h3>{text(one.name)}: expected and measured</h3>"
        + chart_element(f"expected-{number}", f"{one.name} as expected and as measured", "small")
        + (f'<p class="soft">{text(one.words)}</p>' if one.words else "")
        + "</div>"
        for number, one in enumerate(view.expected)
    )


def get_section(view: StudyView) -> str:
    recipe = view.recipe
    commands = "\n".join(recipe.commands)
    facts = "".join(
        f'<tr><th scope="row">{text(k)}</th><td class="words">{text(v)}</td></tr>' for k, v in recipe.facts
    )
    size = count_text(view.study.record.space.size)
    return section(
        "get",
        [
            f'<pre tabindex="0">{text(commands)}</pre>' if commands else "",
            scrolling(
                f"<table><caption>This run, of a space of {size} candidates</caption>"
                f"<tbody>{facts}</tbody></table>",
                "This run",
            ),
            '<details><summary>The config, with all defaults</summary><p><a download="config.toml" '
            'href="#get" data-save="config">save it as config.toml</a></p>'
            f'<pre id="config" tabindex="0">{text(recipe.config)}</pre></details>',
        ],
    )
