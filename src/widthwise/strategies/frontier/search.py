"""The project's own strategy: exact costs, a model of quality, and what pushes the front outward most."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.counting import count_text
from widthwise.spaces.space import Key
from widthwise.spaces.within import Within
from widthwise.strategies.frontier.chooser import Chooser, Outlook
from widthwise.strategies.frontier.design import first_candidates
from widthwise.strategies.frontier.models import Models
from widthwise.strategies.frontier.pool import Pool
from widthwise.strategies.frontier.probing import planned, probed
from widthwise.strategies.protocol import FewMargins, Margins, Setting
from widthwise.strategies.registry import STRATEGIES

logger = logging.getLogger(__name__)

CLIMBS = 2  # times that the neighbours of the best candidates are judged too
CLIMBERS = 12
AUTO, SINGLES = "auto", "singles"  # in place of a number of trials
TRIED = 24  # that number in small spaces, and where nothing is told of samples
LARGE = 10**9  # candidates, from which on single changes are probed
PATIENCE = 2  # pools without expected gain, after which the search is over


class Frontier:
    """Proposes the candidates with the greatest expected gain in hypervolume.

    First what each decision does to a candidate of high quality. Then a Gaussian process for each objective
    that `costs` doesn't know, of which samples are answered rightly where `learn_margins` was called;
    children of the front, their neighbours and random candidates are judged by it, with exact costs. What is
    proposed follows from the seed and what was told, so a stored search is taken up by telling its trials.
    Source of expected hypervolume improvement: Emmerich et al. 2006.
    """

    learns = True

    def __init__(self, setting: Setting) -> None:
        chosen = STRATEGIES["frontier"].resolved(setting.options)
        space, objectives, costs = setting.space, len(setting.objectives), setting.costs
        self._objectives = tuple(setting.objectives)
        self.batch: int = chosen["batch"]
        self._tolerance: float = chosen["tolerance"]
        self._space, self._seed = space, setting.seed
        self._taken: set[Key] = set()
        self._pending: dict[Key, IntArray] = {}  # proposed and not told about: the candidates [D]
        self._expected: dict[Key, FloatArray] = {}  # of what was proposed last: values [objectives]
        self._pool = Pool(space, self._taken, chosen["pool"])
        self._models = Models(space, objectives)
        self._judge = Chooser(self._models, objectives, costs)
        self._costs, self._sensitivity = costs, chosen["sensitivity"]
        self._few: FewMargins | None = None
        self._design: IntArray | None = None  # of these, what is left; None before the first ask
        self._threads = ThreadpoolController()
        self._hopeless = False
        self._least = 0  # results before the model is trusted to say that nothing is left to gain

    def keep_within(self, within: Within) -> None:
        """Propose only candidates within these bounds of cost."""
        self._pool.within = within

    def learn_margins(self, margins: Margins) -> None:
        """Learn from each sample of what was evaluated, where an objective counts right answers."""
        self._models.learn_margins(margins)
        self._few = margins.few

    @property
    def finished(self) -> str | None:
        """Why nothing more will be proposed: all was, or no gain is expected."""
        if len(self._taken) >= self._space.size:
            return f"all {self._space.size:,} candidates proposed"
        if self._hopeless:
            size = count_text(self._space.size)
            return f"no gain expected after {len(self._taken):,} of {size} candidates"
        return None

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Results [k, M] of candidates [k, D], to be maximised; rows with NaN are failures."""
        self.replay([(candidates, values)])

    def ask(self, n: int) -> IntArray:
        """Up to n candidates [k, D] that were neither proposed nor told."""
        if self.finished is not None or n < 1:
            return self._space.at([])
        self._expected = {}
        rows = self._from_design(n)
        if not len(rows):
            with self._threads.limit(limits=1):  # small matrices: threads would only wait for one another
                rows = self._from_model(n)
        keys = self._space.keys(rows)
        self._taken.update(keys)
        self._pending.update(zip(keys, rows, strict=True))
        return rows

    def expected(self, candidates: IntArray) -> FloatArray:
        """Values [k, objectives] that the models gave candidates [k, D] of the last ask; NaN without one."""
        nothing = np.full(len(self._objectives), np.nan)
        found = [self._expected.get(key, nothing) for key in self._space.keys(candidates)]
        return np.array(found).reshape(len(candidates), len(self._objectives))

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Take up a search whose trials were stored: all that matters was told."""
        told = list(batches)
        for candidates, _ in told:
            keys = self._space.keys(candidates)
            self._taken.update(keys)
            for key in keys:
                self._pending.pop(key, None)
        self._models.learn(told)
        self._hopeless = False

    def _from_design(self, n: int) -> IntArray:
        if self._design is None:
            self._design = self._first()
            self._least = 0 if self._pool.within is None else len(self._design)
        left = self._pool.unseen(self._design)
        self._design = left[n:]
        return left[:n]

    def _first(self) -> IntArray:
        """The first candidates; where single changes are probed, these alone tell what each decision does."""
        most = TRIED if isinstance(self._sensitivity, str) else self._sensitivity
        if self._sensitivity == SINGLES or (self._sensitivity == AUTO and self._space.size > LARGE):
            most = 0 if self._have_probed() else TRIED
        rng = np.random.default_rng([self._seed, 0])
        return first_candidates(self._space, self._costs, rng, most=most)

    def _have_probed(self) -> bool:
        """Learn from single changes what can be known of them; False where nothing is told of samples."""
        if self._few is None or self._costs is None:
            return False
        logger.info("trying single changes on some of the samples")
        probes = probed(self._space, self._costs, self._few)
        if probes is None:
            return False
        self._models.learn_probes(probes)
        self._pool.planned = planned(self._space, self._costs, probes)
        return True

    def _from_model(self, n: int) -> IntArray:
        """Empty where no gain is expected of any candidate."""
        rng = np.random.default_rng([self._seed, 1, len(self._taken)])
        if not len(self._models.values) or len(self._taken) < self._least:
            rows = self._pool.start(self._models.front, rng)
            self._hopeless = not len(rows) and not self._pending
            return rows[rng.permutation(len(rows))[:n]]
        pending = np.array([self._pending[key] for key in sorted(self._pending)], dtype=np.int64)
        pending = pending.reshape(-1, len(self._space.decisions))
        pools = 1 if self._pool.is_whole_space else PATIENCE
        for doubt in np.repeat(self._models.doubts, pools):
            self._models.set_doubt(doubt)
            outlook, gains = self._judged(rng)
            if float(gains.max(initial=0.0)) >= self._tolerance:
                picked = outlook.only(
                    np.array(self._judge.pick(outlook, n, pending, least=self._tolerance), dtype=np.int64)
                )
                self._expect(picked)
                return picked.rows
        self._hopeless = not self._pending
        return outlook.rows[: 0 if self._hopeless else n]

    def _expect(self, outlook: Outlook) -> None:
        values = np.full((len(outlook.rows), len(self._objectives)), np.nan)
        for column, one in outlook.predictions.items():
            values[:, column] = one.mean
        self._expected = dict(zip(self._space.keys(outlook.rows), values, strict=True))

    def _judged(self, rng: np.random.Generator) -> tuple[Outlook, FloatArray]:
        """Candidates and their gains [P]: a pool, and neighbours of its best."""
        outlook = self._judge.outlook(self._pool.start(self._models.front, rng))
        gains = self._judge.gains(outlook)
        for _ in range(0 if self._pool.is_whole_space else CLIMBS):
            rows = outlook.rows
            best = rows[np.argsort(-gains, kind="stable")[:CLIMBERS]]
            both = np.concatenate([rows, self._pool.neighbours(best, rng, self._pool.size // 2)])
            near = self._pool.unseen(both)[len(rows) :]
            if len(near):
                added = self._judge.outlook(near)
                outlook, gains = outlook.and_those(added), np.concatenate([gains, self._judge.gains(added)])
        return outlook, gains
