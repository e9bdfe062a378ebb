"""The strategies by name, with the options each takes: enough to check a config without importing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from widthwise.core.errors import UserError, unknown
from widthwise.core.registry import Entry, Registry

HUB_PREFIX = "optunahub/"
COMPARED = "brute-force,random,tpe,nsga2,frontier"  # by a comparison that names none


@dataclass(frozen=True)
class Option:
    """One option of a strategy: what it means, its default and which values it may have."""

    meaning: str
    default: Any
    kinds: tuple[type, ...]
    least: float | None = None
    most: float | None = None
    choices: tuple[Any, ...] = ()
    words: tuple[str, ...] = ()  # that may stand in place of a value

    def check(self, value: Any, *, where: str) -> Any:
        """The value, where it is one that this option may have; UserError otherwise."""
        if self.choices:
            if value not in self.choices:
                raise UserError(f"{where}: is {value!r}; allowed: {', '.join(map(repr, self.choices))}")
            return value
        if value in self.words:
            return value
        if not self._is_of_kind(value):
            kinds = [_KIND_NAMES.get(kind, kind.__name__) for kind in self.kinds]
            wanted = " or ".join([*kinds, *map(repr, self.words)])
            raise UserError(f"{where}: is {value!r}; give {wanted} ({self.meaning})")
        if isinstance(value, int | float) and not self._is_in_range(value):
            raise UserError(f"{where}: is {value!r}; give {self._range} ({self.meaning})")
        return value

    def _is_of_kind(self, value: Any) -> bool:
        if isinstance(value, bool):  # a bool is an int to Python, not to the user
            return bool in self.kinds
        if isinstance(value, int) and float in self.kinds:
            return True
        return isinstance(value, self.kinds) or (value is None and self.default is None)

    def _is_in_range(self, value: float) -> bool:
        above = self.least is None or value >= self.least
        return above and (self.most is None or value <= self.most)

    @property
    def _range(self) -> str:
        if self.most is None:
            return f"at least {self.least:g}"
        return f"at most {self.most:g}" if self.least is None else f"{self.least:g} to {self.most:g}"


_KIND_NAMES: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    dict: "a table",
}


@dataclass(frozen=True)
class StrategySource:
    """Where a strategy comes from: `target` names its class as module:Class."""

    name: str
    summary: str
    target: str
    aliases: tuple[str, ...] = ()
    options: Mapping[str, Option] | None = field(default_factory=dict)
    """None: the class itself says which options it takes."""
    numbered: bool = False
    """Whether each proposal is drawn by generators of its own, and not by those of the whole search."""
    learns: bool = True
    """Whether it learns, as far as that is known without making it (see `Strategy.learns`)."""

    def checked(self, options: Mapping[str, Any], *, where: str = "") -> dict[str, Any]:
        """The options, where this strategy takes them all; UserError with what it takes otherwise."""
        if self.options is None:
            return dict(options)
        place = where or f"strategy {self.name}"
        for name in options:
            if name not in self.options:
                if not self.options:
                    raise UserError(f"{place}: {self.name} takes no options; remove {name}")
                raise unknown(f"option of {self.name}", name, self.options, where=place)
        return {
            name: self.options[name].check(value, where=f"{place}: {name}") for name, value in options.items()
        }

    def resolved(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options of this strategy, checked: those that are given, the others by default."""
        given = self.checked(options)
        return {name: given.get(name, option.default) for name, option in (self.options or {}).items()}


def _whole(meaning: str, default: int | None, least: float = 1) -> Option:
    return Option(meaning, default, (int,), least=least)


def _switch(meaning: str, default: bool) -> Option:
    return Option(meaning, default, (bool,))


def _share(meaning: str, default: float | None) -> Option:
    return Option(meaning, default, (float,), least=0, most=1)


_TPE = {
    "multivariate": _switch("model the decisions together", True),
    "group": _switch("model decisions together that occurred together", False),
    "n_startup_trials": _whole("random trials before the model is used", 10, least=0),
    "n_ei_candidates": _whole("proposals drawn and judged by the model for each trial", 24),
    "constant_liar": _switch("keep away from trials that are still being evaluated", True),
}
_NSGA2 = {
    "population_size": _whole("trials of a generation", 50, least=2),
    "mutation_prob": _share("chance that a decision is drawn anew; none: 1 / decisions", None),
    "crossover_prob": _share("chance that a child has two parents", 0.9),
    "swapping_prob": _share("chance that a decision is taken from the other parent", 0.5),
}
_NSGA3 = {**_NSGA2, "dividing_parameter": _whole("density of the reference points", 3)}
_QMC = {
    "qmc_type": Option("the sequence", "sobol", (str,), choices=("sobol", "halton")),
    "scramble": _switch("shuffle the sequence by the seed", False),
}
_GP = {
    "n_startup_trials": _whole("random trials before the model is used", 10, least=0),
    "deterministic_objective": _switch("the same candidate always gets the same result", False),
}
_CMAES = {
    "n_startup_trials": _whole("random trials before the model is used", 1, least=0),
    "popsize": _whole("trials of a generation; none: 4 + floor(3 log D)", None, least=2),
    "use_separable_cma": _switch("model the decisions apart: for many decisions", False),
    "with_margin": _switch("keep the chance of every choice above zero", False),
    "lr_adapt": _switch("adapt the learning rate: for noise and many optima", False),
}

