"""The files of a run folder by name, and which folders are runs (imports nothing heavy)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from widthwise.core.errors import UserError
from widthwise.core.inside import is_inside

Keep = Literal["all", "front"]  # which trials are written: all, or those on the front when they came
RUNS = Path("runs")  # where run folders are made unless another place is named

CONFIG, STUDY, FRONT, LOG, STORAGE = "config.toml", "study.db", "front.json", "log.txt", "storage.json"
WEIGHTS = "weights.safetensors"  # the network that was searched, as it was
NETWORK = "network.json"  # its calls, where it was given from Python and can be written
REALISED = "realised.json"  # what makes the networks of the front again, but for their weights
SLOTS = "slots.json"  # the calibrated formats that each tensor may have, where formats were searched
SAMPLE = "sample.safetensors"  # a few samples, where the network has to be captured on the data itself
TRIAL_WEIGHTS = "weights"  # the folder with the trained weights of the front, a file a trial
SURENESS = "standard_errors.json"  # how sure the figures of the front are
EXPLANATION = "explain.json"  # why a trial is as good as it is, and whether mixing helped
NEXT = "next.toml"  # the config of the search that the explanation advises
TESTED = "tested.json"  # figures of picked trials on test data
LAYERS = "layers.json"  # of a picked trial: sizes, work, what formats do to data
EXPECTED = "expected.json"  # what the strategy expected of its trials before they were judged
DETAIL = "detail.json"  # of a picked trial: quality by class, by output, of the worst samples
PAGE = "report.html"  # the study as a page to look at
FINETUNED = "finetuned"  # the folder of trials that were trained on with their formats
MEASURED = "measured"  # the folder of what tools measured of trials
FILES = (CONFIG, FRONT, STUDY, STORAGE, WEIGHTS, LOG, PAGE)


class NotKeptError(UserError):
    """The run does not keep what was asked for."""


def trial_weights(number: int) -> str:
    """The name, in TRIAL_WEIGHTS, of the file with a trial's weights."""
    return f"trial-{number}.safetensors"


def run_name(source: str, model: str | None) -> str:
    """What the run folder of a config is called: after its file, or after its folder where that is a run.

    source: the config's file, or what else it came from; model: the network, after which it is called then.
    """
    path = Path(source)
    if path.name == CONFIG and is_run(path.parent):
        return path.resolve().parent.name
    return path.stem if path.suffix == ".toml" else (model or "search").replace(":", ".")


def run_path(source: str, model: str | None, out: str | Path | None = None) -> Path:
    """The run folder of a config: `out`, or else one under RUNS that is called as `run_name` says."""
    return (RUNS / run_name(source, model) if out is None else Path(out)).expanduser()


def check_new(folder: Path) -> None:
    """Raises UserError where no run can be begun in a folder: there is one already, or something else."""
    if is_run(folder):
        raise UserError(
            f"{folder}: has a run already; --resume goes on with it, --force-new starts one beside it"
        )
    if not is_free(folder):
        raise UserError(f"{folder}: exists already and is no run; choose another folder (--out)")


def is_run(folder: Path) -> bool:
    """Whether there is a run in the folder."""
    return (folder / CONFIG).is_file() and ((folder / STUDY).is_file() or (folder / STORAGE).is_file())


def is_free(folder: Path) -> bool:
    """Whether nothing is there, or an empty folder."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def check_own_files(folder: Path) -> None:
    """Raises UserError where a file that a run is read from, or appended to, is a link or no file."""
    for name in (*FILES, *(f"{STUDY}{ending}" for ending in ("-wal", "-shm", "-journal"))):
        is_inside(folder, name)


def free_folder(folder: Path) -> Path:
    """The folder, or the first of NAME-2, NAME-3 … that is not there."""
    number, free = 2, folder
    while free.exists():
        free, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return free
