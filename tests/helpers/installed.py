"""The example package of `tests/plugin`, installed by pip where only the tests that ask for it see it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from helpers.places import ROOT, TESTS


def install(package: Path, site: Path) -> None:
    """The package in a folder of its own, offline, with the build tool that is there."""
    how = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site))
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *how, str(package)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def environment(*sites: Path) -> dict[str, str]:
    """What a process sees in which these folders' packages are installed."""
    places = [*map(str, sites), str(ROOT / "src")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "COLUMNS": "160", "NO_COLOR": "1"}


def enter(site: Path, package: str, points: Mapping[str, Mapping[str, str]], *, version: str = "1.0") -> Path:
    """The folder, where a package with these entry points, by group and name, is as good as installed."""
    about = site / f"{package}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = [
        line
        for group, named in points.items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in named.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return site


@pytest.fixture(scope="session")
def example_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example package is installed in."""
    site = tmp_path_factory.mktemp("site")
    copy = tmp_path_factory.mktemp("build") / "plugin"
    subprocess.run(["cp", "-r", str(TESTS / "plugin"), str(copy)], check=True)  # pip builds in place
    install(copy, site)
    return site
