"""Objects named as module:callable, and built-in names in either spelling."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from widthwise.config.template import example_text
from widthwise.core.errors import UserError
from widthwise.core.importing import call_object, load_object, meant_object


def test_module_in_the_working_directory_is_found(project: Path):
    (project / "own_networks.py").write_text("def build():\n    return 7\n")
    assert load_object("own_networks:build", what="model")() == 7


def test_module_in_a_package_and_dotted_name_are_found(project: Path):
    (project / "own_package").mkdir()
    (project / "own_package" / "nets.py").write_text("class Nets:\n    small = 'small network'\n")
    assert load_object("own_package.nets:Nets.small", what="model") == "small network"


def test_module_may_import_its_neighbour_later(project: Path):
    (project / "neighbour.py").write_text("WIDTH = 3\n")
    (project / "late_importer.py").write_text(
        "def build():\n    import neighbour\n    return neighbour.WIDTH\n"
    )
    assert load_object("late_importer:build", what="model")() == 3


def test_installed_module_is_found():
    assert load_object("json:dumps", what="data")([1]) == "[1]"


BAD_SPECS = {
    "no colon": ("json", "module:callable"),
    "no name": ("json:", "module:callable"),
    "no module": (":dumps", "module:callable"),
    "a path": ("folder/nets.py:build", "module:callable"),
    "module missing": ("no_such_module:build", "no module named no_such_module"),
    "submodule missing": ("json.no_such_part:build", "no module named json.no_such_part"),
    "name missing": ("json:dump_s", "did you mean dumps"),
    "dotted name missing": ("json:JSONEncoder.encod", "did you mean encode"),
}


@pytest.mark.parametrize(("spec", "says"), BAD_SPECS.values(), ids=BAD_SPECS.keys())
def test_bad_spec_is_one_line_that_names_it(spec: str, says: str):
    with pytest.raises(UserError) as caught:
        load_object(spec, what="model")
    text = str(caught.value)
    assert text.startswith("model ")
    assert spec in text
    assert says in text
    assert "\n" not in text


BAD_MODULES = {
    "syntax": ("def build(:\n", "SyntaxError"),
    "exception": ("raise RuntimeError('first line\\nsecond line')\n", "RuntimeError: first line second line"),
    "exit": ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "its own import": ("import no_such_dependency\n", "No module named 'no_such_dependency'"),
}


@pytest.mark.parametrize(("source", "says"), BAD_MODULES.values(), ids=BAD_MODULES.keys())
def test_module_that_fails_to_import_says_why(project: Path, source: str, says: str):
    (project / "failing_module.py").write_text(source)
    with pytest.raises(UserError, match="importing failing_module raised") as caught:
        load_object("failing_module:build", what="data")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_callable_that_raises_keeps_its_cause():
    def build() -> None:
        raise KeyError("width")

    with pytest.raises(UserError, match="calling it raised KeyError: 'width'") as caught:
        call_object(build, "nets:build", what="model")
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(UserError, match="is a int; name something that can be called"):
        call_object(3, "nets:WIDTH", what="model")  # type: ignore[arg-type]


def test_nothing_in_the_working_directory_stands_before_what_is_installed(project: Path):
    (project / "shadowed_dependency.py").write_text("raise SystemExit('the wrong one ran')\n")
    (project / "own_shadows.py").write_text("def build():\n    return 5\n")
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "shadowed_dependency.py").write_text("HERE = True\n")
    sys.path.append(str(elsewhere))
    assert load_object("own_shadows:build", what="model")() == 5
    assert importlib.import_module("shadowed_dependency").HERE


def test_a_module_with_the_name_of_an_installed_one_is_told_apart(project: Path):
    (project / "optuna.py").write_text("raise SystemExit('the wrong one ran')\n")
    with pytest.raises(UserError, match=r"optuna\.py has the name of another module .*; rename it"):
        load_object("optuna:build", what="model")


@pytest.mark.slow
def test_code_beside_a_config_of_built_in_names_never_runs(project: Path):
    """Not in this process, whose strategy is Optuna's, and in no worker."""
    for name in ("optuna", "sklearn", "scipy", "numpy", "torch", "ray"):
        code = f"open('ran-{name}', 'w').close()\nraise SystemExit('{name} ran')\n"
        (project / f"{name}.py").write_text(code)
    (project / "config.toml").write_text(example_text("jsc-tiny"))
    given = ["--untrusted", "--trials", "2", "--strategy", "tpe", "--jobs", "2", "--out", "run"]
    command = [sys.executable, "-m", "widthwise", "search", "config.toml", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(project.glob("ran-*"))


@pytest.mark.parametrize(
    "text", ["nets", "nets.py", "./nets.py", "nets.py:build", "nets.build", "nets:build"]
)
def test_object_is_found_that_a_text_means_in_another_form(project: Path, text: str):
    (project / "nets.py").write_text("raise SystemExit\n\ndef _own(): ...\n\ndef build(): ...\n")
    assert meant_object(text) == "nets:build"


@pytest.mark.parametrize("text", ["other", "other:build", "nets.py", "", ":", "..", "jsc-tiny"])
def test_nothing_is_meant_where_no_file_or_callable_is_there(project: Path, text: str):
    (project / "nets.py").write_text("X = 1\n")
    assert meant_object(text) is None


def test_other_form_is_told_the_right_one(project: Path):
    (project / "nets.py").write_text("def build(): ...\n")
    with pytest.raises(UserError, match=r"no module named nets\.py; write nets:build"):
        load_object("nets.py:build", what="model")
