"""The wheel: what it holds, and that it works where nothing else of the project is."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from helpers.places import ROOT

HELD = (  # beside the code
    "widthwise/py.typed",
    "widthwise/data/jsc_1024.npz",
    "widthwise/data/jsc_1024.md",
    "widthwise/data/poems.txt",
    "widthwise/evaluators/tabled/tables/jets.parquet",
    "widthwise/evaluators/tabled/tables/digits-cnn.parquet",
    "widthwise/evaluators/tabled/tables/README.md",
    "widthwise/examples/jsc-tiny.toml",
)


def call(*command: str | Path, at: Path) -> str:
    """What a command prints; it has to succeed."""
    done = subprocess.run([*map(str, command)], cwd=at, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of a copy of what it is made of, offline."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "project"
    copy.mkdir()
    for name in ("src", "README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "constraints.txt"):
        call("cp", "-r", ROOT / name, copy, at=folder)
    how = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder)
    call(sys.executable, "-m", "pip", "wheel", *how, copy, at=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_it_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if "__pycache__" not in name]
    roots = {name.split("/")[0] for name in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"widthwise"}
    assert not [name for name in HELD if name not in names]
    source = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src/widthwise").rglob("*.py")}
    assert source <= set(names)
    assert any(name.endswith("/licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_it_works_where_nothing_else_of_the_project_is(wheel: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    call(sys.executable, "-m", "venv", "--without-pip", fresh, at=tmp_path)
    python = fresh / "bin" / "python"
    site = Path(
        call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", at=tmp_path).strip()
    )
    # its dependencies are those of this environment, whose own .pth files (ours among them) have no say there
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    how = ("--quiet", "--no-deps", "--no-index")
    call(sys.executable, "-m", "pip", "--python", python, "install", *how, wheel, at=tmp_path)
    found = call(python, "-P", "-c", "import widthwise; print(widthwise.__file__)", at=tmp_path).strip()
    assert Path(found).is_relative_to(site)
    said = call(fresh / "bin" / "widthwise", "demo", "--quiet", at=tmp_path)
    assert said.count("Best trial(s)") == 2
    assert (tmp_path / "runs" / "demo-tpe" / "front.json").is_file()
