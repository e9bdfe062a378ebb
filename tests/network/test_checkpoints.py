"""Checkpoints: what each kind gives back, what is refused, and that nothing is half-loaded or half-saved."""

from __future__ import annotations

import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from widthwise.core.errors import UserError
from widthwise.network.named import load_checkpoint, load_model, save_checkpoint


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def as_safetensors(tensors: dict[str, torch.Tensor], folder: Path) -> Path:
    save_file(tensors, folder / "net.safetensors")
    return folder / "net.safetensors"


def as_npz(tensors: dict[str, torch.Tensor], folder: Path) -> Path:
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
    np.savez(folder / "net.npz", **arrays)
    return folder / "net.npz"


def as_state_dict(tensors: dict[str, torch.Tensor], folder: Path) -> Path:
    torch.save(tensors, folder / "net.pt")
    return folder / "net.pt"


def as_lightning(tensors: dict[str, torch.Tensor], folder: Path) -> Path:
    wrapped = {f"model.{name}": tensor for name, tensor in tensors.items()}
    torch.save({"epoch": 3, "state_dict": wrapped, "hyper_parameters": {"width": 8}}, folder / "net.ckpt")
    return folder / "net.ckpt"


def as_parallel(tensors: dict[str, torch.Tensor], folder: Path) -> Path:
    return as_safetensors({f"module.{name}": tensor for name, tensor in tensors.items()}, folder)


WRITERS = [as_safetensors, as_npz, as_state_dict, as_lightning, as_parallel]
Writer = Callable[[dict[str, torch.Tensor], Path], Path]


@pytest.mark.parametrize("write", WRITERS)
def test_each_kind_of_checkpoint_gives_the_weights_back(tmp_path: Path, write: Writer):
    source = state(load_model("jsc-toy", seed=1))
    model = load_model("jsc-toy", checkpoint=write(source, tmp_path), seed=2)
    assert same(state(model), source)


def test_saved_checkpoint_loads_again_and_replaces_the_old_one(tmp_path: Path):
    path = tmp_path / "net.safetensors"
    path.write_text("old")
    model = load_model("digits-cnn", seed=1)
    save_checkpoint(model, path)
    assert same(state(load_model("digits-cnn", checkpoint=path)), state(model))
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.safetensors"]


