"""Why a trial is as good as it is, and whether mixing helped: what `ww.explain` finds, and a run keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from widthwise.core.errors import BROKEN, UserError
from widthwise.core.files import write_atomically
from widthwise.core.finite import finite
from widthwise.core.inside import read_inside
from widthwise.study.looks import shown
from widthwise.study.run_files import EXPLANATION, NEXT

MOST_BYTES = 2**28
VERSION = 1  # of what explain.json holds
FEWEST = 5  # distinct trials of a front that anything can be told of a space from
Verdict = Literal["better", "worse", "unclear", "equal"]


@dataclass(frozen=True)
class Change:
    """One decision or tensor changed: what it was and is then, the metrics, and by how much they differ.

    error: the standard error of the quality's difference, None where it was not computed.
    """

    name: str
    layer: str
    before: Any
    after: Any
    metrics: Mapping[str, float]
    differences: Mapping[str, float]
    error: float | None = None


@dataclass(frozen=True)
class Around:
    """Exact changes around one candidate.

    base: "pick", a trial of the search, or "float", the network without any format. metrics: its own.
    changes: of "pick" every other choice of each decision, of "float" every format of each tensor alone.
    moves: numbers of the changes that are combined in pairs, one for each decision or tensor: of "pick" the
        next cheaper choice, or the next dearer where there is none, of "float" the format of the pick.
    pairs: by metric [moves, moves], symmetric: how much both changes together differ from the sum of each; on
        the diagonal what each does alone. None where a pair was not evaluated.
    """

    base: Literal["pick", "float"]
    metrics: Mapping[str, float]
    changes: tuple[Change, ...]
    moves: tuple[int, ...] = ()
    pairs: Mapping[str, tuple[tuple[float | None, ...], ...]] | None = None


@dataclass(frozen=True)
class Baseline:
    """A candidate that one would try without a search. trial: its number where the search evaluated it."""

    label: str
    candidate: tuple[int, ...]
    metrics: Mapping[str, float]
    trial: int | None = None


@dataclass(frozen=True)
class Meeting:
    """One baseline and the best trial of the front that costs no more; better: by so much, above 0 is good.

    trial: None where no trial of the front costs so little; better is None then.
    """

    label: str
    cost: float
    quality: float
    trial: int | None
    front_quality: float | None
    better: float | None
    error: float | None


@dataclass(frozen=True)
class Against:
    """The front against one kind of baselines at equal cost.

    better: the mean over the meetings, in the quality's unit, above 0 where the front is better; error: its
    standard error over the samples, None where it can't be told. hypervolume: of the baselines alone, as
    share of what they and the front reach together.
    """

    baselines: Literal["uniform", "naive"]
    meetings: tuple[Meeting, ...]
    better: float | None
    error: float | None
    verdict: Verdict
    hypervolume: float


@dataclass(frozen=True)
class Mixing:
    """Did mixing help? part: of the data; samples: how many. hypervolume: of the front, as in Against."""

    quality: str
    cost: str
    part: str
    samples: int
    hypervolume: float
    against: tuple[Against, ...]


@dataclass(frozen=True)
class DecisionAdvice:
    """How many of the front's distinct trials have each choice of a decision, and what a next search drops
    or adds: choices that none has, and ones beyond an end that many have."""

    name: str
    choices: tuple[Any, ...]
    used: tuple[int, ...]
    never: tuple[Any, ...]
    missing: tuple[Any, ...]


@dataclass(frozen=True)
class Advice:
    """What the front says of the space. config: of the next search, as TOML, or else `why_not`."""

    front: int
    decisions: tuple[DecisionAdvice, ...]
    config: str | None = None
    why_not: str | None = None


@shown
@dataclass(frozen=True)
class Explanation:
    """What `ww.explain` found of a run.

    pick: the trial that is explained, by `rule`. quality, cost: the objectives that gains and savings are
    told in (None: there is none). around: exact changes. restored: the pick with one tensor put back to
    float. give, take: numbers of changes around the pick, the best bargains first: more quality for what it
    costs, less cost for what it loses. uniform, naive: the baselines; naive lowers one decision after
    another, those that matter least first. mixing: on the samples that the search judged on, and then on
    test samples. not_told: what could not be computed, and why.
    """

    study: str
    pick: int
    rule: str
    quality: str | None
    cost: str | None
    around: tuple[Around, ...]
    restored: tuple[Change, ...]
    give: tuple[int, ...]
    take: tuple[int, ...]
    uniform: tuple[Baseline, ...]
    naive: tuple[Baseline, ...]
    mixing: tuple[Mixing, ...]
    advice: Advice
    not_told: tuple[str, ...] = ()
    evaluations: int = 0
    seconds: float = 0.0

    def base(self, name: Literal["pick", "float"]) -> Around | None:
        """The changes around the pick or the float network, where they were made."""
        return next((one for one in self.around if one.base == name), None)

    def as_json(self) -> dict[str, Any]:
        """What explain.json holds: plain JSON values, null for NaN and infinity."""
        return {"version": VERSION, **finite(asdict(self))}

    def write(self, folder: Path) -> Path:
        """Into the run folder, with the config of the next search beside it; the path."""
        text = json.dumps(self.as_json(), indent=1, ensure_ascii=False, allow_nan=False)
        if self.advice.config is None:
            (folder / NEXT).unlink(missing_ok=True)
        else:
            write_atomically(folder / NEXT, self.advice.config.encode())
        write_atomically(folder / EXPLANATION, text.encode() + b"\n")
        return folder / EXPLANATION


def read_explanation(folder: Path | None) -> Explanation | None:
    """What a run folder keeps; None where nothing was explained. Raises UserError where that is broken."""
    content = None if folder is None else read_inside(folder, EXPLANATION, most=MOST_BYTES)
    if folder is None or content is None:
        return None
    path = folder / EXPLANATION
    try:
        stored = json.loads(content)
        if stored["version"] != VERSION:
            raise UserError(f"{path}: is of another version of widthwise; run widthwise explain again")
        return _explanation(stored)
    except BROKEN as error:
        raise UserError(f"{path}: is broken; run widthwise explain again") from error


def _explanation(stored: Mapping[str, Any]) -> Explanation:
    plain = ("study", "pick", "rule", "quality", "cost", "evaluations", "seconds")
    advice = stored["advice"]
    return Explanation(
        **{name: stored[name] for name in plain},
        around=tuple(_around(one) for one in stored["around"]),
        restored=tuple(Change(**one) for one in stored["restored"]),
        give=tuple(stored["give"]),
        take=tuple(stored["take"]),
        uniform=tuple(_baseline(one) for one in stored["uniform"]),
        naive=tuple(_baseline(one) for one in stored["naive"]),
        mixing=tuple(_mixing(one) for one in stored["mixing"]),
        advice=Advice(**{**advice, "decisions": tuple(map(_decision, advice["decisions"]))}),
        not_told=tuple(stored["not_told"]),
    )


def _around(stored: Mapping[str, Any]) -> Around:
    pairs = stored["pairs"]
    return Around(
        stored["base"],
        stored["metrics"],
        tuple(Change(**one) for one in stored["changes"]),
        tuple(stored["moves"]),
        None if pairs is None else {name: tuple(map(tuple, rows)) for name, rows in pairs.items()},
    )


def _baseline(stored: Mapping[str, Any]) -> Baseline:
    return Baseline(**{**stored, "candidate": tuple(stored["candidate"])})


def _mixing(stored: Mapping[str, Any]) -> Mixing:
    def against(one: Mapping[str, Any]) -> Against:
        return Against(**{**one, "meetings": tuple(Meeting(**each) for each in one["meetings"])})

    return Mixing(**{**stored, "against": tuple(map(against, stored["against"]))})


def _decision(stored: Mapping[str, Any]) -> DecisionAdvice:
    return DecisionAdvice(
        stored["name"], *(tuple(stored[name]) for name in ("choices", "used", "never", "missing"))
    )
