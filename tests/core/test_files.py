"""Files written in one piece, whatever lies beside them."""

from __future__ import annotations

import os
from pathlib import Path

from widthwise.core.files import write_atomically


def test_what_is_half_written_is_no_link_that_lay_in_wait(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / f".file.{os.getpid()}.part").symlink_to(tmp_path / "precious")
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "file").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "precious"]
