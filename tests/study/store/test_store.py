"""Studies and trials go in and come out, in SQLite and in PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import sqlalchemy as sa

from helpers.metrics import metrics_of
from helpers.searches import METRICS, SPACE, make_record
from widthwise.core.errors import UserError
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.objective import Objective
from widthwise.spaces.space import Decision, Space
from widthwise.study.store import Store, StudyRecord, StudyWriter, schema


def _metrics(candidates, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(len(candidates)) for name in METRICS}


def _append(writer, count, seed=0, **options):
    candidates = SPACE.sample(count, np.random.default_rng(seed))
    metrics = _metrics(candidates, seed)
    writer.append(candidates, metrics, {}, **{"seconds": 1.0, "elapsed": 2.0, **options})
    return candidates, np.stack(list(metrics.values()), axis=1)


def test_batches_come_back_as_they_were_appended(target):
    sizes = [3, 1, 0, 25_000, 7]
    with Store.create(target) as store, StudyWriter(store, store.create_study(make_record())) as writer:
        written = [_append(writer, size, seed) for seed, size in enumerate(sizes)]
    with Store.open(target, readonly=True) as store:
        study = store.find("sample")
        read = list(store.groups(study))
        blocks = list(store.blocks(study))
    assert [batch.evaluated for group in read for batch in group.batches] == sizes
    for which, part in enumerate(("candidates", "metrics")):
        found = np.concatenate([getattr(group.trials, part) for group in read])
        assert np.array_equal(found, np.concatenate([pair[which] for pair in written]))
    assert np.array_equal(np.concatenate([block.numbers for block in blocks]), np.arange(sum(sizes)))
    assert np.array_equal(
        np.concatenate([block.metrics for block in blocks]), np.concatenate([m for _, m in written])
    )


def test_failures_cut_candidates_and_counts_come_back(target):
    with Store.create(target) as store, StudyWriter(store, store.create_study(make_record())) as writer:
        candidates = SPACE.at([5, 6])
        metrics = {"accuracy": np.array([np.nan, 0.5]), "model_size": np.array([np.inf, 1e-300])}
        writer.append(
            candidates,
            metrics,
            {0: "out of\nmemory\0 'quoted'"},
            seconds=3.0,
            elapsed=4.0,
            asked=3,
            cut={1: SPACE.at([700])[0]},
        )
        (group,) = store.groups(writer.study)
        summary = store.summary(writer.study)
        seconds = store.seconds(writer.study).of(np.array([0, 1]))
    assert group.trials.reasons == {0: "out of memory 'quoted'"}
    assert group.batches[0].cut == {1: tuple(SPACE.at([700])[0])}
    assert np.array_equal(group.trials.metrics, [[np.nan, np.inf], [0.5, 1e-300]], equal_nan=True)
    assert (summary.trials, summary.failed, summary.cut, summary.batches) == (2, 1, 1, 1)
    assert summary.seconds == 4.0
    assert seconds.tolist() == [1.5, 1.5]


def test_rows_that_are_not_worth_writing_are_counted(target):
    with Store.create(target) as store, StudyWriter(store, store.create_study(make_record())) as writer:
        candidates, metrics = _append(writer, 5, written=np.array([False, True, False, False, True]))
        _append(writer, 2, written=np.zeros(2, dtype=bool))
        (group,) = store.groups(writer.study)
        assert store.summary(writer.study).trials == 7
        assert store.count(writer.study) == 2
    assert [batch.evaluated for batch in group.batches] == [5, 2]
    assert group.trials.numbers.tolist() == [1, 4]
    assert np.array_equal(group.trials.candidates, candidates[[1, 4]])
    assert np.array_equal(group.trials.metrics, metrics[[1, 4]])


def test_studies_of_one_database_are_independent(target):
    names = ["first", "'); DROP TABLE widthwise_trials; --", "ünïcode <script>"]
    with Store.create(target) as store:
        written = {}
        for seed, name in enumerate(names):
            with StudyWriter(store, store.create_study(make_record(name))) as writer:
                written[name] = _append(writer, 4 + seed, seed)
        store.remove_study(store.find("first"))
        assert [study.name for study in store.studies()] == names[1:]
        for name in names[1:]:
            (block,) = store.blocks(store.find(name))
            assert np.array_equal(block.metrics, written[name][1])


def test_a_study_comes_back_with_its_space_and_settings(target):
    space = Space((Decision("w", (2, "NA", None, 1.5)), Decision("<script>", tuple(range(3000)))))
    aim = Aim((Objective(*metrics_of("a"), "maximize"),))
    record = StudyRecord(
        "x", space, metrics_of("a"), make_record(data="é", aim=aim).settings, {"seed": "0"}, 'x = "ü"\n'
    )
    with Store.create(target) as store:
        made = store.create_study(record)
        found = store.find("x")
        with StudyWriter(store, made) as writer:
            writer.append(np.array([[3, 2999]]), {"a": np.array([0.5])}, {}, seconds=0, elapsed=0)
            writer.finish("all done")
        (block,) = store.blocks(found)
        assert store.find("x").finished == "all done"
    assert found.space == space
    assert (found.settings, found.fingerprint, found.config) == (
        record.settings,
        record.fingerprint,
        record.config,
    )
    assert found.space.chosen(block.candidates[0]) == {"w": 1.5, "<script>": 2999}


def test_a_batch_is_stored_whole_or_not_at_all(target):
    with Store.create(target) as store:
        study = store.create_study(make_record())
        with StudyWriter(store, study) as writer:
            _append(writer, 3)
            # what a second writer would have left: a trial that the next batch has too
            values = {"study_id": study.id, "number": 4, "candidate": "000000", "metrics": "[0,0]"}
            store.connection.execute(sa.insert(schema.trials), values)
            store.connection.commit()
            with pytest.raises(UserError, match="another search writes"):
                _append(writer, 3)
            assert store.summary(study).trials == writer.trials == 3
            assert [len(group.batches) for group in store.groups(study)] == [1]


def test_a_second_study_of_the_same_name_is_refused(target):
    with Store.create(target) as store:
        store.create_study(make_record("twice"))
        with pytest.raises(UserError, match="study named twice already"):
            store.create_study(make_record("twice"))
        assert len(store.studies()) == 1


def test_a_name_that_is_not_there_gets_the_nearest(target):
    with Store.create(target) as store:
        with pytest.raises(UserError, match="holds no study"):
            store.find()
        store.create_study(make_record("lab3"))
        assert store.find().name == "lab3"
        with pytest.raises(UserError, match="did you mean lab3"):
            store.find("lab4")
        store.create_study(make_record("lab5"))
        with pytest.raises(UserError, match="holds 2 studies; name one of lab3, lab5"):
            store.find()


def test_a_reader_sees_what_is_committed_while_the_search_runs(target):
    with Store.create(target) as store, Store.open(target, readonly=True) as reader:
        study = store.create_study(make_record())
        with StudyWriter(store, study) as writer:
            for expected in (4, 8):
                _append(writer, 4)
                assert reader.summary(study).trials == expected


HOLDER = """
import sys, time, os
from widthwise.study.store import Store, StudyWriter
store = Store.open(sys.argv[1])
writer = StudyWriter(store, store.find())
if sys.argv[2] == "fork" and os.fork() == 0:
    time.sleep(60)
    os._exit(0)
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("alone", ["alone", "fork"])
def test_the_second_writer_is_told_who_holds_the_study_until_the_holder_dies(target, alone):
    with Store.create(target) as store:
        store.create_study(make_record())
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(target), alone],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with Store.open(target) as store:
            study = store.find()
            with pytest.raises(UserError, match=rf"in use: process {holder.pid} on \S+ .* since \d{{4}}-"):
                StudyWriter(store, study)
            holder.kill()
            holder.wait()
            # a server may take a moment to see that the connection is gone
            for _ in range(100):
                try:
                    StudyWriter(store, study).close()
                    return
                except UserError:
                    time.sleep(0.05)
            pytest.fail("the lock outlived its holder")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()


