"""Optuna's samplers by name: how each is made."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.samplers import BaseSampler

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error
from widthwise.strategies.numbered import derived_seed
from widthwise.strategies.protocol import Setting
from widthwise.strategies.refusing import Abilities, refuse


@dataclass(frozen=True)
class SamplerSource:
    """One of Optuna's samplers: its class, our defaults where they differ, what it can handle."""

    class_name: str
    defaults: Mapping[str, Any]
    abilities: Abilities
    batch: int = 1  # 0: a generation


SAMPLERS: dict[str, SamplerSource] = {
    "tpe": SamplerSource("TPESampler", {"multivariate": True}, Abilities(choices=10_000)),
    "nsga2": SamplerSource("NSGAIISampler", {}, Abilities(), batch=0),
    "nsga3": SamplerSource("NSGAIIISampler", {}, Abilities(), batch=0),
    # Sobol numbers are tabulated up to this dimension
    "qmc": SamplerSource(
        "QMCSampler", {"warn_asynchronous_seeding": False}, Abilities(decisions=21_201), batch=64
    ),
    # the acquisition function is tried on every choice of an unordered decision, and on each decision in turn
    "gp": SamplerSource("GPSampler", {}, Abilities(decisions=500, choices=500)),
}


def sampler_maker(name: str, setting: Setting) -> Callable[[int], BaseSampler]:
    """From a proposal's number to Optuna's sampler of this name, with a generator for this proposal alone.

    Raises UserError, with what would work, where the sampler can't handle this setting.
    """
    source = SAMPLERS[name]
    refuse(name, source.abilities, setting.space, objectives=len(setting.objectives))
    sampler_class: Callable[..., BaseSampler] = getattr(optuna.samplers, source.class_name)
    options = {**source.defaults, **setting.options}
    build(sampler_class, name, seed=setting.seed, options=options)  # so that options are refused now

    def made(number: int) -> BaseSampler:
        seed = derived_seed(setting.seed, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if name == "qmc":  # one sequence, whose scrambling follows from the seed of the search
                first = optuna.samplers.RandomSampler(seed=seed)
                return sampler_class(**options, seed=setting.seed, independent_sampler=first)
            return sampler_class(**options, seed=seed)

    return made


def natural_batch(name: str, options: Mapping[str, Any]) -> int:
    """How many candidates to ask for at once: a generation where the sampler has generations."""
    source = SAMPLERS.get(name)
    if source is None or source.batch:
        return source.batch if source else 1
    return int(options.get("population_size", 50))


def build(sampler_class: Any, name: str, *, seed: int, options: Mapping[str, Any]) -> BaseSampler:
    """An instance of the class; options that its own signature lacks, or that it refuses, are UserErrors."""
    parameters = inspect.signature(sampler_class).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for option in options:
        if option not in parameters and not open_ended:
            raise unknown(
                f"option of {name}", option, [p for p in parameters if p != "seed"], where="strategy"
            )
    arguments = {**options, "seed": seed} if "seed" in parameters or open_ended else dict(options)
    try:
        with warnings.catch_warnings():  # what Optuna calls experimental is the user's informed choice
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = sampler_class(**arguments)
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"strategy {name}: its options were refused: {describe_error(error)}") from error
    if not isinstance(sampler, BaseSampler):
        raise UserError(f"strategy {name}: makes a {type(sampler).__name__}, which is no Optuna sampler")
    return sampler