_POINTS = Option(
    "choices to take of each decision, evenly spread with both ends: one number, or a table by decision",
    None,
    (int, dict),
    least=1,
)
_STARTS = _whole("candidates to start from: the extremes, then random ones", 16)
_FRONTIER = {
    "batch": _whole("candidates proposed at once where the caller is free to choose", 4),
    "sensitivity": Option(
        'most trials to spend on what each decision does; "singles": none, single changes are tried on some '
        'of the samples; "auto": that in spaces of over 10^9 candidates, else 24',
        "auto",
        (int,),
        least=0,
        words=("auto", "singles"),
    ),
    "pool": _whole("candidates judged for each proposal", 2000, least=16),
    "tolerance": Option(
        "expected gain, as share of the hypervolume, below which to finish", 1e-7, (float,), least=0
    ),
    "certify": _switch("before it finishes, try every single change of each candidate of the front", False),
}


def _optuna(
    name: str, summary: str, aliases: tuple[str, ...], options: Mapping[str, Option]
) -> StrategySource:
    return StrategySource(
        name, summary, "widthwise.strategies.optuna:OptunaStrategy", aliases, options, numbered=True
    )


STRATEGIES: dict[str, StrategySource] = {
    source.name: source
    for source in (
        StrategySource(
            "brute-force",
            "every candidate, in the order of the space",
            "widthwise.strategies.enumerate:BruteForce",
            ("exhaustive", "enumerate"),
            learns=False,
        ),
        StrategySource(
            "grid",
            "every candidate of a grid: some choices of each decision",
            "widthwise.strategies.enumerate:Grid",
            ("grid-search",),
            {"points": _POINTS},
            learns=False,
        ),
        StrategySource(
            "random",
            "uniform candidates without repeats",
            "widthwise.strategies.random:Random",
            ("random-search",),
            numbered=True,
        ),
        StrategySource(
            "local",
            "single-decision moves from the front until none improves it",
            "widthwise.strategies.local:Local",
            ("local-search",),
            {"starts": _STARTS},
            numbered=True,
        ),
        StrategySource(
            "frontier",
            "a model of quality and exact costs: what is expected to push the front outward most",
            "widthwise.strategies.frontier:Frontier",
            options=_FRONTIER,
        ),
        StrategySource(
            "gradient",
            "trains widths with the weights: the checkpoints of one training, in which bits become dearer",
            "widthwise.strategies.gradient:Gradient",
            learns=False,
        ),
        _optuna("tpe", "tree-structured Parzen estimator (Optuna)", (), _TPE),
        _optuna("nsga2", "genetic search, crowding distance (Optuna)", ("nsgaii",), _NSGA2),
        _optuna("nsga3", "genetic search, reference points (Optuna)", ("nsgaiii",), _NSGA3),
        _optuna("qmc", "an evenly spread sequence (Optuna)", ("sobol", "quasi-monte-carlo"), _QMC),
        _optuna("gp", "Gaussian process (Optuna)", ("bayesian", "gaussian-process"), _GP),
        StrategySource(
            "cmaes",
            "covariance matrix adaptation, one objective (the package cmaes)",
            "widthwise.strategies.cmaes:CmaEs",
            ("cma",),
            _CMAES,
            numbered=True,
        ),
    )
}


def strategy_source(name: str, *, where: str = "") -> StrategySource:
    """The strategy of this name in any spelling (`brute_force`, `BruteForceSampler`), or UserError.

    `module:Class` names one's own, `optunahub/package` a sampler of OptunaHub; neither is imported here.
    """
    if name.lower().startswith(HUB_PREFIX):
        return StrategySource(
            name, "a sampler of OptunaHub", "widthwise.strategies.optuna:OptunaStrategy", options=None
        )
    if ":" in name:
        return StrategySource(name, "one's own", name, options=None)
    entry = REGISTRY.find(name, where=where, others=("module:Class", f"{HUB_PREFIX}package"))
    return entry.about or StrategySource(entry.name, entry.summary, entry.target, options=None)


def _plain(name: str) -> str:
    """A name without case, separators and the word sampler, in which the spellings of one strategy agree."""
    letters = "".join(letter for letter in name.lower() if letter.isalnum())
    return letters.removesuffix("sampler") or letters


# a plug-in's entry point names a class, which says itself which options it takes
REGISTRY: Registry[StrategySource] = Registry(
    "strategy",
    [
        Entry(source.name, source.target, source.summary, source.aliases, about=source)
        for source in STRATEGIES.values()
    ],
    group="widthwise.strategies",
    spelling=_plain,
)
