"""Inputs that nobody meant, and what reads them: every answer has to be a result or one line of error.

Shared by the tests and benchmarks/fuzz.py. A target draws an input, writes it into a folder, has it read.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.torch import save

from helpers.fuzzing_bytes import answered, spoilt
from helpers.fuzzing_runs import read_database, read_export, read_run, read_tool_report
from helpers.fuzzing_structure import another_json, another_parquet, another_safetensors, another_zip
from widthwise.cli import main
from widthwise.config import example_text, load_config
from widthwise.core.toml import parse_toml
from widthwise.data.modules import load_data
from widthwise.network.named import load_checkpoint, load_model

Target = Callable[[st.DataObject, Path], None]
STATUSES = (0, 1, 2)  # done, done but all trials failed, an error on one line


def read_config(data: st.DataObject, folder: Path) -> None:
    """A TOML file of a config."""
    text = example_text("jsc-tiny")
    if data.draw(st.booleans()):  # sound TOML with other values, as a mapping
        changed = data.draw(another_json(json.dumps(parse_toml(text, label="x")).encode()))
        try:
            tables = json.loads(changed)
        except ValueError:
            return
        if isinstance(tables, dict):
            answered(lambda: load_config(tables))
        return
    path = folder / "config.toml"
    path.write_bytes(data.draw(spoilt(text.encode())))
    answered(lambda: load_config(path))


def read_npz(data: st.DataObject, folder: Path) -> None:
    """An .npz file of samples: spoilt, or whole with arrays that are no samples."""
    buffer = io.BytesIO()
    if data.draw(st.booleans()):
        names = st.sampled_from(
            ["X", "y", "x", "labels", "feature_names", "class_names", "scaler_mean", "scaler_scale"]
        )
        np.savez(buffer, **data.draw(st.dictionaries(names, any_array(), max_size=5)))
        content = buffer.getvalue()
    else:
        x, y = samples()
        np.savez(buffer, X=x, y=y)
        change = (
            another_zip(buffer.getvalue(), spoilt) if data.draw(st.booleans()) else spoilt(buffer.getvalue())
        )
        content = data.draw(change)
    _read_data(content, folder / "data.npz", data)


def read_csv(data: st.DataObject, folder: Path) -> None:
    """A .csv file of samples."""
    x, y = samples()
    table = pd.DataFrame(x[:12]).add_prefix("f").assign(label=y[:12])
    _read_data(data.draw(spoilt(table.to_csv(index=False).encode())), folder / "data.csv", data)


def read_parquet(data: st.DataObject, folder: Path) -> None:
    """A .parquet file of samples."""
    _read_data(data.draw(another_parquet() | spoilt(parquet())), folder / "data.parquet", data)


def _read_data(content: bytes, path: Path, data: st.DataObject) -> None:
    path.write_bytes(content)
    standardise = data.draw(st.sampled_from([None, "train", "reference", "none"]))

    def read() -> None:
        for x, *targets in load_data(path, standardise=standardise).train_dataloader():
            assert x.dtype in (torch.float32, torch.int64)  # whole numbers may be tokens
            assert x.isfinite().all()
            assert all(len(x) == len(y) for y in targets)  # none where the file holds inputs alone

    answered(read)


def read_checkpoint(data: st.DataObject, folder: Path) -> None:
    """Weights in any of the types; after an error the network is as it was."""
    ending = data.draw(st.sampled_from([".safetensors", ".npz", ".pt", ".ckpt"]))
    path = folder / f"weights{ending}"
    content = checkpoints()[ending]
    if ending == ".safetensors" and data.draw(st.booleans()):
        path.write_bytes(data.draw(another_safetensors(content)))
    elif ending != ".safetensors" and data.draw(st.booleans()):
        path.write_bytes(data.draw(another_zip(content, spoilt)))
    else:
        path.write_bytes(data.draw(spoilt(content)))
    model = load_model("jsc-tiny")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if not answered(lambda: load_checkpoint(model, path)):
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


COMMANDS = (
    "search train test inspect init formats compare importance runs trials report export rm demo check "
    "measure certify"
)
OPTIONS = (
    "--model --dataset --load --trials --timeout --strategy --seed --out --storage --keep --memory --device "
    "--max-failures --trial-timeout --set --pick --format --jobs --ray --gpus --trial --metrics --part "
    "--epochs --lr --run --seeds --budget --batch --strategies"
)
FLAGS = (
    "--resume --force-new --prune --untrusted --json --quiet --help --version --csv --config --widths "
    "--no-such-option"
)
VALUES = (
    "0 -1 1 3 nan inf -inf 1e999 tpe grid jsc jsc-tiny demo.toml broken.toml no/such/file . cpu csv "
    "model=jsc-tiny search=3 a.b.c=1 knee my:code ../x <script> größe [2, 2GiB accuracy sqlite:///x "
    "postgresql:// \x1b[31m"
)
SPACED = ["", "9" * 30, "best accuracy with", "a\nb"]
MISSPELT = "[search]\n= 3\n"


def run_command(data: st.DataObject, folder: Path) -> None:
    """A command line, in the folder; those that could work are kept from searching for long."""
    (folder / "demo.toml").write_text(example_text("jsc-tiny"), encoding="utf-8")
    (folder / "broken.toml").write_text(MISSPELT, encoding="utf-8")
    words = st.sampled_from([*VALUES.split(), *SPACED]) | st.text(
        st.characters(exclude_categories=["Cs"]), max_size=8
    )
    pairs = st.tuples(st.sampled_from(OPTIONS.split()), words).map(list)
    single = st.sampled_from(FLAGS.split()).map(lambda flag: [flag]) | words.map(lambda word: [word])
    command = [data.draw(st.sampled_from(COMMANDS.split()) | words)]
    drawn = data.draw(st.lists(pairs | single, min_size=1, max_size=4))
    arguments = [*command, *(word.replace("\0", "") for group in drawn for word in group)]
    if command == ["demo"]:  # takes no options, and trains
        arguments.append("--no-such-option")
    short = {"search": ["--trials", "2", "--timeout", "5"], "train": ["--epochs", "1"]}
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = main([*arguments, *short.get(command[0], [])])
    lines = said.getvalue().splitlines()
    assert status in STATUSES, f"{arguments} ended with {status}"
    errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    assert errors == ([len(lines) - 1] if status == 2 else []), f"{arguments} said {lines}"


TARGETS: dict[str, Target] = {
    "config": read_config,
    "npz": read_npz,
    "csv": read_csv,
    "parquet": read_parquet,
    "checkpoint": read_checkpoint,
    "run folder": read_run,
    "database": read_database,
    "export": read_export,
    "report": read_tool_report,
    "command line": run_command,
}


def any_array() -> st.SearchStrategy[Any]:
    """Small arrays of any type without Python objects."""
    types = st.sampled_from(["f4", "f8", "i8", "u1", "?", "c8", "U3", "S2", "M8[s]", "f2", "i4,f4"])
    return types.flatmap(
        lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0))
    )


@cache
def samples() -> tuple[Any, Any]:
    """Forty of three classes."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 3)).astype("f4"), np.arange(40) % 3


@cache
def parquet() -> bytes:
    """The same as a file."""
    x, y = samples()
    buffer = io.BytesIO()
    pd.DataFrame(x[:12]).add_prefix("f").assign(label=y[:12]).to_parquet(buffer)
    return buffer.getvalue()


@cache
def checkpoints() -> dict[str, bytes]:
    """Weights of the smallest network, by file type."""
    tensors = dict(load_model("jsc-tiny").state_dict())
    plain, lightning, npz = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save(tensors, plain)
    torch.save({"state_dict": {f"model.{name}": tensor for name, tensor in tensors.items()}}, lightning)
    np.savez(npz, **{name: tensor.numpy() for name, tensor in tensors.items()})
    return {
        ".safetensors": save(tensors),
        ".npz": npz.getvalue(),
        ".pt": plain.getvalue(),
        ".ckpt": lightning.getvalue(),
    }
