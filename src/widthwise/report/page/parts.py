"""What stands below the front on a study's page: mixing, layers, damage, the search, how to get the pick."""

from __future__ import annotations

from widthwise.report.document import chart_element, paragraphs, scrolling, sheet_table, text
from widthwise.report.page.section import section
from widthwise.report.sheets import Sheet, big_count
from widthwise.report.shown.advice import advice_lines
from widthwise.report.shown.mixing import Mixing
from widthwise.report.shown.overview import with_error
from widthwise.report.shown.view import StudyView
from widthwise.report.terminal import shown_number


def mixing_section(view: StudyView) -> str:
    if not view.mixing:
        why = (
            "No uniform scheme is among the trials, so nothing is known of it."
            if len(view.study.record.space.decisions) > 1
            else "The space has a single decision: nothing can be mixed."
        )
        return section("mixing", [f"<p>{text(why)}</p>"])
    content = []
    for found in view.mixing:
        content += [f'<p class="lead">{text(found.words)}</p>', sheet_table(mixing_sheet(found))]
    content.append(
        '<p class="soft">Beside each uniform scheme stands the best of the front that costs no more. ±: one '
        "standard error of the difference, both taken as independent; on the same samples it is rather less. "
        "Best of several is better by chance alone: the test figures say more.</p>"
    )
    return section("mixing", content)


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


def layers_section(view: StudyView) -> str:
    if view.layers is None:
        return section("layers", ["<p>There is no front whose layers could be shown.</p>"])
    shown, every = len(view.layers.numbers), len(view.front.rows)
    some = f" {shown} of {every:,} rows of the front are drawn." if shown < every else ""
    measure, label = view.layers.measure, "What each trial of the front chooses for each layer"
    chart = chart_element("layer-chart", label, "wide")
    return section(
        "layers",
        [
            '<p class="soft">A row for each tensor or decision in the order of the network, a column for '
            f"each trial of the front from the cheapest on; stronger is more {text(measure)}.{text(some)} "
            "Click on a column to select its trial.</p>",
            f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">{chart}</div>',
        ],
    )


def damage_section(view: StudyView) -> str:
    content = []
    found = view.explained
    if found is None:
        content.append(
            '<p class="soft">Single changes and pairs are not known in this run: '
            "<code>widthwise explain RUN</code> evaluates them.</p>"
        )
    else:
        rows = tuple(
            (change.decision, change.choice, *(f"{value:+.4g}" for value in change.differences.values()))
            for change in found.changes[:40]
        )
        names = tuple(found.changes[0].differences) if found.changes else ()
        title = f"One change at a time from {found.centre}"
        content.append(sheet_table(Sheet(title, ("decision", "becomes", *names), rows, 2)))
        if found.pairs:
            content.append(
                f"<p>Two changes at once: what they add to the sum of both, of {text(found.metric)}.</p>"
                + chart_element("pairs-chart", "Interactions of pairs of changes")
            )
    if view.advice is not None:
        content += ["<h3>For the next search</h3>", paragraphs(advice_lines(view.advice))]
        if view.advice.config is not None:
            content.append(
                "<details><summary>A config without the choices that can go</summary>"
                f'<p><a download="next.toml" href="#get" data-save="next-config">save it as next.toml</a></p>'
                f'<pre id="next-config" tabindex="0">{text(view.advice.config)}</pre></details>'
            )
    return section("damage", content)


def course_section(view: StudyView) -> str:
    course = view.course
    content = []
    if course.trials:
        charts = ["share of the final hypervolume", *(f"best {name}" for name in course.best)]
        drawn = "".join(
            f"<div><h3>{text(name)}</h3>{chart_element(f'course-{number}', name, 'small')}</div>"
            for number, name in enumerate(charts)
        )
        content += [
            '<div class="tools"><label>Over: <select id="choose-course">'
            '<option value="trials">trials</option><option value="seconds">seconds</option>'
            "</select></label></div>",
            f'<div class="charts">{drawn}</div>',
        ]
    summary = view.study.summary
    if summary.cut:
        content.append(
            f"<p>{summary.cut:,} candidates were out of bounds by their costs and not evaluated.</p>"
        )
    if course.failures:
        rows = tuple((reason, f"{count:,}") for reason, count in course.failures)
        rows += ((f"for other reasons, {course.others:,} more", ""),) if course.others else ()
        content.append(sheet_table(Sheet("Trials without figures, by reason", ("reason", "trials"), rows)))
    return section("course", content or ["<p>No trial was evaluated.</p>"])


def get_section(view: StudyView) -> str:
    recipe = view.recipe
    commands = "\n".join(recipe.commands)
    facts = "".join(
        f'<tr><th scope="row">{text(k)}</th><td class="words">{text(v)}</td></tr>' for k, v in recipe.facts
    )
    size = big_count(view.study.record.space.size)
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
