"""An installed package adds one of each family, for Python and the command line; a broken one is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.installed import enter, environment
from helpers.places import TESTS
from widthwise.core.toml import dumps

UP, DOWN = {"direction": "maximize"}, {"direction": "minimize"}
SEARCH = {
    "model": "narrow",
    "dataset": "moons",
    "task": "sign",
    "max_epochs": 5,
    "search": {
        "search_space": {
            "name": "graph/quantize/mixed_precision_ptq",
            "setup": {"by": "type"},
            "seed": {"linear": {"config": {"name": ["thirds"], "weight_most": [1, 2, 4]}}},
        },
        "strategy": {"name": "zigzag", "metrics": {"agreement": UP, "transistors": DOWN}},
    },
}
# each part of the config alone is code of the package; the rest is built in
PLAIN = {
    "model": "jsc-tiny",
    "dataset": "jsc",
    "search": {
        "search_space": {
            "name": "graph/quantize/mixed_precision_ptq",
            "setup": {"by": "type"},
            "seed": {"linear": {"config": {"name": ["integer"], "weight_width": [4, 8]}}},
        },
        "strategy": {"name": "brute-force", "metrics": {"accuracy": UP}},
    },
}
CODE = {
    "model = narrow": ["--model", "narrow"],
    "dataset = moons": ["--dataset", "moons"],
    "task = sign": ["--set", "task=sign"],
    "search.strategy.name = zigzag": ["--set", "search.strategy.name=zigzag"],
    "search.strategy.metrics = transistors": [
        "--set",
        "search.strategy.metrics.transistors.direction=minimize",
    ],
    "search.constraints = transistors": ["--set", "search.constraints.transistors='<= 9000'"],
    "search.search_space.seed.linear.config.name = thirds": [
        "--set",
        "search.search_space.seed.linear.config.name='thirds'",
    ],
    "search.search_space.name = example/one-format": [
        "--set",
        "search.search_space.name='example/one-format'",
    ],
}


def widthwise(*arguments: str, sites: list[Path], place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "widthwise", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        env=environment(*sites),
    )


@pytest.mark.slow
def test_the_packages_own_tests_pass(example_package: Path, tmp_path: Path):
    tests = TESTS / "plugin" / "tests"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tests)]
    done = subprocess.run(
        [*command, "-c", "/dev/null", str(tests)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment(example_package),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


def test_formats_are_listed_with_ours(example_package: Path, tmp_path: Path):
    listed = widthwise("formats", "--json", sites=[example_package], place=tmp_path)
    names = [row["name"] for row in json.loads(listed.stdout)]
    assert names[0] == "integer"
    assert names[-1] == "thirds"
    assert json.loads(listed.stdout)[-1]["package"] == "widthwise-example"
    shown = widthwise("formats", sites=[example_package], place=tmp_path)
    assert "(package widthwise-example)" in " ".join(shown.stdout.split())


@pytest.mark.slow
def test_the_command_line_trains_searches_and_exports_by_their_names(example_package: Path, tmp_path: Path):
    (tmp_path / "moons.toml").write_text(dumps(SEARCH))
    where = {"sites": [example_package], "place": tmp_path}
    searched = widthwise("search", "moons.toml", "--train", "--out", "run", **where)
    assert searched.returncode == 0, searched.stderr
    assert "this config runs code: model narrow (package widthwise-example)" in searched.stderr
    assert "metric transistors (package widthwise-example)" in searched.stderr
    assert "format thirds (package widthwise-example)" in searched.stderr
    assert "all 9 candidates proposed" in searched.stdout
    listed = widthwise("trials", "run", "--format", "json", **where)
    trials = json.loads(listed.stdout)
    assert len(trials) == 9
    assert set(trials[0]["software_metrics"]) == {"agreement", "logistic"}
    assert trials[0]["hardware_metrics"]["transistors"] > 0
    exported = widthwise("export", "run", "--trial", "0", "--to", "arrays", "--out", "arrays", **where)
    assert exported.returncode == 0, exported.stderr
    assert json.loads((tmp_path / "arrays" / "export.json").read_text())["form"] == "arrays"
    again = widthwise("report", "run", **where)
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
def test_a_kind_of_space_and_an_export_form_by_their_names(example_package: Path, tmp_path: Path):
    space = {"name": "example/one-format", "seed": {"least": 3, "most": 5}}
    search = {**SEARCH, "search": {**SEARCH["search"], "search_space": space}}
    (tmp_path / "moons.toml").write_text(dumps(search))
    where = {"sites": [example_package], "place": tmp_path}
    searched = widthwise("search", "moons.toml", "--out", "run", **where)
    assert searched.returncode == 0, searched.stderr
    assert "all 3 candidates proposed" in searched.stdout
    exported = widthwise("export", "run", "--trial", "1", "--to", "arrays", "--out", "arrays", **where)
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "arrays" / "arrays.npz").is_file()


@pytest.mark.parametrize("said", CODE)
def test_each_is_refused_where_configs_are_not_trusted_and_not_imported(
    said: str, example_package: Path, tmp_path: Path
):
    (tmp_path / "plain.toml").write_text(dumps(PLAIN))
    spy = tmp_path / "spy"
    spy.mkdir()
    (spy / "widthwise_example.py").write_text("print('imported'); raise SystemExit('imported')\n")
    done = widthwise(
        *("search", "plain.toml", "--untrusted", *CODE[said]), sites=[spy, example_package], place=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert f"{said} (package widthwise-example)" in done.stderr
    assert "imported" not in done.stdout + done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_form_of_a_package_is_refused_too(example_package: Path, tmp_path: Path):
    done = widthwise(
        *("export", "run", "--trial", "0", "--to", "arrays", "--out", "out", "--untrusted"),
        sites=[example_package],
        place=tmp_path,
    )
    assert done.returncode == 2
    assert "--to arrays: is code of the package widthwise-example" in done.stderr


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A package that claims names in every family and can't be imported."""
    families = ("formats", "metrics", "strategies", "spaces", "tasks", "exporters", "models", "data")
    points = {f"widthwise.{family}": {"brittle": "brittle:Thing"} for family in families}
    site = enter(tmp_path / "broken", "brittle", points, version="2.0")
    (site / "brittle.py").write_text("1 / 0\n")
    return site


