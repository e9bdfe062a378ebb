"""A run opened from Python and by commands, where it may be from somebody else without running its code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from widthwise.config.load import load_config
from widthwise.config.trust import refuse_code
from widthwise.core.toml import parse_toml
from widthwise.study import run_folder
from widthwise.study.run_files import CONFIG

if TYPE_CHECKING:
    from widthwise.study.study import Study


def load_run(path: str | Path, *, untrusted: bool = False, storage: str | None = None) -> Study:
    """The study of a run, finished or not. Reading it imports nothing; `study.network` and exports may.

    storage: the URL of the database that the run keeps its trials in, where that is not in its folder:
    nothing that a folder names is connected to by itself.

    untrusted: the run may be from somebody else. Raises UserError where it names code: in its config.toml, or
    in the config that its store holds, by which networks are made again, for a folder may hold two.
    """
    study = run_folder.load_run(path, storage=storage)
    if untrusted:
        label = f"{path}: its store's config"
        refuse_code(parse_toml(study.record.config, label=label), label)
        load_config(Path(path).expanduser() / CONFIG, untrusted=True)
    return study
