"""Run by alembic: migrates over the connection that `widthwise.study.store.migrations.upgrade` was given."""

from __future__ import annotations

from alembic import context

from widthwise.study.store import schema

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=schema.metadata,
    version_table=schema.version.name,
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite changes a table by making a new one
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