BROKEN = {
    "model": ["--model", "brittle"],
    "data set": ["--dataset", "brittle"],
    "task": ["--set", "task=brittle"],
    "strategy": ["--set", "search.strategy.name=brittle"],
    "metric": ["--set", "search.strategy.metrics.brittle.direction=minimize"],
    "format": ["--set", "search.search_space.seed.linear.config.name='brittle'"],
    "search space": ["--set", "search.search_space.name='brittle'"],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_one_is_named_when_it_is_asked_for(kind: str, broken: Path, tmp_path: Path):
    (tmp_path / "plain.toml").write_text(dumps(PLAIN))
    done = widthwise("search", "plain.toml", *BROKEN[kind], sites=[broken], place=tmp_path)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().split("\n")[-1]
    assert last.startswith("error: ")
    assert f"{kind} brittle" in last
    assert "brittle is broken" in last
    assert "ZeroDivisionError" in last
    assert not (tmp_path / "runs").exists()


def test_a_broken_one_is_no_trouble_when_it_is_not(broken: Path, tmp_path: Path):
    (tmp_path / "plain.toml").write_text(dumps(PLAIN))
    done = widthwise("search", "plain.toml", sites=[broken], place=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = widthwise("formats", "--json", sites=[broken], place=tmp_path)
    assert listed.returncode == 0
    assert {row["package"] for row in json.loads(listed.stdout)} == {"widthwise"}
    assert listed.stderr.startswith("warning: format brittle: the package brittle is broken: ")
    assert listed.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_broken_form_is_named_too(broken: Path, tmp_path: Path):
    (tmp_path / "plain.toml").write_text(dumps(PLAIN))
    where = {"sites": [broken], "place": tmp_path}
    assert widthwise("search", "plain.toml", "--out", "run", **where).returncode == 0
    done = widthwise("export", "run", "--trial", "0", "--to", "brittle", "--out", "out", **where)
    assert done.returncode == 2
    assert done.stderr.startswith("error: export form brittle: the package brittle is broken: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


WRONG = {  # what a name of each family stands for, and what is said of it
    "formats": ("Thing = dict", "must be a Format"),
    "metrics": ("Thing = 'accuracy'", "is no widthwise.metrics.catalogue.Metric of this name"),
    "strategies": ("class Thing:\n    def __init__(self, space): ...", "has no method ask and no tell"),
    "spaces": ("class Thing:\n    def read(self, tables): ...", "has no write, space"),
    "tasks": ("Thing = dict", "has no outputs, check"),
    "models": ("Thing = dict", "returned a dict"),
    "data": ("Thing = dict", "holds no array named y or labels"),
}
ASKED = dict(
    zip(("models", "data", "tasks", "strategies", "metrics", "formats", "spaces"), BROKEN, strict=True)
)


@pytest.mark.slow
@pytest.mark.parametrize("family", WRONG)
def test_what_is_no_member_of_its_family_is_one_line(family: str, broken: Path, tmp_path: Path):
    code, said = WRONG[family]
    (broken / "brittle.py").write_text(code + "\n")
    (tmp_path / "plain.toml").write_text(dumps(PLAIN))
    done = widthwise("search", "plain.toml", *BROKEN[ASKED[family]], sites=[broken], place=tmp_path)
    last = done.stderr.strip().split("\n")[-1]
    assert done.returncode == 2, done.stderr
    assert last.startswith("error: ")
    assert "brittle" in last
    assert said in last
