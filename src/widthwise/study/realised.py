"""The networks that a run keeps, read again: of its front, and of any trial where formats were searched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.inside import is_inside, read_inside
from widthwise.core.toml import parse_toml
from widthwise.formats import import_own
from widthwise.spaces.settings import EQUALISE, FOLD_BATCHNORM
from widthwise.study.finetuned import Finetuned
from widthwise.study.run_files import (
    CONFIG,
    FINETUNED,
    NETWORK,
    REALISED,
    SAMPLE,
    SLOTS,
    TRIAL_WEIGHTS,
    WEIGHTS,
    NotKeptError,
    trial_weights,
)
from widthwise.study.slots import schemes_of, slots_of
from widthwise.training.finetuning.settings import SHARED

if TYPE_CHECKING:
    from torch import Tensor, nn

    from widthwise.network.realised import Realised
    from widthwise.spaces.slots import Slot
    from widthwise.study.store import StudyRecord

HOW = "resume the run, which writes them, or use `widthwise test --run`, which makes them again from its data"
LISTED = 8  # trials in an error
MOST_BYTES = 2**28
KNOWN = ("inputs", "batch")  # of the network, whatever the trial


def realised_trial(
    folder: Path,
    record: StudyRecord,
    number: int,
    candidate: tuple[int, ...],
    tuned: Finetuned | None = None,
) -> Realised:
    """All that makes the network of a trial again, as the run in the folder keeps it; reads no data.

    tuned: what fine-tuning made of the trial, whose network it is where that is the better one.
    Formats of one's own are imported where the run's config names them, as the network is. Raises UserError
    where the run keeps it not, or not whole.
    """
    _import_formats(record)
    if tuned is not None and tuned.better and tuned.candidate == candidate:
        where = f"{folder / FINETUNED}: trial {number}"
        made = {**(tuned.realised or {}), "weights": True}
        return _read(made, (), folder, where=where, number=number, candidate=candidate, inside=FINETUNED)
    kept, place = read_kept(folder), folder / REALISED
    known = _read_json(folder, SLOTS)
    stored = kept.get(str(number))
    slots = slots_of(known, folder / SLOTS)
    if stored is None:
        if known is None or not slots:
            raise _not_kept(folder, number, kept)
        marks = {"weights": known.get("mark", record.fingerprint["weights"])}
        stored = {"candidate": candidate, "sizes": {}, "repeat": 0, "marks": marks, "model": None}
        stored |= {"inputs": [], **_made_ready(record), **_known(known)}
        stored["weights"] = known.get("weights", False)
    return _read(stored, slots, folder, where=f"{place}: trial {number}", number=number, candidate=candidate)


def _import_formats(record: StudyRecord) -> None:
    from widthwise.spaces.format_rules import named_formats

    seed: Any = parse_toml(record.config, label=CONFIG)
    for key in ("search", "search_space", "seed"):
        seed = seed.get(key, {})
    for _, name in named_formats(seed):
        import_own(name)


def _made_ready(record: StudyRecord) -> dict[str, bool]:
    """Whether batch norms of the network were folded, and channels equalised, before it was searched."""
    tables: Any = parse_toml(record.config, label=CONFIG)
    for key in ("search", "search_space", "setup"):
        tables = tables.get(key, {})
    return {"folded": tables.get(FOLD_BATCHNORM) is True, "equalised": tables.get(EQUALISE) is True}


def realised_float(folder: Path | None, record: StudyRecord) -> Realised:
    """What makes the network again that was searched: its own weights, nothing resized, no formats."""
    from widthwise.network.realised import Realised

    stored: dict[str, Any] = {
        "candidate": (),
        "sizes": {},
        "schemes": {},
        "repeat": 0,
        "model": None,
        "inputs": [],
        **_made_ready(record),
    }
    stored["marks"] = {"weights": record.fingerprint["weights"]}
    if folder is None:
        return Realised.from_json(stored, where=record.name)
    kept = read_kept(folder).values()
    stored |= _known(_read_json(folder, SLOTS) or next(iter(kept), {}))
    return Realised.from_json(stored, sample=_sample(folder), where=record.name)


def _sample(folder: Path) -> dict[str, Tensor] | None:
    """The samples that the network is captured on, where the run keeps some; older ones keep none."""
    from widthwise.network.checkpoints import tensors_inside

    return tensors_inside(folder, SAMPLE)


def _known(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What of a stored trial, or of the slots of all, is about the network's inputs."""
    return {name: stored[name] for name in KNOWN if name in stored}


