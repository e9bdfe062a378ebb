"""Odd surroundings: two searches at once, decimal commas, names with spaces and letters of all kinds."""

from __future__ import annotations

import locale
import os
import subprocess
import sys

import pytest

from helpers import searches
from helpers.places import TESTS
from helpers.searches import SPACE, search
from widthwise.study.run_folder import load_run


def test_the_second_search_is_told_who_runs_the_first(tmp_path):
    command = [sys.executable, searches.__file__, str(tmp_path / "run"), "--pause", "60"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        first.stdout.readline()
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert f"in use: process {first.pid} on {os.uname().nodename} has been writing" in second.stderr
        assert second.stderr.count("\n") == 1
    finally:
        first.kill()
        first.communicate()


@pytest.mark.parametrize("name", ["run with spaces", "ünïcode 网络", "per%20cent?#&", "-dash", "'quote\""])
def test_names_of_all_kinds_are_names(tmp_path, name):
    folder = tmp_path / name
    study = search(folder, batch_size=100)
    assert study.name == name
    assert load_run(folder).front == study.front
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.toml", "front.json", "log.txt", "study.db", "study.db-1.lock",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def decimal_comma(tmp_path_factory):
    """Environment of a locale with decimal commas, compiled for the tests where the machine has none."""
    folder = tmp_path_factory.mktemp("locales")
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")],
        capture_output=True,
        check=False,
    )
    if not (folder / "de_DE.UTF-8").exists():
        pytest.skip(f"no locale with a decimal comma can be made: {made.stderr.decode()[:100]}")
    return {**os.environ, "LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8"}


COMMA = """
import locale, sys
locale.setlocale(locale.LC_ALL, "")
assert locale.localeconv()["decimal_point"] == ",", locale.localeconv()
sys.argv = sys.argv[1:]
from helpers import searches
sys.exit(searches.main())
"""


@pytest.mark.slow
def test_a_locale_with_decimal_commas_changes_nothing(tmp_path, decimal_comma):
    assert locale.localeconv()["decimal_point"] == "."
    environment = {**decimal_comma, "PYTHONPATH": str(TESTS)}
    for _ in range(2):  # started, and resumed
        done = subprocess.run(
            [sys.executable, "-c", COMMA, "searches.py", str(tmp_path / "run")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    plain = search(tmp_path / "plain", batch_size=7)
    comma = load_run(tmp_path / "run")
    assert comma.summary.trials == SPACE.size
    assert [trial.metrics for trial in comma.front] == [trial.metrics for trial in plain.front]
