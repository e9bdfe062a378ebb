"""The search of a stored run again: its parts, by which its candidates can be judged as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.config import load_config
from widthwise.core.errors import UserError
from widthwise.data.modules import Data
from widthwise.search.problem import Problem, load_problem, problem_of_run
from widthwise.study.run_files import CONFIG
from widthwise.study.study import Study

if TYPE_CHECKING:
    from torch import nn


def problem_of_study(run: Study, model: nn.Module | None = None, data: Data | None = None) -> Problem:
    """The parts of the search of a run that has a folder, as it judged.

    model, data: where they were given from Python. Raises UserError where an evaluator was.
    """
    assert run.folder is not None
    if "evaluator" in run.record.fingerprint:
        raise UserError(
            f"{run.folder}: its candidates were judged by an evaluator given from Python, which a run "
            "doesn't keep; nothing can be evaluated again"
        )
    given = model if model is not None else run.searched
    if given is None and data is None:
        return problem_of_run(run.folder)
    config = load_config(run.folder / CONFIG)
    return load_problem(config, model=run.searched_network(given), data=data).trained(run.folder)
