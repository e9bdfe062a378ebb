"""What all tests share: the data beside the repository, and how hypothesis runs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["helpers.configs", "helpers.installed", "helpers.running"]

# the machine may be shared and slow: examples are limited by number, not by time
settings.register_profile("widthwise", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("widthwise")

# a shell starts what runs in its background deaf to Ctrl-C, and so would be what the tests interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with jsc_1024.npz and jsc_mlp.npz; the test is skipped where there is none."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    given = os.environ.get("WIDTHWISE_SHARED")
    candidates = [Path(given), Path(given) / "data"] if given else [beside]
    for folder in candidates:
        if (folder / "jsc_mlp.npz").exists():
            return folder
    pytest.skip(f"no jsc_mlp.npz in {candidates[0]}; set WIDTHWISE_SHARED to the folder that holds it")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory for modules; the import path and the loaded modules are restored afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loaded = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - loaded:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
