"""The results of a search as the commands print them: the best trials, the one that a rule picks, JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from widthwise.cli.output import Output, print_json

if TYPE_CHECKING:
    from widthwise.search.problem import Problem
    from widthwise.study.study import Study


def introduce(folder: Path, problem: Problem, output: Output, *, how: str = "") -> None:
    """What is searched, on what data, by whom, and where it will be; how: what is to be said of its start."""
    from widthwise.report.problem import problem_lines
    from widthwise.search.told import warnings_of

    for line in problem_lines(problem):
        output.note(line)
    output.note(f"run:         {folder}{how and f' ({how})'}")
    for warning in warnings_of(problem):
        output.warn(warning)


def conclude(
    study: Study, problem: Problem, folder: Path, output: Output, *, rule: str | None = None
) -> None:
    """The best trials, why it ended, and what can be done now."""
    from widthwise.report.terminal import ending_lines, near_lines, where_lines
    from widthwise.search.nearest import nearest_by_cost

    output.note()
    print_best(study, output, tested=rule is None)
    for line in near_lines([] if study.summary.trials else nearest_by_cost(problem)):
        output.say(line)
    for line in (*ending_lines(study), *where_lines(study, folder)):
        output.say(line)
    if rule is not None:
        print_picked(study, rule, output)


def print_best(study: Study, output: Output, *, everything: bool = False, tested: bool = True) -> None:
    """The table of the best trials, or the nearest where there are none; tested: and what test data say."""
    from widthwise.report.choosing import front_lines, mark_lines, on_test_rows
    from widthwise.report.finetuned import tuned_lines
    from widthwise.report.measured import measured_table, sum_lines
    from widthwise.report.scatter import scatter_lines
    from widthwise.report.shown.front import front_view
    from widthwise.report.terminal import best_lines, near_lines
    from widthwise.study.nearest import nearest_trials

    view, width = front_view(study, everything=everything), output.console.width
    for line in best_lines(study, shown=len(view.shown)):
        output.say(line)
    if not study.front:
        for line in near_lines(nearest_trials(study)):
            output.say(line)
        return
    for line in (*front_lines(study, view, width), *mark_lines(study, view)):
        output.say(line)
    for line in on_test_rows(study, view) if tested else ():
        output.say(line)
    for line in scatter_lines(study, width) if output.is_terminal else ():
        output.say(line)
    for line in tuned_lines(study):
        output.say(line)
    if (measured := measured_table(study)) is not None:
        output.say("\nMeasured:")
        output.show(measured)
        for line in sum_lines(study):
            output.say(line)


def print_picked(study: Study, rule: str, output: Output) -> None:
    """The trial that a rule picks: its metrics, and what it chooses for each layer."""
    from widthwise.report.choosing import trial_lines
    from widthwise.report.shown.axes import axes_of
    from widthwise.report.shown.overview import on_test_lines
    from widthwise.report.terminal import config_lines

    trial = study.pick(rule)
    output.say(f"\nPicked by {rule!r}: trial {trial.number}")
    for line in trial_lines(study, trial, axes_of(study), output.console.width):
        output.say(line)
    for line in on_test_lines(study, trial.number, axes_of(study)):
        output.say(line)
    for line in config_lines(trial.config):
        output.say(line)


def print_study_json(study: Study, rule: str | None, problem: Problem | None = None) -> None:
    """What front.json holds, what a rule picks, and what comes nearest where nothing is within the bounds."""
    from widthwise.core.finite import finite
    from widthwise.search.nearest import nearest_by_cost
    from widthwise.study.front_json import trial_as_json
    from widthwise.study.nearest import nearest_trials

    content = study.as_json()
    near = nearest_trials(study)
    if problem is not None and not study.summary.trials:
        near = nearest_by_cost(problem)
    if near:
        content["nearest"] = finite([found.as_json() for found in near])
    if rule is not None:
        content["picked"] = finite(trial_as_json(study.pick(rule)))
    print_json(content)
