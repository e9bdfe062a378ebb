"""Metrics of a plug-in: found by name, searched by, stored whole, and read where it is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.cells import CELLS
from helpers.configs import FORMATS
from helpers.installed import enter, environment
from helpers.places import TESTS
from widthwise.core.errors import UserError
from widthwise.core.registry import Entry, Registry
from widthwise.core.toml import dumps
from widthwise.metrics.catalogue import Metric, find_metric
from widthwise.network.named import load_model
from widthwise.study.study import Study

Run = Callable[..., subprocess.CompletedProcess[str]]
OBJECTIVES = {"worst": {"direction": "maximize"}, "cells": {"direction": "minimize"}}
SEARCH = {
    **FORMATS,
    "search": {
        **FORMATS["search"],
        "strategy": {"name": "brute-force", "metrics": OBJECTIVES},
        "constraints": {"cells": "<= 1e9", "trials": 6},
    },
}
POINTS = {"cells": "helpers.cells:CELLS", "worst": "helpers.cells:WORST", "accuracy": "helpers.cells:CELLS"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs Python in a folder, where a package with metrics is installed or not."""
    site = enter(tmp_path / "site", "fabric", {"widthwise.metrics": POINTS})

    def run(*arguments: str, installed: bool = True) -> subprocess.CompletedProcess[str]:
        sites = [site, TESTS] if installed else []
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment(*sites),
        )

    return run


@pytest.mark.slow
def test_a_search_by_them_is_stored_and_read_where_they_are_not_installed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text(dumps(SEARCH))
    searched = run("-m", "widthwise", "search", "lab.toml", "--out", "run", "--quiet")
    assert searched.returncode == 0, searched.stderr
    study = Study.load(tmp_path / "run" / "study.db")
    stored = {metric.name: metric for metric in study.record.metrics}
    assert stored["cells"] == CELLS
    assert [objective.metric for objective in study.aim.objectives] == [stored["worst"], CELLS]
    assert [str(bound) for bound in study.record.settings.constraints] == ["cells <= 1000000000"]
    weights = dict(load_model("jsc-three-linear").named_parameters())
    macs = {number: weights[f"seq_blocks.{number}.weight"].numel() for number in (2, 4, 6)}
    for trial in study.trials:
        widths = {number: trial.config[f"seq_blocks_{number}/weight_width"] for number in macs}
        assert trial.hardware_metrics["cells"] == sum(2 * widths[number] * macs[number] for number in macs)
        assert 0 <= trial.software_metrics["worst"] <= 1
    shown = run("-m", "widthwise", "report", "run", "--all", installed=False)
    assert shown.returncode == 0, shown.stderr
    assert f" {study.front[0].metrics['cells']:,.0f} " in shown.stdout  # in full, as costs are
    gone_on = run("-m", "widthwise", "search", "run/config.toml", "--resume", "--out", "run", installed=False)
    assert "no metric of classification named 'worst'" in gone_on.stderr


def test_no_package_takes_a_name_of_ours_and_nothing_heavy_is_imported(run: Run) -> None:
    code = (
        "import json, sys; from widthwise.metrics.catalogue import find_metric\n"
        "found = [find_metric(name).kind for name in ('accuracy', 'cells')]\n"
        "print(json.dumps([found, 'torch' in sys.modules or 'numpy' in sys.modules]))"
    )
    assert json.loads(run("-c", code).stdout) == [["quality", "cost"], False]


def test_a_registry_of_its_own_can_be_looked_in() -> None:
    entry: Entry[Metric] = Entry("cells", "helpers.cells:CELLS", package="fabric")
    among: Registry[Metric] = Registry("metric", [entry], spelling=str)
    assert find_metric("cells", among=among) == CELLS
    assert find_metric("accuracy", among=among).kind == "quality"
    with pytest.raises(UserError, match="did you mean cells"):
        find_metric("cell", among=among)
