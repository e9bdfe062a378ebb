"""Exporting a trial: refused before anything is written, or written, run, compared and put in its place."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import distributions, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError, said_once
from widthwise.core.files import folder_in_one_piece, write_atomically
from widthwise.core.finite import finite
from widthwise.export.exporter import Exported, Exporter, exporter
from widthwise.study.looks import shown
from widthwise.study.study import Study
from widthwise.study.trials import Trial

if TYPE_CHECKING:
    from torch import nn

    from widthwise.data.modules import Data
    from widthwise.data.samples import Scaler
    from widthwise.export.checking import Check
    from widthwise.export.judged_data import JudgedOn
    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised

EXPORT = "export.json"  # what was exported, and how it was checked
EXAMPLE_SAMPLES = 64


@shown
@dataclass(frozen=True)
class Export:
    """A trial's network in a folder; `exported.run` runs it, `check` compares it with what was judged."""

    folder: Path
    form: str
    trial: Trial
    repeat: int
    exported: Exported
    check: Check
    scaler: Mapping[str, Any] | None = None  # how samples were standardised, by `as_numbers`
    extra: str = ""  # of widthwise, that the form needs
    pruned: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # groups: channels before, and now

    def as_json(self) -> dict[str, Any]:
        """What EXPORT holds: plain JSON values, null for NaN and infinity."""
        content = {
            "form": self.form,
            "trial": self.trial.number,
            "repeat": self.repeat,
            "metrics": self.trial.metrics,
            "config": dict(self.trial.config),
            "check": asdict(self.check),
            "scaler": self.scaler,
            "pruned": {name: list(sizes) for name, sizes in self.pruned.items()},
            "notes": list(self.exported.notes),
            "files": [str(path.relative_to(self.folder)) for path in self.exported.files],
            "versions": {
                **{name: version(name) for name in ("widthwise", "torch", *_packages_of(self.extra))},
                "python": platform.python_version(),
            },
        }
        cleaned: dict[str, Any] = finite(content)
        return cleaned


def export(
    study: Study | str | Path,
    trial: Trial | int | str,
    form: str | Exporter,
    out: str | Path,
    *,
    model: nn.Module | None = None,
    data: Data | None = None,
    with_scaler: bool = False,
    prune: bool = True,
    options: Mapping[str, object] | None = None,
    force: bool = False,
) -> Export:
    """Writes the network that a trial was judged by in a form that other tools read, and proves it.

    Args:
        study: a study, or its run folder. trial: a trial, its number, or a rule that picks one ("knee").
        form: the name of an exporter, as "torch", or one of one's own. options: of the exporter of that name,
            as {"pipeline": 4}. out: the folder, which is new or
            empty; `force` replaces an earlier export.
        model: the network that was searched, where it was given from Python and in another process.
        data: where it was given from Python; else that of the run's config. What was written is run on the
            samples that the trial was judged on, and compared; on an example where there are none.
        with_scaler: what is written standardises its input itself, as the data was standardised, and so takes
            samples as they are. The numbers are in EXPORT in any case.
        prune: leave out channels of trained widths of which no bit reaches an output
            (`widthwise.network.pruning`); layers keep their names, outputs their bits.

    Raises UserError, and then nothing was written: for what the form can't say, and where the outputs differ.
    """
    from widthwise.export.judged_data import judged_data
    from widthwise.export.scaler import TakesScaler, as_numbers, checked_scaler
    from widthwise.network.pruning.pruned import Pruned, pruned
    from widthwise.study.run_folder import load_run

    found = study if isinstance(study, Study) else load_run(study)
    made = exporter(form, options) if isinstance(form, str) else form
    folder = Path(out).expanduser()
    _check_place(folder, force=force)
    chosen = chosen_trial(found, trial)
    realised = found.realised(chosen).complete(found.searched_network(model))
    graph = judged_graph = realised.graph()
    left = pruned(realised) if prune else Pruned(realised)
    if left.channels:
        realised, graph = left.realised, left.realised.graph()
    if reasons := made.refusals(realised, graph):
        raise UserError(f"trial {chosen.number} can't be exported as {made.name}: {said_once(reasons)}")
    judged = judged_data(found.record, data)
    scaler = checked_scaler(judged, made) if with_scaler else None
    with folder_in_one_piece(folder, blamed=folder) as part:
        exported = made.write(realised, graph, part, tuple(realised.example(1).values()))
        if scaler is not None and isinstance(made, TakesScaler):
            exported = made.with_scaler(exported, scaler, part)
        check = _checked(exported, made, realised, judged_graph, judged, scaler)
        numbers = as_numbers(judged, first_layer=with_scaler)
        exported = replace(exported, notes=(*left.notes, *exported.notes))
        done = Export(
            part, made.name, chosen, realised.repeat, exported, check, numbers, made.extra, left.channels
        )
        text = json.dumps(done.as_json(), indent=2, ensure_ascii=False, allow_nan=False)
        write_atomically(part / EXPORT, text.encode() + b"\n")
        _put(part, folder)
    files = tuple(folder / path.relative_to(part) for path in exported.files)
    return replace(done, folder=folder, exported=replace(exported, files=files))


