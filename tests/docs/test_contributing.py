"""The recipes of CONTRIBUTING.md work: together they are a package, built, installed and tested here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import widthwise.testing
from helpers.places import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEAD, *SECTIONS = re.split(r"^### How to add an? (.+)$", TEXT, flags=re.MULTILINE)
RECIPES: Mapping[str, Mapping[str, str]] = {
    name: dict(BLOCK.findall(section)) for name, section in zip(SECTIONS[::2], SECTIONS[1::2], strict=True)
}
PROJECT = "pyproject.toml"


def tried(
    *arguments: str | Path, folder: Path, installed: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder, with the package where it is installed."""
    found = os.pathsep.join(str(path) for path in (installed, ROOT / "src") if path)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": found, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def ran(*arguments: str | Path, folder: Path, installed: Path | None = None) -> str:
    """What Python says on stderr; what it prints is what a failed test shows."""
    done = tried(*arguments, folder=folder, installed=installed)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stderr


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


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_the_test_of_a_recipe_passes(name: str, package: Path, installed: Path) -> None:
    (tested,) = (path for path in RECIPES[name] if path.startswith("tests/"))
    options = ("-q", "-W", "error", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", package)
    ran("-m", "pytest", *options, package / tested, folder=package, installed=installed)


def test_a_config_finds_them_by_their_names(package: Path, installed: Path, tmp_path: Path) -> None:
    search = ("-m", "widthwise", "search", package / "parts.toml")
    said = ran(*search, "--train", "--set", "max_epochs=2", folder=tmp_path, installed=installed)
    assert "dataset moons (package my-parts)" in said
    refused = tried(*search, "--untrusted", folder=tmp_path, installed=installed)
    assert refused.returncode == 2
    for name in ("gated", "moons", "annealing", "weight_traffic", "apot"):
        assert f"{name} (package my-parts)" in refused.stderr


def test_tables_and_checks_are_where_the_overview_says() -> None:
    rows = [line.strip("| ").split(" | ") for line in HEAD.splitlines() if re.match(r"\| .+ in `\w+/", line)]
    assert [what for what, *_ in rows] == list(RECIPES)
    for _, _, _, place, *_ in rows:
        table, path = re.findall(r"^`(\w+)` in `([\w/]+\.py)`", place)[0]
        assert re.search(
            rf"^{table}\b.* = ", (ROOT / "src/widthwise" / path).read_text("utf-8"), re.MULTILINE
        )
    assert set(re.findall(r"`(check_\w+)`", HEAD)) == set(widthwise.testing.__all__)


def test_the_code_of_the_recipes_is_formatted_as_ours(package: Path) -> None:
    ours = 'lint.isort.known-first-party = ["widthwise", "my_parts"]'  # as in the repository
    settings = ("--no-cache", "--config", ROOT / PROJECT, "--config", ours)
    ran("-m", "ruff", "format", "--diff", *settings, package, folder=package)
    ran("-m", "ruff", "check", *settings, "--ignore", "PLC0415", package, folder=package)
