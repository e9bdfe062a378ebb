"""Keeping the networks of the front in the run folder while a search runs."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError
from widthwise.core.files import write_atomically
from widthwise.core.hashing import hash_value
from widthwise.core.importing import describe_error
from widthwise.core.inside import is_inside, names_inside, remove_inside
from widthwise.evaluators.protocol import HasSlots, Realises, SharesWeights
from widthwise.study.realised import KNOWN, read_kept, read_slots
from widthwise.study.run_files import REALISED, SAMPLE, SLOTS, TRIAL_WEIGHTS, trial_weights
from widthwise.study.slots import schemes_of, slots_as_json
from widthwise.study.trials import Trial
from widthwise.training.finetuning.settings import SHARED

if TYPE_CHECKING:
    from widthwise.network.realised import Realised
    from widthwise.spaces.slots import Slot

logger = logging.getLogger(__name__)


@dataclass
class Keeper:
    """Writes what makes the networks of the front again, and removes what is of trials that left it.

    folder: of the run. evaluator: has the networks. repeats: how many trainings each metric is the mean of.
    A network that can't be kept is a warning in the log: the trials are in the store all the same.
    """

    folder: Path
    evaluator: Realises
    repeats: int = 1
    _slots: tuple[Slot, ...] | None = field(default=None, init=False)
    _given_up: set[int] = field(default_factory=set, init=False)

    def keep(self, front: Sequence[Trial], *, final: bool) -> None:
        """Bring the folder up to the front so far.

        final: the search is over, so networks that are not at hand any more are trained again.
        """
        try:
            kept = {} if self._lacks_slots() else read_kept(self.folder)
            found = {number: kept[number] for trial in front if (number := str(trial.number)) in kept}
            for trial in front:
                if (
                    str(trial.number) not in found
                    and (made := self._realised(trial, final=final)) is not None
                ):
                    found[str(trial.number)] = self._written(trial.number, made)
            if found != kept or not is_inside(self.folder, REALISED):
                _write_json(self.folder / REALISED, found)
            self._remove_others(found)
        except (UserError, OSError) as error:
            logger.warning("%s", error)

    def _lacks_slots(self) -> bool:
        """Whether the schemes of what the folder keeps can't be read, so that all has to be written again."""
        return (
            isinstance(self.evaluator, HasSlots)
            and bool(self.evaluator.slots)
            and not is_inside(self.folder, SLOTS)
        )

    def _realised(self, trial: Trial, *, final: bool) -> Realised | None:
        """The network of a trial; None where it isn't at hand, or comes out as another one."""
        if trial.number in self._given_up:
            return None
        candidate = np.array(trial.candidate, dtype=np.int64)
        try:
            found = self.evaluator.at_hand(candidate)
            if found is None and final:
                logger.info("trial %d: its network is trained again, to be kept", trial.number)
                found = self._checked(self.evaluator.realise(candidate), trial)
        except Exception as error:  # of the user's network, which may raise anything
            self._given_up.add(trial.number)
            logger.warning("trial %d: its network is not kept: %s", trial.number, describe_error(error))
            return None
        return found

    def _checked(self, found: Realised, trial: Trial) -> Realised:
        """A network that was trained again; UserError where its metrics are others than the trial's."""
        mark = found.marks.get("quality")
        if self.repeats == 1 and mark is not None and mark != hash_value(dict(trial.software_metrics)):
            raise UserError("trained again from the same seed it came out as another one")
        return found

    def _written(self, number: int, found: Realised) -> dict[str, Any]:
        """What REALISED holds of a network; its weights are written, sample and slots if they are not yet."""
        stored = found.as_json()
        if isinstance(self.evaluator, SharesWeights):
            stored["weights"] = SHARED
        elif found.weights is not None:
            from widthwise.network.checkpoints import as_safetensors

            path = self.folder / TRIAL_WEIGHTS / trial_weights(number)
            write_atomically(path, as_safetensors(found.weights), within=self.folder)
            stored["weights"] = True
        if found.sample is not None and not is_inside(self.folder, SAMPLE):
            from widthwise.network.checkpoints import as_safetensors

            write_atomically(self.folder / SAMPLE, as_safetensors(found.sample))
        slots = self._kept_slots(found)
        if slots and schemes_of(slots, found.candidate) == dict(found.schemes):
            del stored["schemes"]  # they follow from the candidate
        return stored

    def _kept_slots(self, found: Realised) -> tuple[Slot, ...]:
        """The slots that the folder keeps, written now where it keeps none yet."""
        if self._slots is None:
            own = tuple(self.evaluator.slots) if isinstance(self.evaluator, HasSlots) else ()
            if own and not is_inside(self.folder, SLOTS):
                known = found.as_json()
                content = {name: known[name] for name in KNOWN} | {"slots": slots_as_json(own)}
                if isinstance(self.evaluator, SharesWeights):
                    content |= {"weights": SHARED, "mark": self.evaluator.shared_mark()}
                _write_json(self.folder / SLOTS, content)
            self._slots = read_slots(self.folder)
        return self._slots

    def _remove_others(self, found: dict[str, Any]) -> None:
        """Files of weights of trials that are not kept any more."""
        wanted = {trial_weights(int(number)) for number in found}
        for name in names_inside(self.folder, TRIAL_WEIGHTS):
            if re.fullmatch(r"trial-\d+\.safetensors", name) and name not in wanted:
                with suppress(OSError):
                    remove_inside(self.folder, f"{TRIAL_WEIGHTS}/{name}")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    write_atomically(path, text.encode() + b"\n")
