"""Optuna's samplers by name: how each is made, and which spaces it refuses."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import optuna
from optuna.samplers import BaseSampler

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error
from widthwise.spaces.space import Decision, Space
from widthwise.strategies.protocol import Setting


@dataclass(frozen=True)
class Abilities:
    """What a sampler can handle; None: no limit."""

    objectives: int | None = None
    decisions: int | None = None
    fewest_decisions: int = 1
    choices: int | None = None  # of one decision that is not ordered
    ordered_only: bool = False
    instead: str = "tpe, nsga2, frontier or random"


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
    "cmaes": SamplerSource(
        "CmaEsSampler",
        {"warn_independent_sampling": False},
        Abilities(objectives=1, decisions=500, fewest_decisions=2, ordered_only=True),
        batch=0,
    ),
}


def make_sampler(name: str, setting: Setting) -> BaseSampler:
    """Optuna's sampler of this name for this setting, or UserError with what would work."""
    source = SAMPLERS[name]
    refuse(name, source.abilities, setting.space, objectives=len(setting.objectives))
    if name == "cmaes" and find_spec("cmaes") is None:
        raise UserError("strategy cmaes: needs the package cmaes; install it: pip install cmaes")
    sampler_class = getattr(optuna.samplers, source.class_name)
    return build(sampler_class, name, seed=setting.seed, options={**source.defaults, **setting.options})


def natural_batch(name: str, space: Space, options: Mapping[str, Any]) -> int:
    """How many candidates to ask for at once: a generation where the sampler has generations."""
    source = SAMPLERS.get(name)
    if source is None or source.batch:
        return source.batch if source else 1
    if name == "cmaes":
        return int(options.get("popsize") or 4 + math.floor(3 * math.log(max(len(space.decisions), 1))))
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


def refuse(name: str, abilities: Abilities, space: Space, *, objectives: int) -> None:
    """Raise UserError where the sampler can't handle this space, with what would work instead."""
    if abilities.objectives is not None and objectives > abilities.objectives:
        raise UserError(
            f"strategy {name}: takes one objective, found {objectives}; combine them "
            f"(sum_scaled_metrics = true) or use {abilities.instead}"
        )
    searched = [decision for decision in space.decisions if len(decision.choices) > 1]
    if space.size == 1:
        return
    if len(searched) < abilities.fewest_decisions:
        raise UserError(
            f"strategy {name}: needs {abilities.fewest_decisions} decisions with more than one choice, found "
            f"{len(searched)}; use brute-force"
        )
    if abilities.decisions is not None and len(searched) > abilities.decisions:
        raise UserError(
            f"strategy {name}: takes up to {abilities.decisions:,} decisions, found {len(searched):,}; "
            f"use {abilities.instead}"
        )
    _refuse_choices(name, abilities, [decision for decision in searched if not decision.ordered])


def _refuse_choices(name: str, abilities: Abilities, unordered: list[Decision]) -> None:
    if abilities.ordered_only and unordered:
        raise UserError(
            f"strategy {name}: needs numbers in ascending order in every decision; {_listed(unordered)} "
            f"have others; use {abilities.instead}"
        )
    most = abilities.choices
    large = [decision for decision in unordered if most is not None and len(decision.choices) > most]
    if large:
        raise UserError(
            f"strategy {name}: takes up to {most:,} choices without an order in a decision; {_listed(large)} "
            f"has {len(large[0].choices):,}; give numbers in ascending order or use {abilities.instead}"
        )


def _listed(decisions: list[Decision]) -> str:
    names = ", ".join(decision.name for decision in decisions[:3])
    return names if len(decisions) <= 3 else f"{names} and {len(decisions) - 3} more"
