"""The schema that new databases get is the one that the migrations lead to."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import widthwise.study.store.migrations
from helpers.searches import make_record
from widthwise.core.errors import UserError
from widthwise.study.store import Store, schema
from widthwise.study.store.database import sqlite_path
from widthwise.study.store.migrations import upgrade


def _engine(target):
    path = sqlite_path(target)
    return sa.create_engine(sa.URL.create("sqlite", database=str(path)) if path else target)


def _differences(connection):
    options = {"version_table": schema.version.name, "compare_type": True}
    context = MigrationContext.configure(connection, opts=options)
    tables = schema.metadata
    return [
        found
        for found in compare_metadata(context, tables)
        if not (found[0] == "remove_table" and found[1].name == schema.version.name)
    ]


def test_migrations_from_nothing_lead_to_the_tables_of_a_new_store(target):
    engine = _engine(target)
    with engine.connect() as connection:
        upgrade(connection)
        assert _differences(connection) == []
    engine.dispose()
    with Store.open(target) as store:
        store.create_study(make_record())
        assert store.find().name == "sample"


def test_a_new_store_is_what_the_migrations_would_make(target):
    Store.create(target).close()
    engine = _engine(target)
    with engine.connect() as connection:
        assert _differences(connection) == []
        upgrade(connection)  # finds nothing to do
    engine.dispose()


def test_the_revision_that_new_stores_get_is_the_last_one():
    folder = widthwise.study.store.migrations.__path__[0]
    assert ScriptDirectory(folder).get_current_head() == schema.REVISION


def test_a_store_of_a_newer_widthwise_is_refused(target):
    Store.create(target).close()
    engine = _engine(target)
    with engine.begin() as connection:
        connection.execute(sa.update(schema.version).values(version_num="9999"))
    engine.dispose()
    with pytest.raises(UserError, match=r"newer widthwise.*update widthwise"):
        Store.open(target)


def test_a_database_of_someone_else_is_refused_and_left_alone(target):
    engine = _engine(target)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE trials (x INTEGER)")
    engine.dispose()
    with pytest.raises(UserError, match="is no store of widthwise"):
        Store.open(target)
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["trials"]
    engine.dispose()
