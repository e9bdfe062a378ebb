"""The slots of a search's candidates, as a run folder keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError
from widthwise.formats import from_config
from widthwise.formats.base import Format
from widthwise.formats.corrected import Corrected

if TYPE_CHECKING:
    from widthwise.spaces.slots import Slot

SHIFT = "corrected_by"  # of a bias, beside what its format has


def slots_of(stored: Mapping[str, Any] | None, path: Path) -> tuple[Slot, ...]:
    """As they were stored in the file at this path. Raises UserError where they are none."""
    from widthwise.spaces.slots import Slot

    if stored is None:
        return ()
    try:
        return tuple(
            Slot(
                layer=str(slot["layer"]),
                tensor=slot["tensor"],
                formats=tuple(_format(fmt, str(path)) for fmt in slot["formats"]),
                columns=tuple(int(column) for column in slot["columns"]),
                table=np.array(slot["table"], dtype=np.int64),
            )
            for slot in stored["slots"]
        )
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(
            f"{path}: is broken; resume the run once it is deleted, which writes it again"
        ) from error


def slots_as_json(slots: Sequence[Slot]) -> list[dict[str, Any]]:
    """What `read_slots` reads back bit for bit."""
    return [
        {
            "layer": slot.layer,
            "tensor": slot.tensor,
            "formats": [_as_json(fmt) for fmt in slot.formats],
            "columns": list(slot.columns),
            "table": slot.table.tolist(),
        }
        for slot in slots
    ]


def _format(stored: Mapping[str, Any], where: str) -> Format | None:
    """A format as it was stored, a corrected one with what is added."""
    if SHIFT not in stored:
        return from_config(stored, where=where)
    of = from_config({key: value for key, value in stored.items() if key != SHIFT}, where=where)
    return Corrected(of, None, tuple(float(x) for x in stored[SHIFT]))


def _as_json(fmt: Format | None) -> dict[str, Any]:
    if isinstance(fmt, Corrected):
        return {**_as_json(fmt.of), SHIFT: list(fmt.shift)}
    return {"name": None} if fmt is None else fmt.to_config()


def schemes_of(slots: Sequence[Slot], candidate: Sequence[int]) -> dict[str, Any]:
    """The scheme of each layer that has slots, for one candidate [D]."""
    from widthwise.spaces.slots import schemes, slot_choices

    return dict(schemes(slots, slot_choices(slots, np.array([candidate], dtype=np.int64))[0]))
