"""Kinds of spaces are found by name; a plug-in's is searched as ours are."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from helpers.installed import enter, environment
from helpers.places import EXAMPLES, TESTS
from widthwise.config import load_config
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.core.importing import load_object
from widthwise.core.toml import dumps
from widthwise.metrics.catalogue import METRICS
from widthwise.spaces.kinds import KINDS, kind_of

FILES = sorted(EXAMPLES.glob("*.toml"))


def test_kinds_are_found_by_their_names_alone():
    for name in KINDS.own:
        kind = KINDS.load(name)
        assert kind.name == name
        assert callable(load_object(kind.evaluator, what="evaluator"))
        assert all(METRICS[metric].kind == "cost" for metric in kind.always)
    with pytest.raises(UserError, match="no search space named 'graph/widths'; did you mean graph/width"):
        KINDS.load("graph/widths")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_kind_writes_it_reads_back(path: Path):
    config = load_config(path)
    if config.searching is None:
        return
    space = config.search.space
    assert kind_of(space).name == space.kind
    assert "kind" not in asdict(space)  # by which stored searches are known
    assert load_config(tables_of(config)).search.space == space


SEARCH = {
    "model": "jsc-tiny",
    "dataset": "jsc",
    "search": {
        "search_space": {"name": "test/choices", "seed": {"most": 3}},
        "strategy": {"name": "brute-force", "metrics": {"accuracy": {"direction": "maximize"}}},
    },
}
SCRIPT = """
import json, sys
import widthwise as ww
from widthwise.config.trust import code_in
from widthwise.config.write import tables_of
config = ww.load_config(json.loads(sys.argv[1]))
told = {"code": code_in(config), "same": ww.load_config(tables_of(config)) == config}
study = ww.search(None, None, config, out="run")
told["accuracy"] = study.to_pandas()["accuracy"].tolist()
told["metrics"] = list(study.record.columns)
told["again"] = len(ww.search(None, None, ww.load_config("run/config.toml"), out="run", resume=True).trials)
print(json.dumps(told))
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which a package with the kind is installed."""
    site = enter(tmp_path / "site", "choices", {"widthwise.spaces": {"test/choices": "helpers.choices:KIND"}})
    return environment(site, TESTS)


def run(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )


def test_a_kind_of_a_plug_in_is_searched(installed, tmp_path):
    done = run(installed, tmp_path, "-c", SCRIPT, json.dumps(SEARCH))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "code": ["space test/choices (package choices)"],
        "same": True,
        "accuracy": pytest.approx([1.0, 0.9, 0.8, 0.7]),
        "metrics": ["accuracy", "parameters"],
        "again": 4,
    }


def test_the_command_line_shows_it_and_refuses_it_untrusted(installed, tmp_path):
    (tmp_path / "choices.toml").write_text(dumps(SEARCH))
    shown = run(installed, tmp_path, "-m", "widthwise", "inspect", "choices.toml", "--config")
    assert shown.returncode == 0, shown.stderr
    assert "# up to 3 layers" in shown.stdout
    assert "halves are coarse" in shown.stderr
    refused = run(installed, tmp_path, "-m", "widthwise", "search", "choices.toml", "--untrusted")
    assert refused.returncode != 0
    assert (
        "search.search_space.name = test/choices (package choices): names code that would run"
        in refused.stderr
    )
    wrong = {**SEARCH, "search": {**SEARCH["search"]}}
    wrong["search"]["search_space"] = {"name": "test/choices", "seed": {"mots": 3}}
    (tmp_path / "wrong.toml").write_text(dumps(wrong))
    found = run(installed, tmp_path, "-m", "widthwise", "search", "wrong.toml")
    assert "wrong.toml: search.search_space.seed.mots: no such key; did you mean most?" in found.stderr
