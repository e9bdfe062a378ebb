"""Networks by name, and the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.importing import call_object, load_object, meant_object
from widthwise.core.registry import Entry, Registry
from widthwise.network.checkpoints import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "MODELS",
    "load_checkpoint",
    "load_model",
    "model_source",
    "save_checkpoint",
]


def _own(name: str, made_by: str, summary: str, data: str) -> Entry[str]:
    return Entry(name, f"widthwise.network.built_in:{made_by}", summary, about=data)


MODELS: Registry[str] = Registry(
    "model",
    [
        _own("toy", "Toy", "4-16-16-2", "toy_tiny"),
        _own("jsc-toy", "JSC_Toy", "16-8-8-5, normalised", "jsc"),
        _own("jsc-tiny", "JSC_Tiny", "16-5, a single layer", "jsc"),
        _own("jsc-s", "JSC_S", "16-64-32-32-32-5, normalised (LogicNets)", "jsc"),
        _own("jsc-three-linear", "JSC_Three_Linear_Layers", "16-16-16-5", "jsc"),
        _own("jsc-mlp", "JSC_MLP", "16-64-32-32-5 (hls4ml)", "jsc"),
        _own("digits-cnn", "DigitsCNN", "two convolutions and a linear layer", "digits"),
        _own("digits-mlp", "DigitsMLP", "64-32-32-10", "digits"),
        _own("digits-masks-cnn", "DigitsMasks", "four convolutions, a class a pixel", "digits-masks"),
        _own("digits-traits-mlp", "DigitsTraits", "64-32-4, four labels", "digits-traits"),
        _own("diabetes-mlp", "Diabetes", "10-32-16-1, a number", "diabetes"),
        _own("breast-cancer-mlp", "BreastCancer", "30-16-8-1, one logit", "breast-cancer"),
        _own("poems-cnn", "Poems", "an embedding, two convolutions and a linear layer", "poems"),
        _own("vgg7", "VGG7", "six convolutions and two linear layers", "cifar10"),
        _own("resnet8", "ResNet8", "three residual blocks (MLPerf Tiny)", "cifar10"),
    ],
    group="widthwise.models",
)
"""The networks by name, each with the data set that it is made for."""


def model_source(name: str) -> str:
    """The canonical name of a built-in network, or the module:callable as given; nothing is imported yet.

    Raises UserError for anything else. Imports nothing heavy, so a config can be checked with it.
    """
    if ":" in name:
        return name
    found = MODELS.get(name)
    if found is None and (meant := meant_object(name)) is not None:
        raise UserError(f"no model named {name!r}; your own is named as module:callable: {meant}")
    return (found or MODELS.find(name, others=["module:callable"])).name


def load_model(name: str | nn.Module, *, checkpoint: str | Path | None = None, seed: int = 0) -> nn.Module:
    """A network with weights initialised from the seed, or from a checkpoint (see load_checkpoint).

    `name` is one of MODELS or "module:callable", a class or function that needs no arguments; a
    network is taken as it is. The global random state stays as it was. Raises UserError where there is no
    such network.
    """
    from torch import nn

    if not isinstance(name, nn.Module | str):
        raise UserError(f"network: is a {type(name).__name__}; give a torch.nn.Module or the name of one")
    model = name if isinstance(name, nn.Module) else _built(model_source(name), seed=seed)
    if checkpoint is not None:
        load_checkpoint(model, checkpoint)
    return model


def _built(source: str, *, seed: int) -> nn.Module:
    import torch

    entry = MODELS.get(source) if ":" not in source else None
    spec = source if entry is None else entry.target
    made: Any
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = load_object(spec, what="model") if entry is None else MODELS.loaded(entry)
        if not isinstance(made, torch.nn.Module):
            made = call_object(made, spec, what="model")
    if not isinstance(made, torch.nn.Module):
        raise UserError(f"model {spec}: returned a {type(made).__name__}; return a torch.nn.Module")
    return made
