"""Bringing the database of an older widthwise up to date (alembic)."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa


def upgrade(connection: sa.Connection, revision: str = "head") -> None:
    """Run the migrations that are missing, all in one transaction where the database can do that."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    # alembic reads its options with %-interpolation
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    connection.commit()
