"""Studies as rows: metrics and settings come back as they were, also from rows of the version before."""

from __future__ import annotations

import json
import math
import sqlite3
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.metrics import constraint, objective
from helpers.searches import make_record
from widthwise.metrics.catalogue import METRICS, Metric, find_metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.spread import spread_of
from widthwise.study.store import Store, StudyRecord, StudySettings
from widthwise.study.store.records import from_row, to_row

ranges = st.tuples(st.just(-math.inf) | st.floats(-1e9, 1e9), st.just(math.inf) | st.floats(1e9, 1e12))
metrics = st.builds(
    Metric,
    name=st.text(min_size=1),
    kind=st.sampled_from(["quality", "cost", "measured"]),
    direction=st.sampled_from(["maximize", "minimize"]),
    unit=st.none() | st.text(),
    description=st.text(),
    source=st.text(),
)
described = st.builds(lambda metric, ends: replace(metric, low=ends[0], high=ends[1]), metrics, ranges)
AIM = Aim((objective("accuracy", "maximize"), objective("model_size", "minimize", 0.5)), True, "maximize")
SETTINGS = StudySettings(
    AIM,
    (constraint("model_size", "<=", 2048.0), constraint("accuracy", ">", 0.5)),
    {"accuracy": 0.75, "model_size": math.inf},
    data="1,024 jets",
    model="jsc-tiny",
    strategy="tpe",
    untrained=True,
    repeats=3,
)


def read(row: dict[str, Any]) -> StudyRecord:
    return from_row({**row, "id": 1})


@given(st.lists(described, min_size=1, max_size=4, unique_by=lambda metric: metric.name))
def test_metrics_come_back_whole(drawn: list[Metric]) -> None:
    aim = Aim(tuple(replace(AIM.objectives[0], metric=metric) for metric in drawn))
    record = replace(make_record(aim=aim), metrics=tuple(drawn))
    found = read(to_row(record))
    assert found.metrics == record.metrics
    assert found.settings == record.settings
    assert found.columns == tuple(metric.name for metric in drawn)


def test_settings_come_back_as_they_were() -> None:
    assert read(to_row(replace(make_record(), settings=SETTINGS))).settings == SETTINGS


def test_what_is_stored_is_what_the_version_before_stored_and_reads() -> None:
    row = to_row(replace(make_record(), settings=SETTINGS))
    assert json.loads(row["metrics"]) == ["accuracy", "model_size"]
    settings = json.loads(row["settings"])
    del settings["metrics"]
    assert settings == {
        "aim": {
            "objectives": [
                {"name": "accuracy", "direction": "maximize", "scale": 1.0},
                {"name": "model_size", "direction": "minimize", "scale": 0.5},
            ],
            "summed": True,
            "direction": "maximize",
        },
        "constraints": [
            {"metric": "model_size", "op": "<=", "bound": 2048.0},
            {"metric": "accuracy", "op": ">", "bound": 0.5},
        ],
        "float": {"accuracy": 0.75, "model_size": math.inf},
        "data": "1,024 jets",
        "model": "jsc-tiny",
        "strategy": "tpe",
        "untrained": True,
        "repeats": 3,
    }


def test_a_row_of_the_version_before_is_read_with_what_is_known_of_its_names() -> None:
    names = ["accuracy", "f1[t]", "MulticlassAUROC", "bops", "accuracy_spread", "area", "area_spread"]
    aim = {"objectives": [{"name": "area", "direction": "minimize", "scale": 1.0}], "summed": False}
    row = to_row(make_record()) | {
        "metrics": json.dumps(names),
        "settings": json.dumps({"aim": {**aim, "direction": None}, "float": {"accuracy": None}}),
    }
    found = read(row)
    known = dict(zip(names, found.metrics, strict=True))
    for name in names[:4]:
        assert known[name] == find_metric(name)
    assert known["accuracy_spread"] == spread_of(METRICS["accuracy"])
    assert (known["area"].kind, known["area"].direction, known["area"].unit) == ("quality", "maximize", None)
    assert known["area_spread"] == spread_of(known["area"])
    assert (known["area_spread"].direction, known["accuracy_spread"].unit) == ("minimize", "share")
    settings = found.settings
    assert settings.aim.objectives[0].metric == known["area"]
    assert settings.aim.directions == {"area": "minimize"}
    assert (settings.constraints, settings.repeats, settings.untrained) == ((), 1, False)
    assert math.isnan(settings.float_metrics["accuracy"])


def test_a_database_of_the_version_before_is_read_where_nothing_may_be_written(tmp_path) -> None:
    path = tmp_path / "study.db"
    with Store.create(path) as store:
        store.create_study(make_record())
    with sqlite3.connect(path) as database:
        ((stored,),) = database.execute("select settings from widthwise_studies").fetchall()
        settings = {key: value for key, value in json.loads(stored).items() if key != "metrics"}
        database.execute("update widthwise_studies set settings = ?", (json.dumps(settings),))
        database.execute("alter table widthwise_studies drop column checksum")
        database.execute("alter table widthwise_batches drop column checksum")
        database.execute("drop table widthwise_heads")
        database.execute("update widthwise_version set version_num = '0001'")
        database.execute("pragma journal_mode = delete")
    database.close()
    before = path.read_bytes()
    path.chmod(0o444)
    with Store.open(path, readonly=True) as store:
        found = store.find()
    assert (found.metrics, found.settings) == (make_record().metrics, make_record().settings)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["recall[1]", "torchmetrics.classification.MulticlassAUROC"])
def test_names_of_aims_that_no_column_has_are_looked_up(name: str) -> None:
    settings = StudySettings.from_json({"aim": Aim((objective(name, "maximize"),)).as_json()}, ())
    assert settings.aim.objectives[0].metric == find_metric(name)
