"""The examples run as they are, from an empty folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.places import EXAMPLES

SAYS = {  # what each ends with
    "jets_to_rtl.py": "outputs equal: ",
    "on_ray.py": "channel_multiplier",
    "regression_from_csv.py": " bytes",
    "tiny_transformer.py": " bytes, ",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example_runs(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / name), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout.splitlines()[-1]
