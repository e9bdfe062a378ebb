"""The recipes of CONTRIBUTING.md work: together they are a package, built, installed and tested here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from helpers.places import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEAD, *SECTIONS = re.split(r"^### How to add an? (.+)$", TEXT, flags=re.MULTILINE)
RECIPES: Mapping[str, Mapping[str, str]] = {
    name: dict(BLOCK.findall(section)) for name, section in zip(SECTIONS[::2], SECTIONS[1::2], strict=True)
}
PROJECT = "pyproject.toml"


def ran(*arguments: str | Path, folder: Path, installed: Path | None = None) -> None:
    """Run Python; what it prints is what a failed test shows."""
    found = os.pathsep.join(str(path) for path in (installed, ROOT / "src") if path)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": found, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files of all recipes as they would lie in a folder of their own."""
    folder = tmp_path_factory.mktemp("recipes")
    files = dict(BLOCK.findall(HEAD))
    for recipe in RECIPES.values():
        files |= {name: files.get(name, "") + "\n" * (name in files) + text for name, text in recipe.items()}
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def installed(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as pip installs it, with its entry points."""
    target = tmp_path_factory.mktemp("installed")
    options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    ran("-m", "pip", "install", *options, "--target", target, package, folder=package)
    return target


def test_there_is_a_recipe_for_each_kind_of_thing() -> None:
    assert list(RECIPES) == [
        "format",
        "metric",
        "task",
        "strategy",
        "kind of space",
        "export form",
        "data set",
        "network",
    ]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_one_file_and_one_test(name: str) -> None:
    code, tested = (path for path in RECIPES[name] if path != PROJECT)
    assert tested == f"tests/test_{Path(code).name}"
    assert Path(code).parent == Path("my_parts")


@pytest.mark.parametrize("name", RECIPES)
def test_the_test_of_a_recipe_passes(name: str, package: Path, installed: Path) -> None:
    (tested,) = (path for path in RECIPES[name] if path.startswith("tests/"))
    options = ("-q", "-W", "error", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", package)
    ran("-m", "pytest", *options, package / tested, folder=package, installed=installed)


def test_the_code_of_the_recipes_is_formatted_as_ours(package: Path) -> None:
    ours = 'lint.isort.known-first-party = ["widthwise", "my_parts"]'  # as in the repository
    settings = ("--no-cache", "--config", ROOT / PROJECT, "--config", ours)
    ran("-m", "ruff", "format", "--diff", *settings, package, folder=package)
    ran("-m", "ruff", "check", *settings, "--ignore", "PLC0415", package, folder=package)
