"""Any input gives a result or one line of error: a few hundred here, benchmarks/fuzz.py tries many more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from helpers.fuzzing import TARGETS

# each is many files read: always the same inputs, and none is made smaller; the benchmark does both
SAME = {"derandomize": True, "phases": [Phase.explicit, Phase.generate]}
HOW = dict.fromkeys(("run folder", "database", "export"), SAME)
EXAMPLES = {"command line": 40, "run folder": 15, "database": 20, "export": 20}


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_every_answer_is_a_result_or_one_line(name: str, tmp_path: Path, monkeypatch, capfd):
    folder = tmp_path / "place"

    @settings(
        max_examples=EXAMPLES.get(name, 150), suppress_health_check=list(HealthCheck), **HOW.get(name, {})
    )
    @given(st.data())
    def every_input(data: st.DataObject) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        monkeypatch.chdir(folder)
        TARGETS[name](data, folder)
        out_and_err = capfd.readouterr()
        assert "Traceback" not in out_and_err.err

    every_input()
