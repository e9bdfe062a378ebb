"""Evaluators that workers make: on plain numpy, and with accidents that are caused for real."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Pace, Results
from widthwise.evaluators.workers.channel import HEAD, MARK, Channel
from widthwise.evaluators.workers.messages import pack_results

EACH = Pace(trains=True, affordable=1)  # each candidate is a part of its own
SHARED = Pace(trains=False, affordable=100)  # a part of a batch for each worker
METRICS = ("accuracy", "pid")


def numbers(candidates: IntArray) -> np.ndarray:
    """What the evaluators give for candidates [K, D]."""
    return candidates @ 10.0 ** np.arange(candidates.shape[1])


def make(arguments: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Any:
    """The evaluator that `kind` names."""
    kinds = {
        "plain": plain,
        "slow": slow,
        "deadly": deadly,
        "dies once": lambda candidates: dies_once(candidates, Path(arguments["mark"])),
        "forks": lambda candidates: forks(candidates, Path(arguments["mark"]), arguments["how"]),
        "raises": raises,
        "complains": complains,
        "stuck": stuck,
        "garbles": lambda candidates: garbles(candidates, arguments["what"]),
        "weighs": lambda candidates: Results(
            {"accuracy": np.full(len(candidates), float(len(blobs["weights"]))), "pid": pids(candidates)}
        ),
    }
    if arguments["kind"] == "can't be made":
        raise UserError("no such network")
    if arguments["kind"] == "dies at the start":
        os._exit(7)
    return kinds[arguments["kind"]]


def pids(candidates: IntArray) -> np.ndarray:
    """Who did it."""
    return np.full(len(candidates), float(os.getpid()))


def plain(candidates: IntArray) -> Results:
    """Fails where the first choice is 5, prunes where it is 6."""
    accuracy = numbers(candidates)
    failures = {int(row): "five" for row in np.flatnonzero(candidates[:, 0] == 5)}
    pruned = frozenset(np.flatnonzero(candidates[:, 0] == 6).tolist())
    accuracy[[*failures, *pruned]] = np.nan
    print("this goes to stderr")
    return Results({"accuracy": accuracy, "pid": pids(candidates)}, failures, pruned)


def slow(candidates: IntArray) -> Results:
    """A fifth of a second for each."""
    time.sleep(0.2 * len(candidates))
    return Results({"accuracy": numbers(candidates), "pid": pids(candidates)})


def deadly(candidates: IntArray) -> Results:
    """Kills its own process over a 7."""
    if (candidates[:, 0] == 7).any():
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(candidates)


def dies_once(candidates: IntArray, mark: Path) -> Results:
    """The first process to be asked dies, whatever it was asked."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return plain(candidates)
    os._exit(3)


def forks(candidates: IntArray, mark: Path, how: str) -> Results:
    """The first process to be asked leaves a child, whose number is in `mark`; `how`: what happens then."""
    if mark.exists():
        return plain(candidates)
    child = os.fork()
    if not child:
        time.sleep(60)  # it has all that its parent had open
        os._exit(0)
    mark.write_text(str(child))
    if how == "its parent dies":
        os.kill(os.getpid(), signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    return plain(candidates)


def raises(candidates: IntArray) -> Results:
    """For a batch with a 7."""
    if (candidates[:, 0] == 7).any():
        raise RuntimeError("can't allocate\nmemory")
    return plain(candidates)


def complains(candidates: IntArray) -> Results:
    """Something that the user can mend."""
    raise UserError("label 9 is out of range")


def garbles(candidates: IntArray, what: str) -> Results:
    """Over a 7 something comes from this process that is no answer."""
    if not (candidates[:, 0] == 7).any():
        return plain(candidates)
    driver = socket.socket(fileno=os.dup(int(sys.argv[1])))
    if what == "bytes":
        driver.sendall(b"hello " * 1000)
    elif what == "no JSON":
        Channel(driver).send(b"\x05" + bytes(7) + b"what?")
    elif what == "a length":
        driver.sendall(HEAD.pack(MARK, 2**60))
    elif what == "another's":
        Channel(driver).send(pack_results(plain(candidates)))
    else:
        return Results({"accuracy": np.zeros(len(candidates) + 1), "pid": np.zeros(len(candidates))})
    return plain(candidates)


def stuck(candidates: IntArray) -> Results:
    """Never comes back from a 7."""
    while (candidates[:, 0] == 7).any():
        time.sleep(60)
    return plain(candidates)
