"""A worker: holds one evaluator, with its network and data, and answers messages of candidates."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.evaluators.protocol import Evaluate, KeepsLatest
from widthwise.evaluators.workers.messages import (
    pack,
    pack_error,
    pack_results,
    unpack,
    unpack_candidates,
)

if TYPE_CHECKING:
    from widthwise.network.realised import Realised


@dataclass(frozen=True)
class Build:
    """How workers make their evaluator: a function of (arguments, blobs) by name, and what it is given.

    target: as "package.module:function"; named by this program, never by a config.
    arguments: plain JSON values. blobs: bytes, such as weights.
    """

    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    blobs: Mapping[str, bytes] = field(default_factory=dict)

    def packed(self) -> bytes:
        """As a message."""
        blobs = {name: np.frombuffer(content, dtype=np.uint8) for name, content in self.blobs.items()}
        return pack({"target": self.target, "arguments": dict(self.arguments)}, blobs)

    @classmethod
    def unpacked(cls, message: bytes) -> Build:
        """From a message."""
        head, arrays = unpack(message)
        return cls(
            head["target"], head["arguments"], {name: array.tobytes() for name, array in arrays.items()}
        )

    def evaluator(self) -> Evaluate:
        """Make it."""
        module, _, name = self.target.partition(":")
        made: Evaluate = getattr(importlib.import_module(module), name)(self.arguments, self.blobs)
        return made


class Work:
    """What every worker does, however messages come to it."""

    def __init__(self, build: bytes) -> None:
        self._build = build
        self._evaluator: Evaluate | None = None

    def start(self) -> bytes:
        """Make the evaluator; the answer is empty, or what went wrong."""
        try:
            self._evaluator = Build.unpacked(self._build).evaluator()
        except Exception as error:
            return _error(error)
        return pack({})

    def answer(self, message: bytes) -> bytes:
        """The results of a message of candidates, or what went wrong."""
        assert self._evaluator is not None
        candidates, asked = unpack_candidates(message)
        try:
            results = self._evaluator(candidates)
            return pack_results(results, _trained(self._evaluator, candidates), asked=asked)
        except Exception as error:
            return _error(error, asked)


def _trained(evaluator: Evaluate, candidates: IntArray) -> list[Realised]:
    """The networks that were trained for these candidates [k, D]."""
    if not isinstance(evaluator, KeepsLatest):
        return []
    found = [evaluator.latest.get(candidate) for candidate in candidates]
    return [network for network in found if network is not None]


def _error(error: Exception, asked: int = 0) -> bytes:
    by_user = isinstance(error, UserError)
    return pack_error(str(error) if by_user else describe_error(error), by_user=by_user, asked=asked)
