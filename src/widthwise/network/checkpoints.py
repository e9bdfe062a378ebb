"""Checkpoints: weights read from and written to files, never by pickle."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.files import check_unpacked, existing_file, read_npz, write_atomically
from widthwise.core.inside import read_inside

if TYPE_CHECKING:
    from torch import Tensor, nn

WRAPPER_PREFIXES = ("model.", "module.", "_orig_mod.")  # Lightning modules, DataParallel, torch.compile
UNREADABLE = "no torch checkpoint that can be read; save one with torch.save(model.state_dict(), path)"
NAMED_AT_MOST = 4  # tensors in an error message


def load_checkpoint(model: nn.Module, path: str | Path) -> None:
    """Weights and buffers of the model, in place, from .safetensors, .npz, or a torch file of tensors alone.

    A torch file (.pt, .pth, .bin, .ckpt) holds a state dict, or one under "state_dict" as Lightning writes
    it; a prefix that all names have from a wrapper ("model.") is taken off. Raises UserError, with the model
    as it was, for a pickled object, a broken file, tensors that are missing, unknown or of another shape, or
    values that aren't finite.
    """
    path = existing_file(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(
            f"{path}: checkpoints of type {path.suffix or '(none)'} aren't known; allowed: "
            f"{', '.join(READERS)}"
        )
    tensors = _without_wrapper(reader(path), model.state_dict())
    _check_fits(tensors, model, str(path))
    _check_finite(tensors, path)
    model.load_state_dict(tensors)


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Weights and buffers of the model, in place, whatever their values; UserError where they don't fit."""
    _check_fits(tensors, model, source)
    model.load_state_dict(dict(tensors))


def save_checkpoint(model: nn.Module, path: str | Path) -> None:
    """Weights and buffers as a .safetensors file, complete or not at all; UserError where that fails."""
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise UserError(f"{path}: checkpoints are written as .safetensors; give it that ending")
    write_atomically(path, as_safetensors(model.state_dict()))


def as_safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors by name as the content of a .safetensors file."""
    from safetensors.torch import save

    # clones: safetensors refuses tensors that share memory, as tied weights do
    return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a .safetensors file; UserError where it is broken."""
    try:
        return _tensors(path.read_bytes(), path)
    except OSError as error:
        raise UserError(f"{path}: no safetensors file that can be read: {error}") from error


def tensors_inside(folder: Path, name: str) -> dict[str, Tensor] | None:
    """Tensors by name of a .safetensors file that lies in a folder, None where there is none.

    Raises UserError where it is broken, or a link.
    """
    try:
        content = read_inside(folder, name)
    except OSError as error:
        raise UserError(f"{folder / name}: can't be read: {error.strerror}") from error
    return None if content is None else _tensors(content, folder / name)


def _tensors(content: bytes, path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except SafetensorError as error:
        raise UserError(f"{path}: no safetensors file that can be read: {error}") from error


def _read_npz_tensors(path: Path) -> dict[str, Tensor]:
    import torch

    try:
        return {name: torch.from_numpy(array) for name, array in read_npz(path).items()}
    except TypeError as error:
        raise UserError(f"{path}: holds an array that is no tensor: {error}") from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    import torch

    check_unpacked(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that torch did not write: refused below
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path}: {_refusal(path, str(error))}") from error
    except Exception as error:  # a broken file makes torch raise nearly anything
        raise UserError(f"{path}: {_refusal(path, '')}") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    tensors = content.values() if isinstance(content, Mapping) else ()
    if not tensors or not all(isinstance(tensor, torch.Tensor) for tensor in tensors):
        raise UserError(
            f"{path}: holds a {type(content).__name__} that is no state dict (names to tensors); save "
            "model.state_dict()"
        )
    return {str(name): tensor for name, tensor in content.items()}


READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".safetensors": read_safetensors,
    ".npz": _read_npz_tensors,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".bin": _read_torch,
    ".ckpt": _read_torch,
}


def _refusal(path: Path, reason: str) -> str:
    """Why torch refused to read a file with weights_only, in one sentence and what to do."""
    _, found, rest = reason.partition("GLOBAL ")
    with path.open("rb") as file:
        begins_as_pickle = file.read(1) == pickle.PROTO
    if not found and not begins_as_pickle:
        return UNREADABLE
    wants = f" and wants to import {rest.split()[0]}" if found else " and no checkpoint of torch's"
    return (
        f"is pickled{wants}; pickle can run any code when it is read, so it is refused: save "
        "model.state_dict(), tensors alone, with torch.save or as safetensors"
    )


def _without_wrapper(tensors: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in WRAPPER_PREFIXES:
        wrapped = all(name.startswith(prefix) for name in tensors)
        if wrapped and not any(name.startswith(prefix) for name in own):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _check_fits(tensors: Mapping[str, Tensor], model: nn.Module, source: str) -> None:
    if problems := "; ".join(_disagreements(tensors, model.state_dict())):
        raise UserError(
            f"{source}: does not fit {type(model).__name__}: {problems}; load it into its own network"
        )


def _disagreements(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """What keeps the tensors from being loaded, a phrase a kind; empty where they fit."""
    problems = []
    if missing := [name for name in own if name not in tensors]:
        problems.append(f"missing {_listed(missing)}")
    if extra := [name for name in tensors if name not in own]:
        problems.append(f"unknown {_listed(extra)}")
    common = [name for name in own if name in tensors]
    if misshaped := [
        f"{name} {list(tensors[name].shape)} where the network has {list(own[name].shape)}"
        for name in common
        if tensors[name].shape != own[name].shape
    ]:
        problems.append(f"misshaped {_listed(misshaped)}")
    if mistyped := [
        f"{name} {tensors[name].dtype} where the network has {own[name].dtype}"
        for name in common
        if tensors[name].is_floating_point() != own[name].is_floating_point()
    ]:
        problems.append(f"of another type {_listed(mistyped)}")
    return problems


def _check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    broken = [
        name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    if broken:
        raise UserError(
            f"{path}: {_listed(broken)} holds NaN or infinite values; take an earlier checkpoint or train "
            "again"
        )


def _listed(names: list[str]) -> str:
    rest = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {rest} more" if rest > 0 else "")
