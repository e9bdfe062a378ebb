"""The page on plug-ins shows the files of the package that the tests install, and a config that works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import widthwise.testing
from helpers.installed import environment
from helpers.places import DOCS, TESTS
from widthwise.data.modules import DATA
from widthwise.formats import REGISTRY as FORMATS
from widthwise.metrics.catalogue import REGISTRY as METRICS
from widthwise.metrics.quality.tasks import TASKS
from widthwise.network.forms import EXPORTERS
from widthwise.network.named import MODELS
from widthwise.spaces.kinds import KINDS
from widthwise.strategies.registry import REGISTRY as STRATEGIES

PAGE = (DOCS / "plugins.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PACKAGE = TESTS / "plugin"


def test_groups_are_those_of_the_registries():
    registries = (FORMATS, METRICS, STRATEGIES, KINDS, TASKS, EXPORTERS, MODELS, DATA)
    assert re.findall(r"^\| `(widthwise\.\w+)` \|", PAGE, re.MULTILINE) == [
        found.group for found in registries
    ]


def test_every_check_is_named():
    assert set(re.findall(r"`(check_\w+)\(", PAGE)) == set(widthwise.testing.__all__)


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "python"], ids=len)
def test_code_is_a_file_of_the_package(text: str):
    files = [*(PACKAGE / "src" / "widthwise_example").glob("*.py"), *(PACKAGE / "tests").glob("*.py")]
    assert text in [file.read_text("utf-8") for file in files]


def test_entry_points_are_those_of_the_package():
    assert BLOCKS[0][1].rstrip() in (PACKAGE / "pyproject.toml").read_text("utf-8")


def test_the_config_searches(example_package: Path, tmp_path: Path):
    (tmp_path / "moons.toml").write_text(BLOCKS[-1][1])
    done = subprocess.run(
        [sys.executable, "-m", "widthwise", "search", "moons.toml", "--train", "--set", "max_epochs=2"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment(example_package),
    )
    assert done.returncode == 0, done.stderr
