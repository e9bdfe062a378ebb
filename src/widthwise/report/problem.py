"""What a search is about, in lines for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.core.counting import count_text
from widthwise.data.facts import facts_of
from widthwise.data.modules import Data

if TYPE_CHECKING:
    from torch import nn

    from widthwise.config import SearchConfig
    from widthwise.metrics.quality.fits import Fit
    from widthwise.metrics.quality.outputs import Output
    from widthwise.search.problem import Problem


def problem_lines(problem: Problem) -> list[str]:
    """Data, network, and what is searched, a line each."""
    network = f"network:     {network_line(problem.config, problem.network, untrained=problem.untrained)}"
    return [*data_lines(problem.data), network, *search_lines(problem)]


def search_lines(problem: Problem) -> list[str]:
    """Space, strategy, objectives and evaluation, a line each."""
    search = problem.config.search
    return [
        f"task:        {task_line(problem.output)}",
        f"space:       {space_line(problem)}",
        f"strategy:    {search.strategy.name}{_limits(problem)}",
        f"objectives:  {_objectives(problem)}",
        f"evaluation:  {_evaluation(problem)}",
        *judged_lines(problem.output),
    ]


def task_line(output: Output) -> str:
    """What the outputs are worth, and by what that was found."""
    return f"{output.task.name} ({output.why})" if output.why else output.task.name


def judged_lines(output: Output) -> list[str]:
    """Which output is judged, where there are several."""
    return [f"judged:      {output}"] if len(output.among) > 1 else []


def note_lines(fitting: Fit) -> list[str]:
    """What is done to the data that its user may not expect."""
    return [f"read:        {note}" for note in fitting.reader.notes]


def data_lines(data: Data) -> list[str]:
    """What the data is, how many samples its parts have, and what it was taken for, where it says so."""
    about = facts_of(data)
    counts = ", ".join(f"{count:,} {part}" for part, count in about.sizes.items())
    lines = [f"data:        {about.title}{f' ({counts})' if counts else ''}"]
    return [*lines, f"label:       {about.taken}"] if about.taken else lines


def network_line(config: SearchConfig, network: nn.Module, *, untrained: bool) -> str:
    """Its name, its size, and where its weights come from."""
    count = sum(parameter.numel() for parameter in network.parameters())
    name = config.model or type(network).__name__
    return f"{name}, {count:,} parameters, {_weights(config, untrained=untrained)}"


def space_line(problem: Problem) -> str:
    """How many candidates there are, of how many decisions."""
    space = problem.space
    size = count_text(space.size)
    candidates, decisions = _plural(size, "candidate"), _plural(str(len(space.decisions)), "decision")
    return f"{candidates} from {decisions}"


def _weights(config: SearchConfig, *, untrained: bool) -> str:
    if config.load_name is not None:
        return f"weights from {config.load_name}"
    if untrained:
        return f"random weights (seed {config.seed})"
    return "weights as it comes"


def _limits(problem: Problem) -> str:
    search = problem.config.search
    limits = [f"up to {search.trials:,} trials"] if search.trials is not None else []
    limits += [f"{'' if limits else 'up to '}{search.timeout:,g} s"] if search.timeout is not None else []
    return f", {', '.join(limits)}" if limits else ""


def _objectives(problem: Problem) -> str:
    search = problem.config.search
    named = [
        f"{objective.name} ({objective.direction}"
        f"{f', scale {objective.scale:g}' if objective.scale != 1 else ''})"
        for objective in search.objectives
    ]
    if search.summed:
        named = [
            f"{search.direction} the sum of " + " + ".join(f"{o.scale:g} {o.name}" for o in search.objectives)
        ]
    within = [*map(str, search.constraints), *([f"target {search.target}"] if search.target else [])]
    bounds = f"; within {', '.join(within)}" if within else ""
    return ", ".join(named) + bounds


def _evaluation(problem: Problem) -> str:
    search = problem.config.search
    part = {"val": "validation", "test": "test"}[search.evaluation.part]
    some = "" if search.evaluation.samples is None else f" (first {search.evaluation.samples:,} samples)"
    return f"on the {part} data{some}; {problem.evaluator.describe}"


def _plural(count: str, word: str) -> str:
    return f"{count} {word}" if count == "1" else f"{count} {word}s"
