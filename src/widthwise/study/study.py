"""A study: a search with its trials, as it is read by people, reports and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError
from widthwise.core.finite import finite
from widthwise.core.importing import load_object
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.spread import indistinct
from widthwise.study.explanation import Explanation, read_explanation
from widthwise.study.finetuned import Finetuned, overlaid, read_finetuned
from widthwise.study.fingerprint import EACH_ONCE, NETWORKS
from widthwise.study.front import FrontRows
from widthwise.study.front_json import front_as_json
from widthwise.study.looks import looked_at
from widthwise.study.measured import Measured, measured_columns, read_measured
from widthwise.study.sources import checked_run, run_source
from widthwise.study.store import Store, StudyRecord
from widthwise.study.store.records import Summary
from widthwise.study.sureness import FLOAT, KeptSureness, read_sureness
from widthwise.study.tested import KeptTests, read_tests, tested_columns
from widthwise.study.ties import Tie, ties
from widthwise.study.trials import ON_FRONT, ON_FRONT_AT, Told, Trial, Trials, make_trials, told_blocks

FINETUNER = "widthwise.search.finetuning:finetune"
EXPLAINER = "widthwise.search.explaining:explain"  # a room above this one, found when it is asked for

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure
    from torch import nn

    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised


@dataclass(frozen=True)
class Study:
    """What a search found.

    source: the store's path or URL. front: the trials that no other dominates, by number.
    finished: why the search ended, None where it may go on (interrupted, or killed).
    interrupted: the signal that stopped it in this session.
    failing: whether it stopped because too many trials failed in a row, or because its strategy did.
    folder: of the run, which keeps the networks of the front; None: there is none.
    searched: the network that was searched, where that was in this process.
    untuned: whether its trials are as the search found them, whatever was fine-tuned since.
    """

    record: StudyRecord
    source: str | Path = field(repr=False)  # may have a password
    front: tuple[Trial, ...]
    summary: Summary
    finished: str | None = None
    interrupted: int | None = None
    failing: bool = False
    folder: Path | None = field(default=None, compare=False)
    searched: nn.Module | None = field(default=None, compare=False, repr=False)
    untuned: bool = field(default=False, compare=False, repr=False)

    @classmethod
    def load(
        cls,
        source: str | Path,
        name: str | None = None,
        *,
        folder: Path | None = None,
        progress: Told | None = None,
    ) -> Study:
        """A study from its store or its run folder, whether its search ended or not.

        source: a path or URL of a store, or a folder; name: of one of several studies in a store.
        folder: of its run, where the source is a store. progress: is told of the trials read.
        """
        if "://" not in str(source) and Path(source).expanduser().is_dir():
            folder = checked_run(source)
            stored, own = run_source(folder)
            return cls.load(stored, name or own, folder=folder, progress=progress)
        tuned = read_finetuned(folder)
        with Store.open(source, readonly=True) as store:
            record = store.find(name)
            rows = FrontRows(record)
            for block in told_blocks(store.blocks(record), store.count(record), progress):
                rows.add(overlaid(record, block, tuned))
            seconds = store.seconds(record).of(rows.block.numbers)
            front = tuple(make_trials(record, rows.block, seconds))
            return cls(record, source, front, store.summary(record), record.finished, folder=folder)

    @property
    def name(self) -> str:
        """The name in its store."""
        return self.record.name

    @property
    def aim(self) -> Aim:
        """What it optimises."""
        return self.record.settings.aim

    @property
    def trials(self) -> Trials:
        """All stored trials, read when looked at."""
        return Trials(self.source, self.record, self.finetuned)

    @cached_property
    def finetuned(self) -> Mapping[int, Finetuned]:
        """The trials that were trained on with their formats, by number, with their figures before and after.

        Where that made one better, the tuned network stands for the trial in everything else.
        """
        return {} if self.untuned else read_finetuned(self.folder)

    def with_finetuned(self) -> Study:
        """The same, its front among trials as they are now."""
        if not self.finetuned:
            return self
        return replace(self, front=Study.load(self.source, self.name, folder=self.folder).front)

    def as_searched(self) -> Study:
        """The same, its trials and its front as the search found them."""
        if not self.finetuned:
            return self
        return replace(self, front=Study.load(self.source, self.name).front, untuned=True)

    def finetune(self, **keywords: Any) -> Study:
        """Trains members of the front on with their formats; keywords are those of `ww.finetune`."""
        found: Study = load_object(FINETUNER, what="function")(self, **keywords)
        return found

    @property
    def seconds(self) -> float:
        """Time spent searching, over all sessions."""
        return self.summary.seconds

    @property
    def exit_status(self) -> int:
        """For the shell: 0, 1 where trials or the strategy failed, 130 after Ctrl-C, 143 after SIGTERM."""
        if self.interrupted is not None:
            return 128 + self.interrupted
        return 1 if self.failing else 0

    @property
    def repeats(self) -> int:
        """How many trainings each metric is the mean of."""
        return self.record.settings.repeats

    @property
    def within_noise(self) -> dict[int, tuple[int, ...]]:
        """A trial of the front to the others that its objectives can't be told from, by number.

        By the spread over trainings where there were several; else by the samples that they were judged on,
        where the run keeps how sure that is.
        """
        if self.repeats == 1:
            return self.sureness.alike([trial.number for trial in self.front], self.aim.names)
        metrics = {
            name: np.array([trial.metrics[name] for trial in self.front]) for name in self.record.columns
        }
        found = indistinct(metrics, self.aim.names, self.repeats)
        numbers = [trial.number for trial in self.front]
        return {numbers[row]: tuple(numbers[other] for other in others) for row, others in found.items()}

    @cached_property
    def sureness(self) -> KeptSureness:
        """How sure the figures of the front are, as the run keeps it."""
        return read_sureness(self.folder)

    @cached_property
    def measured(self) -> Mapping[int, tuple[Measured, ...]]:
        """What tools measured of trials (`ww.certify`, `ww.import_report`), by number."""
        return read_measured(self.folder)

    def explain(self, **keywords: Any) -> Explanation:
        """Why a trial is as good as it is, and whether mixing helped; keywords are those of `ww.explain`."""
        found: Explanation = load_object(EXPLAINER, what="function")(self, **keywords)
        return found

    @property
    def explanation(self) -> Explanation | None:
        """What `explain` found, as the run keeps it; None where nothing was explained."""
        return read_explanation(self.folder)

    @cached_property
    def tested(self) -> KeptTests:
        """What picked trials and the float network are worth on test data, where the run keeps that."""
        return read_tests(self.folder)

    @property
    def target(self) -> str | None:
        """The export form that the search kept within, with its options; None: any."""
        return self.record.fingerprint.get("target")

    @property
    def each_once(self) -> bool:
        """Whether candidates were left out as they are the same network as others."""
        return self.record.fingerprint.get(NETWORKS) == EACH_ONCE

    @property
    def like_float(self) -> tuple[int, ...]:
        """Trials of the front that its objectives don't tell from the float network, where that is kept."""
        if self.repeats > 1:
            return ()
        return self.sureness.like_float([tie.trial.number for tie in self.ties], self.aim.names)

    @property
    def ties(self) -> tuple[Tie, ...]:
        """The front with one row for trials that are equal in all objectives."""
        return ties(self.front, self.aim, self.record.metrics)

    def pick(self, rule: str) -> Trial:
        """The trial that a rule chooses, as "best accuracy with model_size <= 2KiB" or "knee".

        It is chosen from the front where the rule names objectives only, otherwise from all stored trials
        within the bounds of the search; those alone that a tool measured where it names what that found
        (`yosys_luts`). Of equally good ones the best by the other metrics is taken.
        """
        from widthwise.study.picking import picked

        return picked(rule, self.record, self.ties, self.trials, self.measured)

    def trial(self, number: int) -> Trial:
        """The trial of this number; UserError where there is none."""
        on_front = [trial for trial in self.front if trial.number == number]
        if on_front:
            return on_front[0]
        try:
            if number >= 0:
                return self.trials[number]
        except IndexError:
            pass
        raise UserError(
            f"{self.folder or self.name} has no trial {number}; it has {self.summary.trials:,}, from 0"
        )

    def network(self, trial: Trial | int | None = None, *, model: nn.Module | None = None) -> Graph:
        """The network that a trial was judged by, in eval mode, from what the run kept: no data, no training.

        trial: a trial, or its number; None: the network that was searched, in float. model: the network that
        was searched, where it was given from Python and in another process; it stays as it is. With several
        trainings of each candidate it is that of the first one (`realised(trial).repeat`). Raises UserError
        where the run does not keep it, and where its weights are not those that were judged.
        """
        from widthwise.study.realised import realised_float

        found = realised_float(self.folder, self.record) if trial is None else self.realised(trial)
        return found.graph(self.searched_network(model))

    def realised(self, trial: Trial | int) -> Realised:
        """All that makes a trial's network again, as the run keeps it; raises UserError where it doesn't."""
        from widthwise.study.realised import model_name, realised_trial

        chosen = trial if isinstance(trial, Trial) else self.trial(int(trial))  # tables hold numpy's numbers
        if self.folder is None:
            raise UserError(f"{self.name}: has no run folder here; open it with load_run(FOLDER)")
        found = realised_trial(
            self.folder, self.record, chosen.number, chosen.candidate, self.finetuned.get(chosen.number)
        )
        if "weights" not in found.marks:
            raise UserError(
                f"{self.folder}: what is kept of trial {chosen.number} has lost its mark, so nothing shows "
                "that it is the network that was judged; resume the run once realised.json is deleted"
            )
        return replace(found, model=model_name(self.record))

    def searched_network(self, model: nn.Module | None = None) -> nn.Module:
        """The network that was searched, in float with the run's weights; `model` as for `network`.

        One that was given is what is returned, unless the run has other weights: copy it to change it.
        """
        from widthwise.study.realised import searched_network

        given = model if model is not None else self.searched
        return searched_network(self.folder, self.record, given=given)

    def to_pandas(self) -> pd.DataFrame:
        """All stored trials, a row each, and which are on the front.

        What picked ones are worth on test data, and what tools measured, stands in columns at the end.
        """
        frame = self.trials.to_pandas()
        numbers = frame["number"].tolist()
        frame.insert(ON_FRONT_AT, ON_FRONT, frame["number"].isin([trial.number for trial in self.front]))
        for name, column in tested_columns(self.tested, numbers).items():
            frame[name] = column
        for name, column in measured_columns(self.measured, numbers, taken=frame.columns).items():
            frame[name] = column
        return frame

    def as_json(self) -> dict[str, Any]:
        """What front.json holds: plain JSON values, null for NaN and infinity."""
        sure = self.sureness
        close = self.within_noise if self.repeats > 1 or sure.errors else None
        with_float = (
            {}
            if FLOAT not in sure.errors
            else {"float_standard_errors": sure.errors[FLOAT], "within_noise_of_float": self.like_float}
        )
        content: dict[str, Any] = finite(
            {
                "study": self.name,
                "metrics": self.aim.directions,
                "float": self.record.settings.float_metrics,
                **with_float,
                "front": front_as_json(self.ties, sure, close, self.measured),
                **({"judged_on": sure.samples} if sure.errors else {}),
                "trials": self.summary.trials,
                "failed": self.summary.failed,
                "stopped_early": self.summary.stopped,
                "seconds": round(self.seconds, 3),
                "finished": self.finished,
            }
        )
        return content

    def report(self, path: str | Path, *, pick: str | None = None) -> Path:
        """Writes the study as one page to look at, which needs no network; `pick` as `pick` takes it."""
        written: Path = looked_at("write_page", self, path, pick)
        return written

    def plot_front(self, x: str | None = None, y: str | None = None) -> Figure:
        """Trials by two of their figures, by default the first quality and cost, with the front."""
        return looked_at("plot_front", self, x, y)

    def plot_layers(self) -> Figure:
        """What each trial of the front chooses for each tensor."""
        return looked_at("plot_layers", self)

    def plot_history(self) -> Figure:
        """The share of the final hypervolume over the trials."""
        return looked_at("plot_history", self)

    def __repr__(self) -> str:
        return str(looked_at("text", self))

    def _repr_html_(self) -> str:
        return str(looked_at("markup", self))
