"""Named things: ours are found first, whatever is installed; then those of packages, which may be broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.installed import enter
from helpers.places import EXAMPLES, ROOT
from widthwise.core.errors import UserError
from widthwise.core.registry import OWN, Entry, Registry

OURS = (
    Entry("brute-force", f"{OWN}.core.registry:Registry", "every one", aliases=("exhaustive", "all_of_them")),
    Entry("grid", f"{OWN}.core.registry:Entry"),
    Entry("onnx", f"{OWN}.missing_here:Form", extra="onnx"),
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for installed packages; what is imported from it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("sound", "loud", "quitting"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def install(site: Path, package: str, points: Mapping[str, str], *, group: str = "widthwise.things") -> None:
    enter(site, package, {group: points})


def registry(*, methods: tuple[str, ...] = ()) -> Registry[None]:
    return Registry("thing", OURS, group="widthwise.things", methods=methods)


@given(st.data())
def test_every_spelling_of_a_name_or_an_alias_finds_its_entry(data: st.DataObject):
    entry = data.draw(st.sampled_from(OURS))
    name = data.draw(st.sampled_from([entry.name, *entry.aliases]))
    letters = (data.draw(st.sampled_from([c.lower(), c.upper()])) for c in name)
    spelled = "".join(data.draw(st.sampled_from("-_")) if c in "-_" else c for c in letters)
    assert registry().find(f" {spelled} ") == entry


def test_an_unknown_name_is_refused_with_the_nearest_and_all_that_there_are(site: Path):
    install(site, "sound", {"gird": "sound:THING"})
    with pytest.raises(UserError) as caught:
        registry().find("brute-farce", where="lab.toml", others=["module:thing"])
    assert str(caught.value) == (
        "lab.toml: no thing named 'brute-farce'; did you mean brute-force? "
        "allowed: brute-force, gird, grid, module:thing, onnx"
    )
    assert registry().get("brute-farce") is None


def test_ours_are_loaded_by_what_they_name():
    assert registry().load("GRID") is Entry
    assert registry().load("all-of-them") is Registry
    assert not registry().is_code("exhaustive")


def test_a_package_adds_names_and_is_imported_when_one_is_loaded(site: Path):
    install(site, "sound", {"noise": "sound:parts.THING"})
    (site / "sound.py").write_text("class parts:\n    THING = 7\n")
    found = registry()
    assert list(found.entries) == ["brute-force", "grid", "onnx", "noise"]
    assert found.find("NOISE") == Entry("noise", "sound:parts.THING", "of the package sound", package="sound")
    assert found.is_code("noise")
    assert "sound" not in sys.modules
    assert found.load("noise") == 7


def test_a_package_takes_no_name_of_ours_in_any_spelling(site: Path):
    install(site, "sound", {"Brute_Force": "sound:THING", "exhaustive": "sound:THING", "grid": "sound:THING"})
    (site / "sound.py").write_text("raise SystemExit('imported')\n")
    found = registry()
    assert list(found.entries) == [entry.name for entry in OURS]
    for name in ("brute-force", "exhaustive", "grid", "BRUTE_FORCE"):
        assert found.find(name).package == OWN
        assert not found.is_code(name)
    assert found.load("grid") is Entry


def test_a_name_that_two_packages_claim_is_refused_with_both_and_others_are_found(site: Path):
    install(site, "sound", {"noise": "sound:A", "tone": "sound:B"})
    install(site, "loud", {"Noise": "loud:A"})
    found = registry()
    with pytest.raises(UserError, match=r"^thing noise: loud and sound both have one .*; uninstall one"):
        found.load("noise")
    assert found.find("tone").package == "sound"
    assert "noise" in {name.lower() for name in found.entries}


@pytest.mark.parametrize(
    ("code", "target", "said"),
    [
        ("1 / 0", "sound:THING", "ZeroDivisionError"),
        ("import quitting_nowhere", "sound:THING", "No module named 'quitting_nowhere'"),
        ("raise SystemExit(3)", "sound:THING", "SystemExit: 3"),
        ("THING = (", "sound:THING", "SyntaxError"),
        ("raise ValueError('one\\nline')", "sound:THING", "ValueError: one line"),
        ("", "sound:THING", "has no attribute 'THING'"),
        ("", "nowhere_at_all:THING", "No module named 'nowhere_at_all'"),
        ("class THING:\n    verb = 1", "sound:THING", "has no verb"),
    ],
)
def test_a_broken_package_is_one_line_that_names_it_when_it_is_asked_for(
    code: str, target: str, said: str, site: Path
):
    install(site, "sound-parts", {"noise": target})
    (site / "sound.py").write_text(f"{code}\n")
    found = registry(methods=("verb",))
    assert found.load("grid") is Entry  # ours needn't be looked at
    with pytest.raises(UserError) as caught:
        found.load("noise")
    message = str(caught.value)
    assert message.startswith(f"thing noise: the package sound-parts is broken: {target} ")
    assert said in message
    assert message.endswith("; mend it, or uninstall it")
    assert message.isprintable()


def test_ours_are_not_looked_for_in_the_working_directory(site: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(site)
    before = list(sys.path)
    registry().load("grid")
    assert sys.path == before


def test_a_missing_extra_is_named(site: Path):
    (site / "sound.py").write_text("import onnx_that_is_nowhere\n")
    needs = Entry("form", "sound:Form", extra="onnx")
    with pytest.raises(UserError) as caught:
        Registry("export form", [needs]).load("form")
    assert str(caught.value) == (
        "export form form: needs onnx_that_is_nowhere; pip install 'widthwise[onnx]'"
    )
    with pytest.raises(ModuleNotFoundError, match="missing_here"):  # a fault of ours is none of the user's
        registry().load("onnx")


LOOKED = """
import json, sys
looked = []
sys.addaudithook(lambda event, args: looked.append(str(args[0])) if event == "open" else None)
from widthwise.config import load_config
from widthwise.config.trust import code_in
from widthwise.strategies import strategy_source
for path in sys.argv[1:]:
    code_in(load_config(path))
strategy_source("BruteForceSampler")
print(json.dumps([path for path in looked if path.endswith("entry_points.txt")]))
"""


def test_names_of_ours_are_found_without_looking_at_what_is_installed(site: Path):
    install(site, "sound", {"noise": "sound:THING"}, group="widthwise.formats")
    places = os.pathsep.join([str(site), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-c", LOOKED, *map(str, sorted(EXAMPLES.glob("*.toml")))],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": places},
    )
    assert json.loads(done.stdout) == []
