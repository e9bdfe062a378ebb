"""Stored trials given to a study of Optuna at once, with what its samplers note beside them.

Evolutionary samplers note of each trial its generation, and of a generation who its parents are; sequences
how far they are. All of that follows from the trials, so it is written as they would have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from math import isnan
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, QMCSampler
from optuna.samplers._ga import BaseGASampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.spaces.space import Space
from widthwise.strategies.protocol import together
from widthwise.strategies.seen import Seen

Maker = Callable[[int], BaseSampler]


class _Told(FrozenTrial):
    """A trial that nobody changes, so that a study keeps it as it is: a copy takes most of the time."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Told:
        return self


class TrialList:
    """The trials of a study in memory, of one space."""

    def __init__(self, study: Study, space: Space, distributions: dict[str, BaseDistribution]) -> None:
        self.study, self.distributions = study, distributions
        self._names = [(decision.name, decision.name in distributions) for decision in space.decisions]
        self._began = datetime.now()
        self.complete = 0

    def add(
        self, candidate: list[int], values: list[float] | None, notes: Mapping[str, Any] | None = None
    ) -> FrozenTrial:
        """One with its results; None: it failed."""
        named = zip(self._names, candidate, strict=True)
        trial = _Told(
            number=0,  # the storage counts
            state=TrialState.FAIL if values is None else TrialState.COMPLETE,
            value=None,
            values=values,
            datetime_start=self._began,
            datetime_complete=self._began,
            params={name: index for (name, searched), index in named if searched},
            distributions=self.distributions,
            user_attrs={},
            system_attrs=dict(notes or {}),
            intermediate_values={},
            trial_id=0,
        )
        self.complete += values is not None
        self.study._storage.create_new_trial(self.study._study_id, template_trial=trial)
        return trial


def take_up(
    trials: TrialList, seen: Seen, made: Maker, batches: Iterable[tuple[IntArray, FloatArray]]
) -> int:
    """Give a study the stored batches, as if its samplers had proposed them; how many trials.

    It may have been told of others before, which nobody proposed.
    """
    random = int(trials.complete == 0)  # of a sequence the first is random, where nothing is known before
    generations = _Generations(trials.study, made)
    count = 0
    for candidates, values in batches if generations.evolves else together(batches):
        seen.take_all(candidates)
        notes = generations.begin(count)
        rows = zip(candidates.tolist(), values.tolist(), strict=True)
        added = [trials.add(row, None if any(map(isnan, told)) else told, notes) for row, told in rows]
        generations.end([trial for trial in added if trial.state == TrialState.COMPLETE])
        count += len(candidates)
    generations.note()
    sampler = made(count)
    if isinstance(sampler, QMCSampler) and count > random:
        _note_sequence(trials, sampler, count - random)
    return count


class _Generations:
    """Which generation each trial of an evolutionary sampler is of, and the parents of the last one.

    A generation begins with the first trial that is asked for once its predecessor has enough results; then
    its parents are chosen, by that trial's generator. Other samplers have none.
    """

    def __init__(self, study: Study, made: Maker) -> None:
        self._study, self._made = study, made
        sampler = made(0)
        self.evolves = isinstance(sampler, BaseGASampler)
        self._size = sampler.population_size or 0 if isinstance(sampler, BaseGASampler) else 0
        self._key = sampler._get_generation_key() if isinstance(sampler, BaseGASampler) else ""
        self._asked = self._done = 0  # the last generation of which a trial was asked for, and was told
        self._population: list[FrozenTrial] = []  # those told of the last
        self._parents: list[FrozenTrial] = []  # of the last asked for

    def begin(self, number: int) -> Mapping[str, Any]:
        """What is noted of a batch of which this is the first number."""
        if not self.evolves:
            return {}
        generation = self._done + (len(self._population) >= self._size)
        if generation > self._asked:
            sampler = self._made(number)
            chosen = sampler._elite_population_selection_strategy(  # type: ignore[attr-defined]
                self._study, self._population + self._parents
            )
            self._parents = sorted(chosen, key=lambda trial: trial.number)
            self._asked = generation
        return {self._key: generation}

    def end(self, told: list[FrozenTrial]) -> None:
        """Take in the complete trials of a batch."""
        if self.evolves and told:
            if self._asked > self._done:
                self._done, self._population = self._asked, []
            self._population += told

    def note(self) -> None:
        """Note the parents of the last generation in the study."""
        if self._asked:
            sampler = self._made(0)
            assert isinstance(sampler, BaseGASampler)
            key = f"{sampler._get_parent_cache_key_prefix()}{self._asked}"
            found = [trial._trial_id for trial in self._parents]
            self._study._storage.set_study_system_attr(self._study._study_id, key, found)


def _note_sequence(trials: TrialList, sampler: QMCSampler, drawn: int) -> None:
    """Note that so many points of a sequence were drawn."""
    study = trials.study
    sampler._find_sample_id(study, trials.distributions)  # notes the first, under a name of its own
    noted = study._storage.get_study_system_attrs(study._study_id)
    (key,) = (key for key in noted if key.startswith("qmc:"))
    study._storage.set_study_system_attr(study._study_id, key, drawn - 1)