def test_a_writer_that_closed_lets_the_next_one_in(target):
    with Store.create(target) as store:
        study = store.create_study(make_record())
        for expected in (0, 2):
            with StudyWriter(store, study) as writer:
                assert writer.trials == expected
                _append(writer, 2)


def test_a_server_that_is_gone_is_a_one_line_error(postgres):
    with Store.create(postgres) as store, StudyWriter(store, store.create_study(make_record())) as writer:
        _append(writer, 2)
        admin = sa.create_engine(postgres.rpartition("/")[0] + "/postgres", isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %(name)s",
                {"name": postgres.rpartition("/")[2]},
            )
        admin.dispose()
        with pytest.raises(UserError, match=r"then resume: what was stored before is kept"):
            _append(writer, 2)
    with Store.open(postgres) as store:
        assert store.summary(store.find()).trials == 2


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://u:secret@127.0.0.1:1/x", r"^postgresql\+psycopg://u@127.0.0.1:1/x: "),
        ("mysql://u:secret@host/x", "no such kind of database"),
        ("sqlite://", "gone with the program"),
        ("post gres://u:secret@host/x", "no database URL"),
    ],
)
def test_a_wrong_url_is_a_one_line_error_without_the_password(url, said):
    with pytest.raises(UserError, match=said) as caught:
        Store.open(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
