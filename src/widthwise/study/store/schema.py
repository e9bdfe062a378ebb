"""The tables of a store; `migrations/` brings older databases to them.

Names begin with `widthwise_`: a PostgreSQL database may hold Optuna's tables `studies` and `trials` too.
A trial is a row, so that a person can query it. Its candidate is text with one character a decision ("0212"),
its metrics are a JSON array in the order of the study's metric names: measured, that reads three times faster
than JSON for both, and names in every row would triple the size.
"""

from __future__ import annotations

import sqlalchemy as sa

REVISION = "0002"  # the migration that leads to the tables below
UNCHECKED = "0001"  # before there were checksums; can be read

# SQLite counts up by itself only in a column of type INTEGER
_identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()

version = sa.Table("widthwise_version", metadata, sa.Column("version_num", sa.String(32), primary_key=True))

studies = sa.Table(
    "widthwise_studies",
    metadata,
    sa.Column("id", _identity, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("created", sa.Text, nullable=False),  # UTC, ISO 8601
    sa.Column("decisions", sa.Text, nullable=False),  # JSON [{"name", "choices"}]
    sa.Column("metrics", sa.Text, nullable=False),  # JSON [name]
    sa.Column("settings", sa.Text, nullable=False),  # JSON {"aim", "float", "metrics" as objects, …}
    sa.Column("fingerprint", sa.Text, nullable=False),  # JSON {what changes results: value or hash}
    sa.Column("config", sa.Text, nullable=False),  # TOML
    sa.Column("finished", sa.Text),  # why the search ended; NULL while it may go on
    sa.Column("holder", sa.Text),  # JSON {"pid", "host", "since"} of the last writer
    sa.Column("checksum", sa.BigInteger),  # of all the others
)

batches = sa.Table(
    "widthwise_batches",
    metadata,
    sa.Column("study_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("first", sa.BigInteger, nullable=False),  # number of its first trial
    sa.Column("asked", sa.BigInteger, nullable=False),  # candidates that the strategy proposed
    sa.Column("evaluated", sa.BigInteger, nullable=False),  # of these: those within the bounds
    sa.Column("cut", sa.Text),  # JSON {row: candidate} of the others
    sa.Column("seconds", sa.Double, nullable=False),  # spent on evaluating it
    sa.Column("elapsed", sa.Double, nullable=False),  # spent on the study when it was stored
    sa.Column("checksum", sa.BigInteger),  # of these, and of its trials and failures
    sqlite_with_rowid=False,
)

# how much there is of a study: what is lost whole shows in no checksum of its own
heads = sa.Table(
    "widthwise_heads",
    metadata,
    sa.Column("study_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("batches", sa.BigInteger, nullable=False),
    sa.Column("trials", sa.BigInteger, nullable=False),  # that were evaluated
    sa.Column("checksum", sa.BigInteger, nullable=False),  # of the batches' checksums
)

# no foreign key from here: PostgreSQL would look the study up once for every row
trials = sa.Table(
    "widthwise_trials",
    metadata,
    sa.Column("study_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("candidate", sa.Text, nullable=False),
    sa.Column("metrics", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

failures = sa.Table(
    "widthwise_failures",
    metadata,
    sa.Column("study_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("reason", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