def test_tied_weights_are_saved_under_each_name(tmp_path: Path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    save_checkpoint(model, tmp_path / "tied.safetensors")
    saved = load_file(tmp_path / "tied.safetensors")
    assert torch.equal(saved["0.weight"], saved["1.weight"])


def without(name: str) -> Callable[[dict], dict]:
    return lambda tensors: {key: tensor for key, tensor in tensors.items() if key != name}


BAD_TENSORS = {
    "missing": (without("seq_blocks.2.bias"), "does not fit JSC_Tiny: missing seq_blocks.2.bias;"),
    "extra": (lambda t: t | {"extra.weight": torch.ones(1)}, "unknown extra.weight"),
    "misshaped": (
        lambda t: t | {"seq_blocks.2.weight": torch.ones(5, 15)},
        "misshaped seq_blocks.2.weight [5, 15] where the network has [5, 16]",
    ),
    "integers": (
        lambda t: t | {"seq_blocks.2.bias": torch.ones(5, dtype=torch.int8)},
        "of another type seq_blocks.2.bias",
    ),
    "NaN": (lambda t: t | {"seq_blocks.2.bias": torch.full((5,), torch.nan)}, "seq_blocks.2.bias holds NaN"),
    "infinite": (lambda t: t | {"seq_blocks.2.bias": torch.full((5,), torch.inf)}, "holds NaN or infinite"),
    "of another network": (lambda _: state(load_model("jsc-s")), "missing seq_blocks.2.weight"),
}


@pytest.mark.parametrize("write", [as_safetensors, as_npz, as_state_dict, as_lightning])
@pytest.mark.parametrize(("change", "says"), BAD_TENSORS.values(), ids=BAD_TENSORS.keys())
def test_tensors_that_do_not_fit_are_named_and_none_is_loaded(
    tmp_path: Path, change: Callable, says: str, write: Writer
):
    model = load_model("jsc-tiny", seed=1)
    before = state(model)
    path = write(change(state(load_model("jsc-tiny", seed=2))), tmp_path)
    if says.startswith("missing"):
        says = "does not fit JSC_Tiny"
    with pytest.raises(UserError) as caught:
        load_checkpoint(model, path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert same(state(model), before)


class Exploding:
    """Makes a pickle that creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: {"state_dict": x}, lambda x: {"hyper_parameters": x}]
)
def test_pickled_code_is_refused_with_the_reason_and_never_run(tmp_path: Path, wrap: Callable):
    torch.save(wrap(Exploding(tmp_path / "ran")), tmp_path / "net.pt")
    with pytest.raises(
        UserError, match=r"is pickled and wants to import \w+\.mkdir; pickle can run any code"
    ):
        load_checkpoint(load_model("toy"), tmp_path / "net.pt")
    assert not (tmp_path / "ran").exists()


def test_a_whole_pickled_network_is_refused(tmp_path: Path):
    torch.save(load_model("jsc-tiny"), tmp_path / "net.pt")
    with pytest.raises(
        UserError, match=r"import widthwise\.network\.built_in\.JSC_Tiny.*save model\.state_dict\(\)"
    ):
        load_checkpoint(load_model("jsc-tiny"), tmp_path / "net.pt")


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("content", [{}, [1, 2], {"weight": np.ones(2)}], ids=["empty", "list", "arrays"])
def test_a_file_of_plain_pickle_is_refused_with_the_reason(tmp_path: Path, content: object, protocol: int):
    (tmp_path / "net.pt").write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(UserError, match=r"net\.pt: is pickled.*; pickle can run any code when it is read"):
        load_checkpoint(load_model("jsc-tiny"), tmp_path / "net.pt")


def cut(folder: Path, writer: Writer) -> Path:
    path = writer(state(load_model("jsc-tiny")), folder)
    path.write_bytes(path.read_bytes()[:200])
    return path


def objects(folder: Path) -> Path:
    np.savez(folder / "net.npz", weight=np.array([{}]))
    return folder / "net.npz"


def a_list(folder: Path) -> Path:
    torch.save([torch.ones(2)], folder / "net.pt")
    return folder / "net.pt"


def text(folder: Path, name: str, content: str = "no weights") -> Path:
    (folder / name).write_text(content)
    return folder / name


BAD_FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "none.safetensors", "no such file"),
    "folder": (lambda folder: folder, "is a folder"),
    "another type": (
        lambda folder: text(folder, "net.h5"),
        "checkpoints of type .h5 aren't known; allowed: .safetensors",
    ),
    "no type": (lambda folder: text(folder, "net"), "checkpoints of type (none) aren't known"),
    "cut safetensors": (lambda folder: cut(folder, as_safetensors), "no safetensors file that can be read"),
    "cut npz": (lambda folder: cut(folder, as_npz), "no npz file that can be read"),
    "cut torch file": (lambda folder: cut(folder, as_state_dict), "no torch checkpoint that can be read"),
    "text": (lambda folder: text(folder, "net.ckpt"), "no torch checkpoint that can be read"),
    "empty": (
        lambda folder: text(folder, "net.pt", ""),
        "no torch checkpoint that can be read",
    ),
    "npz of objects": (objects, "Python objects, which is stored by pickle"),
    "list": (a_list, "holds a list that is no state dict"),
}


@pytest.mark.parametrize(("make", "says"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_broken_checkpoint_is_refused_in_one_line(tmp_path: Path, make: Callable[[Path], Path], says: str):
    with pytest.raises(UserError) as caught:
        load_checkpoint(load_model("jsc-tiny"), make(tmp_path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_cannot_be_written_leaves_nothing(tmp_path: Path):
    model = load_model("toy")
    (tmp_path / "file").touch()
    for place in ("file/net.safetensors", "none/net.safetensors"):
        with pytest.raises(UserError, match="can't be written"):
            save_checkpoint(model, tmp_path / place)
    with pytest.raises(UserError, match=r"checkpoints are written as \.safetensors"):
        save_checkpoint(model, tmp_path / "net.pt")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path: Path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "net.safetensors"
    save_checkpoint(load_model("toy"), path)
    old = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (100, hard)
    )  # what a write beyond the disk's end does, for this process
    try:
        with pytest.raises(UserError, match="can't be written: File too large"):
            save_checkpoint(load_model("toy", seed=1), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_has_the_permissions_of_other_files(tmp_path: Path):
    save_checkpoint(load_model("toy"), tmp_path / "net.safetensors")
    (tmp_path / "plain").touch()
    modes = {stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()}
    assert len(modes) == 1
