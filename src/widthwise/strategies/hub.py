"""Samplers of OptunaHub by name, where the package optunahub is installed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from optuna.samplers import BaseSampler

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error
from widthwise.strategies.registry import HUB_PREFIX
from widthwise.strategies.samplers import build

PACKAGE = re.compile(
    r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*"
)  # nothing that could climb out of the registry's folder

LIBRARIES = ("optuna", "optunahub")  # whose classes a package only builds upon


def hub_sampler(name: str, *, seed: int, options: Mapping[str, Any]) -> BaseSampler:
    """The sampler that `optunahub/package` or `optunahub/package:Class` names.

    A package without a folder is looked for under samplers/. OptunaHub downloads the package on first use
    and runs its code. Raises UserError where optunahub is missing, nothing can be loaded, or the class isn't
    clear.
    """
    package, _, class_name = name[len(HUB_PREFIX) :].partition(":")
    if not PACKAGE.fullmatch(package):
        raise UserError(
            f"strategy {name}: give a package of OptunaHub, as in {HUB_PREFIX}samplers/auto_sampler"
        )
    if find_spec("optunahub") is None:
        raise UserError(f"strategy {name}: needs the package optunahub; install it: pip install optunahub")
    import optunahub

    try:
        module = optunahub.load_module(package if "/" in package else f"samplers/{package}")
    except Exception as error:  # network, git, the package's own imports
        raise UserError(f"strategy {name}: OptunaHub could not load it: {describe_error(error)}") from error
    return build(_sampler_class(module, name, class_name), name, seed=seed, options=options)


def _sampler_class(module: Any, name: str, class_name: str) -> Any:
    found = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, BaseSampler) and not key.startswith("_")
    }
    own = {key: value for key, value in found.items() if value.__module__.partition(".")[0] not in LIBRARIES}
    if class_name:
        if class_name not in found:
            raise unknown("sampler", class_name, found, where=f"strategy {name}")
        return found[class_name]
    if len(own) != 1:
        raise UserError(f"strategy {name}: holds {', '.join(own) or 'no samplers'}; name one as {name}:Class")
    return next(iter(own.values()))
