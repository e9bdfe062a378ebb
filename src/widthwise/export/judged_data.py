"""The samples that trials were judged on, where they can be had."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from widthwise.config import load_config
from widthwise.core.errors import UserError
from widthwise.core.toml import parse_toml
from widthwise.study.run_files import CONFIG

if TYPE_CHECKING:
    from widthwise.data.modules import Data
    from widthwise.study.store import StudyRecord


@dataclass(frozen=True)
class JudgedOn:
    """The data, of which `part` is judged, at most `samples` of it; `on` says so, or why there is none.

    task, output: what outputs are worth, and which of several is judged.
    """

    data: Data | None
    part: str
    samples: int | None
    on: str
    task: str | None
    output: str | None


def judged_data(record: StudyRecord, given: Data | None) -> JudgedOn:
    """What a study judged its trials on: the data given, or that of its config, where it can be had."""
    from widthwise.data.modules import load_data

    config = load_config(parse_toml(record.config, label=CONFIG))
    evaluation = config.search.evaluation
    part, samples = evaluation.part, evaluation.samples
    how = (config.task, config.output)
    if given is not None:
        return JudgedOn(given, part, samples, f"the {part} samples of the data given", *how)
    if config.dataset is None:
        return JudgedOn(None, part, samples, "an example, as the data was given from Python", *how)
    options = {"task": config.task, **asdict(config.data)}
    try:
        data = load_data(config.dataset, batch_size=config.batch_size, seed=config.seed, **options)
    except UserError as error:
        return JudgedOn(None, part, samples, f"an example ({error})", *how)
    return JudgedOn(data, part, samples, f"the {part} samples of {config.dataset}", *how)