def _packages_of(extra: str) -> list[str]:
    """The installed packages that an extra of widthwise names."""
    asked = re.compile(rf"([\w.-]+).*;\s*extra\s*==\s*['\"]{re.escape(extra)}['\"]")
    found = [match[1] for each in requires("widthwise") or () if (match := asked.match(each))]
    return [name for name in found if extra and any(distributions(name=name))]


def chosen_trial(study: Study, trial: Trial | int | str) -> Trial:
    """A trial itself, by its number, or as a rule picks it; UserError where there is none."""
    if isinstance(trial, Trial):
        return trial
    if isinstance(trial, int):
        return study.trial(trial)
    return study.pick(trial)


def _checked(
    exported: Exported,
    made: Exporter,
    realised: Realised,
    graph: Graph,
    judged: JudgedOn,
    scaler: Scaler | None,
) -> Check:
    """How what was written compares with the network; UserError where it is another one."""
    from widthwise.export.checking import batches_of, compare, gives_marked
    from widthwise.export.scaler import Standardise
    from widthwise.metrics.quality.fits import check_data_fits_model
    from widthwise.metrics.quality.making import with_targets

    if exported.run is None:
        raise UserError(f"{made.name}: what was written can't be run here, so nothing shows that it is right")
    first = None if scaler is None else Standardise.of(scaler)
    if judged.data is None:
        example = realised.example(EXAMPLE_SAMPLES)
        if not example:
            raise UserError(f"{judged.on}, and the run says not what its network takes; give data")
        check = compare(graph, exported.run, [example], on=judged.on)
    else:
        fitting = check_data_fits_model(graph.network, judged.data, judged.task, judged.output)
        data = with_targets(judged.data, graph.network, fitting.task, judged.output)
        where = (fitting, data, judged.part, judged.samples)
        check = compare(graph, exported.run, batches_of(*where), on=judged.on, first=first)
        check = replace(check, as_judged=gives_marked(graph, *where, realised.marks.get("outputs")))
    if not check.passes(exact=made.exact and exported.exact):
        raise UserError(
            f"{made.name}: what was written is another network: {check.equal:,} of {check.samples:,} outputs "
            f"are equal, the largest difference is {check.largest_difference:.3g}; nothing was kept"
        )
    return check


def _check_place(folder: Path, *, force: bool) -> None:
    """Raises UserError where the folder may not be written."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder}: is a file; choose another folder (--out)")
    if not any(folder.iterdir()):
        return
    if not (folder / EXPORT).is_file():
        raise UserError(f"{folder}: holds other things than an export; choose another folder (--out)")
    if not force:
        raise UserError(
            f"{folder}: holds an export already; --force (force=True) replaces it, or choose another folder"
        )


def _put(part: Path, folder: Path) -> None:
    """The folder `part` in its place; what was there goes once the new one is there."""
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.rename(old)
    try:
        part.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
