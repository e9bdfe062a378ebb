"""Reports of vendors' tools, read back as what was measured of a trial."""

from __future__ import annotations

from pathlib import Path

from widthwise.core.errors import UserError
from widthwise.core.files import existing_file
from widthwise.export.vendor.vitis import read_csynth
from widthwise.export.vendor.vivado import read_utilisation
from widthwise.study.measured import Measured, keep_measured
from widthwise.study.run_folder import load_run, save_front
from widthwise.study.study import Study
from widthwise.study.trials import Trial

MOST_BYTES = 16 * 2**20


def import_report(study: Study | str | Path, trial: Trial | int, file: str | Path) -> Measured:
    """Reads a report and keeps its figures in the run as measured of a trial, with the tool and its version.

    file: what Vivado's `report_utilization -file` wrote, or csynth.xml of Vitis HLS. What was read of the
    same tool before is replaced. Nothing shows that it is of this trial's network: the caller says so.

    Raises UserError, and then nothing is kept: where the run has no such trial, or the file is no report.
    """
    folder = folder_of(study)
    run = study if isinstance(study, Study) else load_run(folder)
    number = run.trial(trial.number if isinstance(trial, Trial) else int(trial)).number
    measured = read_report(file)
    keep_measured(folder, number, measured)
    save_front(run, folder)
    return measured


def folder_of(study: Study | str | Path) -> Path:
    """The run folder in which what is measured of a study's trials is kept; UserError where it has none."""
    if not isinstance(study, Study):
        return Path(study).expanduser()
    if study.folder is None:
        raise UserError(f"{study.name}: has no run folder here; open it with load_run(FOLDER)")
    return study.folder


def read_report(file: str | Path) -> Measured:
    """The figures of a report; UserError for a file that is none."""
    path = existing_file(file)
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path}: is no file of at most {MOST_BYTES // 2**20} MiB, as reports are")
    content = path.read_bytes()
    if content.lstrip().startswith(b"<"):
        return read_csynth(content, str(path))
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise UserError(
            f"{path}: is no text; give what Vivado's report_utilization -file wrote, or Vitis HLS' csynth.xml"
        ) from None
    return read_utilisation(text, str(path))
