"""A run folder whose store names other code than its config.toml: what is made again is checked too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import widthwise as ww
from helpers.running import Run
from widthwise.core.errors import UserError

NETWORK = """from pathlib import Path
from torch import nn

Path("ran").touch()


def make():
    return nn.Linear(16, 5)
"""


@pytest.fixture
def sneaky(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run whose store names code that its config.toml doesn't; that code leaves a file."""
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
    return tmp_path / "ran"


@pytest.mark.parametrize(
    "command", [("export", "other", "--trial", 0, "--out", "out"), ("test", "--run", "other")]
)
def test_code_that_only_the_store_names_is_refused(
    run: Run, sneaky: Path, command: tuple[object, ...]
) -> None:
    found = run(*command, "--untrusted")
    assert found.status == 2
    assert "model = sneaky:make: names code that would run, which --untrusted refuses" in found.err
    assert not sneaky.exists()


def test_a_run_is_opened_untrusted_from_python_too(sneaky: Path) -> None:
    with pytest.raises(UserError, match=r"other: its store's config.*model = sneaky:make: names code"):
        ww.load_run("other", untrusted=True)
    assert not sneaky.exists()
    assert ww.load_run("other").network(0) is not None
    assert sneaky.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [("importance", "other"), ("report", "other"), ("trials", "other"), ("runs", ".")]
)
def test_commands_that_only_read_import_nothing(run: Run, sneaky: Path, command: tuple[object, ...]) -> None:
    found = run(*command)
    assert found.status in (0, 2)  # two trials are too few for importance
    assert not sneaky.exists()
