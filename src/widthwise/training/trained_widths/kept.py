"""A path on disk: what each checkpoint came to, and what its training goes on from; tensors alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.core.files import write_atomically
from widthwise.network.checkpoints import as_safetensors, read_safetensors
from widthwise.network.scheme import Scheme
from widthwise.training.trained_widths.path import Checkpoint

if TYPE_CHECKING:
    from widthwise.training.trained_widths.path import WidthPath

FOLDER = "path"
STATE = "state.safetensors"
ABOUT = "about"  # the tensor that holds JSON as bytes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptPath:
    """The folder of a path.

    mark: of all that the path follows from; what was written for another one is not read.
    """

    folder: Path
    mark: str

    def keep(self, checkpoint: Checkpoint, path: WidthPath) -> None:
        """Writes a checkpoint, then what goes on from it; what can't be written is a warning in the log."""
        try:
            self.folder.mkdir(exist_ok=True)
            about = {
                "mark": self.mark,
                "step": checkpoint.step,
                "schemes": {name: scheme.to_config() for name, scheme in checkpoint.schemes.items()},
                "dead": list(checkpoint.dead),
                "constant": checkpoint.constant,
            }
            self._write(_name(checkpoint.number), about, checkpoint.weights)
            self._write(STATE, {"mark": self.mark, "step": path.step}, path.state())
        except OSError as error:
            logger.warning(
                "%s: can't be written, so the training starts anew if it stops: %s", self.folder, error
            )

    def checkpoint(self, number: int) -> Checkpoint | None:
        """One that was written; None where there is none that can be read."""
        found = self._read(_name(number))
        if found is None:
            return None
        about, tensors = found
        schemes = {
            str(name): Scheme.from_config(config, where=f"{self.folder}: {name}")
            for name, config in about["schemes"].items()
        }
        dead = tuple(map(str, about["dead"]))
        return Checkpoint(number, int(about["step"]), schemes, tensors, dead, bool(about["constant"]))

    def resume(self, path: WidthPath, *, most: int) -> None:
        """Takes a fresh path to where the one that was written stood, unless that is beyond `most` steps."""
        found = self._read(STATE)
        if found is None or not path.step < int(found[0]["step"]) <= most:
            return
        try:
            path.load(int(found[0]["step"]), found[1])
        except (KeyError, RuntimeError, ValueError) as error:
            logger.warning("%s: is of another training, which starts anew: %s", self.folder / STATE, error)

    def _write(self, name: str, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        text = json.dumps(about, separators=(",", ":")).encode()
        held = {**tensors, ABOUT: torch.frombuffer(bytearray(text), dtype=torch.uint8)}
        write_atomically(self.folder / name, as_safetensors(held))

    def _read(self, name: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            tensors = read_safetensors(path)
            about = json.loads(bytes(tensors.pop(ABOUT).tolist()))
            if not isinstance(about, dict) or about.get("mark") != self.mark:
                raise UserError(f"{path}: is of another training")
        except (UserError, KeyError, ValueError) as error:
            logger.warning("%s; its part of the training is done again", error)
            return None
        return about, tensors


def _name(number: int) -> str:
    return f"checkpoint-{number:03d}.safetensors"
