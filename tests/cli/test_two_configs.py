"""A run folder whose store names other code than its config.toml: what is made again is checked too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from helpers.running import Run

NETWORK = """from pathlib import Path
from torch import nn

Path("ran").touch()


def make():
    return nn.Linear(16, 5)
"""


@pytest.mark.parametrize(
    "command", [("export", "other", "--trial", 0, "--out", "out"), ("test", "--run", "other")]
)
def test_code_that_only_the_store_names_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[object, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "sneaky.py").write_text(NETWORK)
    assert run("init", "sneaky:make", "--dataset", "jsc").status == 0
    (config,) = tmp_path.glob("*.toml")
    assert run("search", str(config), "--trials", 2, "--out", "other").status == 0
    (tmp_path / "ran").unlink()
    kept = tmp_path / "other" / "config.toml"
    kept.write_text(kept.read_text().replace("sneaky:make", "jsc-tiny"))
    sys.modules.pop("sneaky", None)
    found = run(*command, "--untrusted")
    assert found.status == 2
    assert "model = sneaky:make: names code that would run, which --untrusted refuses" in found.err
    assert not (tmp_path / "ran").exists()
