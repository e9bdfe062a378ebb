"""An Optuna sampler that never proposes the same candidate twice, whatever the sampler that it asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler

from widthwise.spaces.space import Space
from widthwise.strategies.seen import Seen

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState


class Unrepeated(BaseSampler):
    """Asks `sampler` for a whole candidate and puts the nearest unseen one in the place of a repeated one.

    The same where it is out of bounds. `candidate` is the last proposal, None where nothing unseen was found.

    The trial then is the one that is evaluated: the sampler learns from what its proposal became, and
    generations advance as usual. Parameters are choice indices; ordered decisions are given as integers.
    `sampler` and `rng`, which chooses among the nearest, may be others for each proposal. `keeping`: which
    decisions the sampler settles together stays the same once it settles any.
    """

    def __init__(
        self,
        sampler: BaseSampler,
        space: Space,
        seen: Seen,
        rng: np.random.Generator,
        *,
        keeping: bool = False,
    ) -> None:
        self.sampler, self.rng = sampler, rng
        self.distributions = distributions(space)
        self.candidate: list[int] | None = [0] * len(space.decisions)
        self.inferred: dict[str, BaseDistribution] = {}
        self._columns = {decision.name: column for column, decision in enumerate(space.decisions)}
        self._seen = seen
        self._keeping = keeping

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Everything: all decisions are settled together in `sample_relative`."""
        del study, trial
        return self.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The sampler's proposal, decision by decision where it has no joint one, or its neighbour."""
        if not (self._keeping and self.inferred):
            self.inferred = self.sampler.infer_relative_search_space(study, trial)
        proposed = self.sampler.sample_relative(study, trial, self.inferred)
        candidate = [0] * len(self._columns)
        for name, distribution in search_space.items():
            if name in proposed:
                index = proposed[name]
            else:
                index = self.sampler.sample_independent(study, trial, name, distribution)
            candidate[self._columns[name]] = int(index)
        self.candidate = self._seen.nearest_unseen(candidate, self.rng)
        settled = candidate if self.candidate is None else self.candidate
        return {name: settled[self._columns[name]] for name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Only for parameters that are no decision of the space."""
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Passed on."""
        self.sampler.before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Passed on."""
        self.sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Passed on."""
        self.sampler.reseed_rng()


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Names of the decisions with more than one choice to distributions over their choice indices."""
    found: dict[str, BaseDistribution] = {}
    for decision in space.decisions:
        count = len(decision.choices)
        if count > 1:
            ordered = decision.ordered
            found[decision.name] = (
                IntDistribution(0, count - 1) if ordered else CategoricalDistribution(tuple(range(count)))
            )
    return found
