"""Damage of what is stored is found, by checksums or by SQLite, and what is not ours is left as it is."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from helpers.searches import METRICS, SPACE, make_record, search
from widthwise.core.errors import UserError
from widthwise.search.limits import Limits
from widthwise.study.run_folder import load_run
from widthwise.study.store import Store, StudyWriter, schema
from widthwise.study.study import Study

FLIPS = 200
BEFORE = Path(__file__).parents[1] / "runs_before"


def _known(study: Study) -> tuple[object, ...]:
    """All that a reader is told."""
    return study.record, study.front, study.summary, study.to_pandas().to_csv()


def test_a_single_bit_that_flips_is_found_or_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    search(folder, batch_size=50)
    store, expected = folder / "study.db", _known(load_run(folder))
    sound = store.read_bytes()
    found = 0
    for place in np.random.default_rng(0).choice(len(sound) * 8, FLIPS, replace=False):
        damaged = bytearray(sound)
        damaged[place // 8] ^= 1 << (place % 8)
        store.write_bytes(damaged)
        try:
            read = _known(load_run(folder))
        except UserError as error:
            said = str(error)
            found += 1
        else:
            said, equal = "", read == expected
            assert equal, f"bit {place}"
        assert "\n" not in said
        assert store.read_bytes() == damaged
        assert not (folder / "study.db-wal").exists()
    assert found > FLIPS / 3  # much of a small file is empty


def test_batches_that_come_while_somebody_reads_are_no_damage(tmp_path: Path) -> None:
    search(tmp_path / "run", batch_size=50, limits=Limits(trials=100))
    with Store.open(tmp_path / "run" / "study.db", readonly=True) as store:
        record = store.find()
        readers: list[Iterator[object]] = [store.blocks(record), store.groups(record)]
        first = [next(reader) for reader in readers]
        search(tmp_path / "run", batch_size=50, limits=Limits(trials=150))
        assert [sum(1 for _ in reader) for reader in readers] == [0, 0]
    assert len(first) == 2


# what a disk might do to one value, each of which SQLite itself takes for sound
CHANGES = {
    "a candidate": "update widthwise_trials set candidate = '000001' where number = 60",
    "a metric": "update widthwise_trials set metrics = replace(metrics, '0.', '1.') where number = 60",
    "a trial that is gone": "delete from widthwise_trials where number = 60",
    "a failure that was none": "insert into widthwise_failures values (1, 60, 'because')",
    "seconds": "update widthwise_batches set seconds = 9 where number = 1",
    "a checksum": "update widthwise_batches set checksum = null where number = 1",
    "no number": "update widthwise_trials set metrics = '[1,x]' where number = 60",
    "no such choice": "update widthwise_trials set candidate = '00000~' where number = 60",
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_damaged_batch_is_named(tmp_path: Path, change: str) -> None:
    search(tmp_path / "run", batch_size=50)
    with sqlite3.connect(tmp_path / "run" / "study.db") as database:
        database.execute(CHANGES[change])
    database.close()
    with pytest.raises(UserError, match=r"study\.db: study run: batch 1 \(trials 50 to 99\): damaged"):
        load_run(tmp_path / "run")


LOST = {
    "the last batch": "delete from widthwise_batches where number = 14",
    "all batches": "delete from widthwise_batches",
    "the head": "delete from widthwise_heads",
    "the head's checksum": "update widthwise_heads set checksum = 1",
    "the number of a batch": "update widthwise_batches set number = 77 where number = 14",
    "the record": "update widthwise_studies set fingerprint = replace(fingerprint, 'abc', 'abd')",
    "why it ended": "update widthwise_studies set finished = null",
    "its id": "update widthwise_studies set id = 2",
    "a record that is no JSON": "update widthwise_studies set settings = '{'",
}


@pytest.mark.parametrize("change", LOST)
def test_what_is_missing_is_found(tmp_path: Path, change: str) -> None:
    search(tmp_path / "run", batch_size=50)
    with sqlite3.connect(tmp_path / "run" / "study.db") as database:
        database.execute(LOST[change])
    database.close()
    with pytest.raises(UserError, match="damaged"):
        load_run(tmp_path / "run")


def test_damage_on_a_server_is_found_too(postgres: str) -> None:
    with Store.create(postgres) as store, StudyWriter(store, store.create_study(make_record())) as writer:
        for _ in range(2):
            metrics = {name: np.arange(3.0) for name in METRICS}
            writer.append(SPACE.at(range(3)), metrics, {1: "é"}, seconds=0.1, elapsed=1 / 3)
        assert [b.evaluated for group in store.groups(writer.study) for b in group.batches] == [3, 3]
        store.connection.execute(
            sa.update(schema.trials).values(metrics="[1,1]").where(schema.trials.c.number == 4)
        )
        store.connection.commit()
        with pytest.raises(UserError, match=r"batch 1 \(trials 3 to 5\): damaged"):
            list(store.blocks(writer.study))


def test_a_store_without_checksums_is_read_and_gets_them_when_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    shutil.copy(BEFORE / "brute-force" / "study.db", path)
    before = Study.load(path)
    with Store.open(path, readonly=True) as store:
        assert not store.checked
    with Store.open(path) as store:
        assert store.checked
    assert _known(Study.load(path)) == _known(before)
    with sqlite3.connect(path) as database:
        database.execute("update widthwise_trials set candidate = candidate where number = 3")
        database.execute("update widthwise_batches set elapsed = elapsed + 1 where number = 0")
    database.close()
    with pytest.raises(UserError, match="damaged"):
        Study.load(path)


def test_a_database_of_another_program_is_looked_at_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as database:
        database.execute("create table trials (x integer)")
    database.close()
    before = path.read_bytes()
    for readonly in (True, False):
        with pytest.raises(UserError, match="is no store of widthwise"):
            Store.open(path, readonly=readonly)
    assert path.read_bytes() == before  # not even the mode of its journal
    assert [file.name for file in tmp_path.iterdir()] == ["theirs.db"]


SCHEMES = {
    "a view": "alter table widthwise_trials rename to t; create view widthwise_trials as select * from t",
    "a trigger": "create trigger t after insert on widthwise_trials begin delete from widthwise_studies; end",
    "another column": "alter table widthwise_trials add column made text as (upper(candidate))",
    "a column less": "alter table widthwise_batches drop column cut",
    "no version": "delete from widthwise_version",
    "a version that never was": "update widthwise_version set version_num = '000q'",
}


@pytest.mark.parametrize("change", SCHEMES)
def test_tables_that_are_not_ours_are_refused_before_they_are_used(tmp_path: Path, change: str) -> None:
    path = tmp_path / "study.db"
    Store.create(path).close()
    with sqlite3.connect(path) as database:
        database.executescript(SCHEMES[change])
    database.close()
    before = path.read_bytes()
    for readonly in (True, False):
        with pytest.raises(UserError) as caught:
            Store.open(path, readonly=readonly)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
