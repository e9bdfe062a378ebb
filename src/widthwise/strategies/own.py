"""Strategies that users write: any class with ask and tell, named as module:Class."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.counting import count_text
from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error
from widthwise.spaces.space import Key, Space
from widthwise.strategies.protocol import Setting, Strategy, ask_and_tell
from widthwise.strategies.seen import Seen

if TYPE_CHECKING:
    from widthwise.spaces.within import Within

ROUNDS = 100  # calls in a row that bring nothing new before the strategy is taken to have ended


def own_strategy(made_by: Any, target: str, setting: Setting) -> Strategy:
    """The user's class, made with the space and with those of objectives, seed, options, costs that it takes.

    target: how errors name it. A class without a parameter `options` gets each option as a keyword. Raises
    UserError where the class can't be made, lacks ask or tell, or takes no such option.
    """
    if not callable(made_by):
        raise UserError(f"strategy {target}: is a {type(made_by).__name__}; name a class with ask and tell")
    offered = {"objectives": setting.objectives, "seed": setting.seed, "costs": setting.costs}
    arguments = _arguments(made_by, target, offered, setting.options)
    try:
        made = made_by(setting.space, **arguments)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"strategy {target}: making it raised {describe_error(error)}") from error
    missing = [name for name in ("ask", "tell") if not callable(getattr(made, name, None))]
    if missing:
        raise UserError(
            f"strategy {target}: has no method {' and no '.join(missing)}; "
            "it needs ask(n) -> candidates [k, D] and tell(candidates, values)"
        )
    with _blamed(target, "batch"):
        batch = getattr(made, "batch", 1)
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise UserError(f"strategy {target}: its batch is {batch!r}; give a whole number from 1, or none")
    return OwnStrategy(made, target, setting.space)


def _arguments(
    made_by: Any, target: str, offered: dict[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        parameters = inspect.signature(made_by).parameters
    except (TypeError, ValueError):  # classes in C tell nothing of their parameters
        return {**offered, "options": dict(options)}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return {**offered, "options": dict(options)}
    arguments = {name: value for name, value in offered.items() if name in parameters}
    if "options" in parameters:
        return {**arguments, "options": dict(options)}
    taken = [name for name in list(parameters)[1:] if name not in offered]
    for name in options:
        if name not in taken:
            raise unknown("option", name, taken, where=f"strategy {target}")
    return {**arguments, **options}


@contextmanager
def _blamed(name: str, part: str) -> Iterator[None]:
    """What the strategy raises in one of its parts, as one line that says where."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        last = extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        raise UserError(f"strategy {name}: {part} raised {describe_error(error)} ({where})") from error


class OwnStrategy:
    """The user's strategy, held to the protocol: what it proposes is checked, and nothing is evaluated twice.

    A candidate that it proposes again is not passed on; it is told at once what is known of it. `learns` and
    `replay` are the user's where the class has them.
    """

    def __init__(self, inner: Any, name: str, space: Space) -> None:
        self.batch = int(getattr(inner, "batch", 1))
        self.learns = getattr(inner, "learns", True) is not False
        self._inner = inner
        self._name = name
        self._space = space
        self._seen = Seen(space)
        self._known: dict[Key, list[float]] = {}
        self._ended: str | None = None

    @property
    def finished(self) -> str | None:
        """What the strategy says itself, that everything was proposed, or that it has nothing new."""
        if self._seen.left == 0:
            return f"all {count_text(self._space.size)} candidates proposed"
        with _blamed(self._name, "finished"):
            said = getattr(self._inner, "finished", None)
        return str(said) if said else self._ended

    def keep_within(self, within: Within, /) -> None:
        """Tells the strategy which candidates are within bounds, where it has a method for it."""
        if callable(told := getattr(self._inner, "keep_within", None)):
            with _blamed(self._name, "keep_within"):
                told(within)

    def ask(self, n: int) -> IntArray:
        """Up to n new candidates [k, D]; asks again where all that came were known, until it has ended.

        Asked for none it gives none, which is no end.
        """
        none = np.empty((0, len(self._space.decisions)), dtype=np.int64)
        if n < 1 or self._ended is not None:
            return none
        for _ in range(ROUNDS):
            if self._seen.left == 0:
                break
            with _blamed(self._name, "ask"):
                given = self._inner.ask(n)
            proposed = self._checked(given, n)
            if not len(proposed):
                if not len(self._seen) - len(self._known):  # nothing is being evaluated
                    self._ended = self._ended or f"{self._name} proposes nothing more"
                break
            fresh, repeated = self._split(proposed)
            if repeated:
                again = proposed[repeated]
                self._tell(again, np.array([self._known[p] for p in self._space.keys(again)]))
            if fresh:
                return proposed[fresh]
        else:
            self._ended = f"{self._name} proposed nothing new in {ROUNDS} calls"
        return none

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Results [k, objectives] of candidates [k, D], passed on."""
        self._note(candidates, values)
        self._tell(candidates, values)

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Goes to where the one told these stood: in the class's own way, else asked and told again."""
        own = getattr(self._inner, "replay", None)
        if not callable(own):
            ask_and_tell(self, batches)
            return
        noted = self._noted(batches)
        with _blamed(self._name, "replay"):
            own(noted)
        for _ in noted:  # it need not read to the end
            pass

    def _noted(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> Iterator[tuple[IntArray, FloatArray]]:
        for candidates, values in batches:
            self._note(candidates, values)
            yield candidates, values

    def _note(self, candidates: IntArray, values: FloatArray) -> None:
        """What is known of candidates from now on."""
        for key, row in zip(self._space.keys(candidates), values.tolist(), strict=True):
            self._seen.take(key)
            self._known[key] = row

    def _tell(self, candidates: IntArray, values: FloatArray) -> None:
        with _blamed(self._name, "tell"):
            self._inner.tell(candidates, values)

    def _split(self, proposed: IntArray) -> tuple[list[int], list[int]]:
        """The rows that are new, and those whose results are known; what is being evaluated is in neither."""
        fresh, repeated = [], []
        for row, key in enumerate(self._space.keys(proposed)):
            if self._seen.take(key):
                fresh.append(row)
            elif key in self._known:
                repeated.append(row)
        return fresh, repeated

    def _checked(self, proposed: Any, n: int) -> IntArray:
        """The proposal as [k, D] choice indices; UserError where it is none."""
        decisions = len(self._space.decisions)
        try:
            table = np.asarray(proposed)
        except ValueError:  # rows of different lengths
            raise UserError(
                f"strategy {self._name}: ask({n}) gave rows of different lengths; "
                f"give up to {n} rows of {decisions} choice indices"
            ) from None
        if table.size == 0:  # a candidate of a space without decisions has no choices
            count = len(table) if table.shape[1:] == (decisions,) else 0
            return np.empty((count, decisions), dtype=np.int64)
        if table.ndim != 2 or table.shape[1] != decisions or len(table) > n:
            raise UserError(
                f"strategy {self._name}: ask({n}) gave shape {table.shape}; "
                f"give up to {n} rows of {decisions} choice indices"
            )
        if not np.issubdtype(table.dtype, np.integer):
            raise UserError(f"strategy {self._name}: ask gave {table.dtype}; give whole choice indices")
        outside = (table < 0) | (table >= self._space.cardinalities)
        if outside.any():
            row, column = (int(index) for index in np.argwhere(outside)[0])
            decision = self._space.decisions[column]
            raise UserError(
                f"strategy {self._name}: ask gave choice {table[row, column]} for {decision.name}; "
                f"allowed: 0 to {len(decision.choices) - 1}"
            )
        return table.astype(np.int64)
