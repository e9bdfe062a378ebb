"""The weights of a shared network in a run's folder, and the mark of the training that they are from."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.files import write_atomically
from widthwise.core.hashing import hash_arrays
from widthwise.core.inside import read_inside
from widthwise.network.checkpoints import as_safetensors, tensors_inside
from widthwise.training.finetuning.settings import SHARED, SHARED_ABOUT

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)


def keep_shared(folder: Path, mark: str, weights: Mapping[str, Tensor]) -> None:
    """Writes them; what can't be written is a warning in the log.

    mark: of all that the training follows from.
    """
    about = {"mark": mark, "weights": hash_arrays(sorted(weights.items()))}
    try:
        write_atomically(folder / SHARED, as_safetensors(weights), within=folder)
        write_atomically(folder / SHARED_ABOUT, json.dumps(about).encode() + b"\n", within=folder)
    except OSError as error:
        logger.warning("%s: can't be written, so no network of this run is kept: %s", folder / SHARED, error)


def kept_shared(folder: Path, mark: str) -> dict[str, Tensor] | None:
    """Those that were written; None where there are none of this training, or not as they were written."""
    try:
        content = read_inside(folder, SHARED_ABOUT)
        weights = tensors_inside(folder, SHARED)
        if content is None or weights is None:
            return None
        about: Any = json.loads(content)
        if about["mark"] != mark:
            raise UserError(f"{folder / SHARED}: is of another training")
        if about["weights"] != hash_arrays(sorted(weights.items())):
            raise UserError(f"{folder / SHARED}: is not what was written")
    except (UserError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s; the shared network is trained again", error)
        return None
    return weights
