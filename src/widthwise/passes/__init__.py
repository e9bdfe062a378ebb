"""Passes: from a graph to a graph and what was found; an analysis finds, a transform changes."""

from __future__ import annotations
