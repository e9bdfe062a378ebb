"""All of a run is looked at; what is damaged is named, and the rest can be read from another run."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from helpers.searches import FINGERPRINT, search
from widthwise.cli import main
from widthwise.core.errors import UserError
from widthwise.study.checking import check_run, salvage_run
from widthwise.study.run_folder import load_run, resume_run

RUNS_BEFORE = Path(__file__).parent / "runs_before"


def _execute(run: Path, *statements: str) -> None:
    with sqlite3.connect(run / "study.db") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def test_of_a_sound_run_all_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search(tmp_path / "run", batch_size=50)
    assert main(["check", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "sound    trials: 729 trials in 15 batches" in said
    assert said.endswith("run: all is sound\n")


def test_damaged_batches_are_named_and_the_rest_is_saved(tmp_path: Path, capsys) -> None:
    run, saved = tmp_path / "run", tmp_path / "saved"
    before = search(run, batch_size=50).to_pandas()
    _execute(
        run,
        "update widthwise_trials set candidate = '222222' where number = 60",
        "delete from widthwise_batches where number = 5",
        "update widthwise_batches set evaluated = 28 where number = 14",
    )
    assert main(["check", str(run)]) == 1
    said = capsys.readouterr().out
    for line in ("batch 1: damaged (trials 50 to 99)", "batch 5: damaged (trials 250 to 299)", "batch 14: "):
        assert f"DAMAGED  {line}" in said
    assert "3 of 15 batches are lost (1, 5, 14) with 129 trials" in said
    assert main(["check", str(run), "--salvage", str(saved)]) == 0
    study = load_run(saved)
    kept = before[~before.number.isin([*range(50, 100), *range(250, 300), *range(700, 729)])]
    own = ["seconds", "on_front"]  # the front of what is left is another
    assert study.to_pandas().drop(columns=own).equals(kept.drop(columns=own).reset_index(drop=True))
    assert study.finished is not None
    assert "3 of 15 batches are lost" in study.finished
    assert main(["check", str(saved)]) == 0
    assert main(["report", str(saved)]) == 0
    with pytest.raises(UserError, match="can't be resumed: salvaged: 3 of 15"):
        resume_run(saved, FINGERPRINT)
    with pytest.raises(UserError, match="has a run already"):
        salvage_run(run, saved)


def test_what_sqlite_can_read_of_a_broken_file_is_saved(tmp_path: Path) -> None:
    run = tmp_path / "run"
    before = search(run, batch_size=10).to_pandas().set_index("number").drop(columns=["seconds", "on_front"])
    content = bytearray((run / "study.db").read_bytes())
    place = content.index(b"[0.9", len(content) // 2) // 4096 * 4096  # a page of trials
    content[place : place + 4096] = bytes(4096)
    (run / "study.db").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        load_run(run)
    study, found = salvage_run(run, tmp_path / "saved")
    after = study.to_pandas().set_index("number").drop(columns=["seconds", "on_front"])
    assert 0 < len(found.damaged) < 20
    assert len(after) == 729 - sum(found.places[number][1] for number in found.damaged)
    assert after.equals(before.loc[after.index])


@pytest.mark.parametrize("name", ["front.json", "realised.json", "standard_errors.json", "slots.json"])
def test_files_beside_the_trials_are_looked_at(tmp_path: Path, name: str) -> None:
    search(tmp_path / "run", batch_size=100)
    (tmp_path / "run" / name).write_text("{")
    troubles = [finding.what for finding in check_run(tmp_path / "run") if finding.trouble]
    assert name in troubles


def test_any_damage_is_survived_by_what_looks_for_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    search(run, batch_size=50)
    sound, rng = (run / "study.db").read_bytes(), np.random.default_rng(1)
    for number in range(20):
        content = bytearray(sound)
        for place in rng.integers(len(content), size=40):
            content[place] = rng.integers(256)
        (run / "study.db").write_bytes(content)
        assert any(finding.trouble for finding in check_run(run))
        try:
            salvage_run(run, tmp_path / f"saved {number}")
        except UserError as error:
            said = str(error)
        else:
            said = ""
            load_run(tmp_path / f"saved {number}")
        assert "\n" not in said


@pytest.mark.parametrize("name", ["brute-force", "frontier", "tpe", "widths"])
def test_a_run_of_an_earlier_version_is_sound_and_what_it_has_not_is_said(tmp_path: Path, name: str) -> None:
    shutil.copytree(RUNS_BEFORE / name, tmp_path / "run")
    found = {one.what: one for one in check_run(tmp_path / "run", networks=False)}
    assert [one for one in found.values() if one.trouble] == []
    assert found["realised.json"].note == "is not there"
    front = tmp_path / "run" / "front.json"
    content = json.loads(front.read_text())
    content["front"][0]["hardware_metrics"] = dict.fromkeys(content["front"][0]["hardware_metrics"], 1.5)
    front.write_text(json.dumps(content))
    wrong = [one.what for one in check_run(tmp_path / "run", networks=False) if one.trouble]
    assert wrong == ["front.json"]


def test_what_is_sound_is_not_copied_over_a_run(tmp_path: Path) -> None:
    search(tmp_path / "run", batch_size=200)
    with pytest.raises(UserError, match="has a run already; what is sound is copied into a new one"):
        salvage_run(tmp_path / "run", tmp_path / "run")