def searched_network(
    folder: Path | None, record: StudyRecord, *, given: nn.Module | None = None
) -> nn.Module:
    """The network that was searched, in float, with the weights that the run keeps.

    given: it, where it was given from Python and so has no name in the config; it stays as it is, and is what
    is returned where it has these weights. Without it, it is the one that the run keeps. Raises UserError
    where there is no such network.
    """
    from widthwise.network.checkpoints import load_tensors, tensors_inside
    from widthwise.network.named import load_model
    from widthwise.network.undisturbed import copied

    name = model_name(record)
    if given is None and name is None and (found := kept_network(folder)) is not None:
        return found
    if given is None and name is None:
        raise UserError(
            f"{record.name}: its network was given from Python, so it has no name; give it again, "
            "as in study.network(trial, model=network)"
        )
    seed = int(parse_toml(record.config, label=CONFIG).get("seed", 0))
    kept = None if folder is None else tensors_inside(folder, WEIGHTS)
    if given is not None and (kept is None or _holds(given, kept)):  # a copy may run layers of the original
        return given
    (network,) = copied(given) if given is not None else (load_model(str(name), seed=seed),)
    if kept is not None and folder is not None:
        load_tensors(network, kept, source=str(folder / WEIGHTS))
    return network


def kept_network(folder: Path | None) -> nn.Module | None:
    """The network that was given from Python, as the run keeps it; None where it doesn't."""
    from widthwise.network.checkpoints import tensors_inside
    from widthwise.network.written import built

    if folder is None or (stored := _read_json(folder, NETWORK)) is None:
        return None
    return built(stored, tensors_inside(folder, WEIGHTS) or {}, where=str(folder / NETWORK))


def _holds(network: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a network has just these weights and buffers."""
    own = network.state_dict()
    return own.keys() == tensors.keys() and all(
        own[name].shape == x.shape and own[name].dtype == x.dtype and own[name].cpu().equal(x)
        for name, x in tensors.items()
    )


def model_name(record: StudyRecord) -> str | None:
    """What the config calls the network that was searched; None where it was given from Python."""
    if not record.settings.named:
        return None
    name = parse_toml(record.config, label=CONFIG).get("model")
    return name if isinstance(name, str) else None


def read_kept(folder: Path) -> dict[str, Any]:
    """What REALISED holds: the trials whose networks are kept, by number; nothing where there is no file."""
    path = folder / REALISED
    found = _read_json(folder, REALISED) or {}
    if broken := [number for number, stored in found.items() if not isinstance(stored, dict)]:
        raise UserError(f"{path}: trial {broken[0]}: is no table; delete the file and resume the run")
    return found


def read_slots(folder: Path) -> tuple[Slot, ...]:
    """The slots with their calibrated formats, where the run keeps them; else none."""
    return slots_of(_read_json(folder, SLOTS), folder / SLOTS)


def _read(
    stored: Mapping[str, Any],
    slots: Sequence[Slot],
    folder: Path,
    *,
    where: str,
    number: int,
    candidate: tuple[int, ...],
    inside: str = TRIAL_WEIGHTS,
) -> Realised:
    """A realised network of its JSON, the schemes of its slots and its file of weights `inside` the run."""
    from widthwise.network.checkpoints import tensors_inside
    from widthwise.network.realised import Realised

    own = stored.get("weights", False)
    name = SHARED if own == SHARED else f"{inside}/{trial_weights(number)}"
    weights = tensors_inside(folder, name) if own else None
    if own and weights is None:
        raise UserError(
            f"{folder / name}: is missing, so trial {number} has no network; copy the whole run folder"
        )
    found = Realised.from_json({"schemes": {}, **stored}, weights, _sample(folder), where=where)
    if found.candidate != candidate:
        raise UserError(f"{where}: is of another candidate than the trial; {HOW}")
    if "schemes" in stored:
        return found
    if not slots:  # without them the network would be the float one
        raise UserError(
            f"{folder / SLOTS}: is missing or empty; resume the run once it is deleted, which writes it again"
        )
    try:
        return replace(found, schemes=schemes_of(slots, candidate))
    except IndexError as error:
        raise UserError(f"{folder / SLOTS}: is of another search than the trials; {HOW}") from error


def _read_json(folder: Path, name: str) -> dict[str, Any] | None:
    path = folder / name
    try:
        content = read_inside(folder, name, most=MOST_BYTES)
        if content is None:
            return None
        found = json.loads(content)
    except UserError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: can't be read as JSON; delete it and resume the run") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds no table; delete it and resume the run")
    return found


def _not_kept(folder: Path, number: int, kept: Mapping[str, Any]) -> NotKeptError:
    if not is_inside(folder, REALISED):
        return NotKeptError(f"{folder}: keeps no networks of its trials; {HOW}")
    numbers = sorted(map(int, kept))
    more = f" and {len(numbers) - LISTED} more" if len(numbers) > LISTED else ""
    listed = ", ".join(map(str, numbers[:LISTED])) + more if numbers else "none"
    return NotKeptError(
        f"{folder}: keeps no network of trial {number}; kept are those of the front: {listed}; take one of "
        "these, resume a run that was stopped, or use `widthwise test --run`, which makes it again"
    )
