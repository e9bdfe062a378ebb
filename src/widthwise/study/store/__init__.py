"""Trials in SQLite or PostgreSQL: several studies a database, one writer a study, appended in bulk."""

from __future__ import annotations

from widthwise.study.store.records import Block, StoredBatch, StoredBatches, StudyRecord
from widthwise.study.store.settings import StudySettings
from widthwise.study.store.store import Store
from widthwise.study.store.writer import StudyWriter

__all__ = ["Block", "Store", "StoredBatch", "StoredBatches", "StudyRecord", "StudySettings", "StudyWriter"]
