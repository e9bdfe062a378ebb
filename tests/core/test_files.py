"""Files written in one piece, whatever lies beside them, and read where they are what they seem."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from widthwise.core.errors import UserError
from widthwise.core.files import read_npz, write_atomically
from widthwise.data.table_files import read_table


def test_what_is_half_written_is_no_link_that_lay_in_wait(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / f".file.{os.getpid()}.part").symlink_to(tmp_path / "precious")
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "file").read_bytes() == b"new"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"file", "precious", f".file.{os.getpid()}.part"}  # its own is gone, and had another name


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_regular_file_is_refused_before_it_is_opened(tmp_path: Path, kind: str):
    path = tmp_path / "data.npz"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(UserError, match="is no regular file but a pipe or a device; give a file"):
        read_npz(path)


def test_an_archive_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path: Path):
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("X.npy", "w") as member:
        for _ in range(300):
            member.write(bytes(2**20))
    with pytest.raises(UserError, match="unpacks to 300 MiB, over 100 times its size"):
        read_npz(path)


def test_a_table_of_far_more_cells_than_it_has_bytes_is_refused(tmp_path: Path):
    path, column = tmp_path / "data.parquet", pa.array(np.zeros(1_000_000, dtype=np.int8))
    schema = pa.schema([("x", pa.int8()), ("y", pa.int8())])
    with pq.ParquetWriter(path, schema) as writer:
        for _ in range(20):
            writer.write_table(pa.table({"x": column, "y": column}))
    with pytest.raises(UserError, match="unpacks to 305 MiB, over 100 times its size"):
        read_table(path)
