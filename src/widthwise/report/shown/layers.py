"""What the members of a front choose for each tensor or layer, as a map: rows tensors, columns members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.errors import UserError
from widthwise.core.toml import shown_choice
from widthwise.spaces.slots import slot_choices
from widthwise.study.realised import read_slots

if TYPE_CHECKING:
    from widthwise.formats.base import Format
    from widthwise.spaces.slots import Slot
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

FLOAT_BITS = 32.0
CHANNELS = "channel"  # keys of channels begin so
SHARE = "of the row's greatest choice"
MOST_WRITTEN = 8  # columns that have room for formats; more show their bits


@dataclass(frozen=True)
class LayerMap:
    """names [R]: of tensors or decisions. numbers [C]: of trials. words [R][C]: what is chosen, in short.

    levels [R][C]: a number for its colour, bits or channels where it is one, else the place among choices; as
    a share of the row's greatest where some rows are bits and others channels.
    measure: what the numbers are.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    words: tuple[tuple[str, ...], ...]
    levels: tuple[tuple[float, ...], ...]
    measure: str


def layer_map(study: Study, trials: Sequence[Trial]) -> LayerMap | None:
    """Of the formats of tensors where the run keeps them, else of the decisions; None without trials."""
    if not trials or not study.record.space.decisions:
        return None
    slots = _slots(study)
    return _of_slots(slots, trials) if slots else _of_decisions(study, trials)


def _slots(study: Study) -> tuple[Slot, ...]:
    """The tensors that have a choice; none where the run keeps none that can be read."""
    if study.folder is None:
        return ()
    try:
        found = tuple(slot for slot in read_slots(study.folder) if slot.columns)
    except UserError:  # a format of one's own that isn't here: the decisions are shown instead
        return ()
    decisions = len(study.record.space.decisions)
    return found if all(max(slot.columns) < decisions for slot in found) else ()


def _of_slots(slots: Sequence[Slot], trials: Sequence[Trial]) -> LayerMap:
    chosen = slot_choices(slots, np.array([trial.candidate for trial in trials], dtype=np.int64))
    formats = [[slot.formats[index] for index in chosen[:, row]] for row, slot in enumerate(slots)]
    words = _bits if len(trials) > MOST_WRITTEN else _written
    return LayerMap(
        tuple(f"{slot.layer} {slot.tensor}" for slot in slots),
        tuple(trial.number for trial in trials),
        tuple(tuple(map(words, row)) for row in formats),
        tuple(tuple(FLOAT_BITS if fmt is None else float(fmt.bits) for fmt in row) for row in formats),
        "bits",
    )


def _written(fmt: Format | None) -> str:
    """The notation of a format, without the scales of its channels, which are many."""
    written = "float" if fmt is None else repr(fmt)
    return written if len(written) <= 24 else written[:23] + "…"


def _bits(fmt: Format | None) -> str:
    return "float" if fmt is None else f"{fmt.bits:g}"


def _of_decisions(study: Study, trials: Sequence[Trial]) -> LayerMap:
    decisions = study.record.space.decisions
    channels = [decision.name.rpartition("/")[2].startswith(CHANNELS) for decision in decisions]
    shares = any(channels) and not all(channels)  # bits and channels are no one scale
    words, levels = [], []
    for column, decision in enumerate(decisions):
        chosen = [trial.candidate[column] for trial in trials]
        words.append(tuple(shown_choice(decision.choices[index]) for index in chosen))
        scale = (
            [float(x) for x in decision.choices] if decision.ordered else list(range(len(decision.choices)))
        )
        most = (scale[-1] or 1.0) if shares else 1.0
        levels.append(tuple(scale[index] / most for index in chosen))
    measure = "choice" if all(decision.ordered for decision in decisions) else "place among the choices"
    measure = SHARE if shares else measure
    names = tuple(decision.name for decision in decisions)
    return LayerMap(names, tuple(trial.number for trial in trials), tuple(words), tuple(levels), measure)
