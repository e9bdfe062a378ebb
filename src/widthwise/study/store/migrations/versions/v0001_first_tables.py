"""The first tables: studies, batches, trials, failures.

Written out, not taken from `store/schema.py`, which later versions will change.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "widthwise_studies",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("decisions", sa.Text, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("finished", sa.Text),
        sa.Column("holder", sa.Text),
    )
    op.create_table(
        "widthwise_batches",
        *_keys(),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("asked", sa.BigInteger, nullable=False),
        sa.Column("evaluated", sa.BigInteger, nullable=False),
        sa.Column("cut", sa.Text),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("elapsed", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "widthwise_trials",
        *_keys(),
        sa.Column("candidate", sa.Text, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "widthwise_failures", *_keys(), sa.Column("reason", sa.Text, nullable=False), sqlite_with_rowid=False
    )


def _keys() -> list[sa.Column[int]]:
    return [
        sa.Column("study_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    ]
