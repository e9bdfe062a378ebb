"""Keeping a network that was given from Python beside its trials, so that its run can be opened again."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.core.files import write_atomically
from widthwise.network.described import described
from widthwise.network.written import NotWrittenError

if TYPE_CHECKING:
    from widthwise.search.problem import Problem

logger = logging.getLogger(__name__)


def keep_network(problem: Problem, path: Path) -> None:
    """Writes the network's calls, where nothing else makes it again and what is read gives the same bits.

    Why it can't be kept is in the run's log.
    """
    if problem.named or path.exists():
        return
    model = (problem.graph.unfolded or problem.graph).model
    try:
        stored = described(model, problem.base.example())
    except (NotWrittenError, UserError) as why:
        logger.info("the network was given from Python and is not kept: %s", why)
        return
    write_atomically(path, json.dumps(stored, ensure_ascii=False).encode() + b"\n")
