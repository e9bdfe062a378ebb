"""Networks by name, and the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import call_object, canonical_name, load_object
from widthwise.network.checkpoints import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "BUILT_IN_MODELS",
    "ModelSource",
    "load_checkpoint",
    "load_model",
    "model_source",
    "save_checkpoint",
]


@dataclass(frozen=True)
class ModelSource:
    """A built-in network: where its class is, what it is, and the data set that it is made for."""

    target: str
    description: str
    data: str


BUILT_IN_MODELS = {
    "toy": ModelSource("widthwise.network.built_in:Toy", "4-16-16-2", "toy_tiny"),
    "jsc-toy": ModelSource("widthwise.network.built_in:JSC_Toy", "16-8-8-5, normalised", "jsc"),
    "jsc-tiny": ModelSource("widthwise.network.built_in:JSC_Tiny", "16-5, a single layer", "jsc"),
    "jsc-s": ModelSource(
        "widthwise.network.built_in:JSC_S", "16-64-32-32-32-5, normalised (LogicNets)", "jsc"
    ),
    "jsc-three-linear": ModelSource(
        "widthwise.network.built_in:JSC_Three_Linear_Layers", "16-16-16-5", "jsc"
    ),
    "jsc-mlp": ModelSource("widthwise.network.built_in:JSC_MLP", "16-64-32-32-5 (hls4ml)", "jsc"),
    "digits-cnn": ModelSource(
        "widthwise.network.built_in:DigitsCNN", "two convolutions and a linear layer", "digits"
    ),
    "digits-mlp": ModelSource("widthwise.network.built_in:DigitsMLP", "64-32-32-10", "digits"),
    "vgg7": ModelSource(
        "widthwise.network.built_in:VGG7", "six convolutions and two linear layers", "cifar10"
    ),
    "resnet8": ModelSource(
        "widthwise.network.built_in:ResNet8", "three residual blocks (MLPerf Tiny)", "cifar10"
    ),
}


def model_source(name: str) -> str:
    """The canonical name of a built-in network, or the module:callable as given; nothing is imported yet.

    Raises UserError for anything else. Imports nothing heavy, so a config can be checked with it.
    """
    if (known := canonical_name(name, BUILT_IN_MODELS)) is not None:
        return known
    if ":" in name:
        return name
    raise unknown("model", name, [*BUILT_IN_MODELS, "module:callable"])


def load_model(name: str | nn.Module, *, checkpoint: str | Path | None = None, seed: int = 0) -> nn.Module:
    """A network with weights initialised from the seed, or from a checkpoint (see load_checkpoint).

    `name` is one of BUILT_IN_MODELS or "module:callable", a class or function that needs no arguments; a
    network is taken as it is. The global random state stays as it was. Raises UserError where there is no
    such network.
    """
    from torch import nn

    model = name if isinstance(name, nn.Module) else _built(model_source(name), seed=seed)
    if checkpoint is not None:
        load_checkpoint(model, checkpoint)
    return model


def _built(source: str, *, seed: int) -> nn.Module:
    import torch

    spec = BUILT_IN_MODELS[source].target if source in BUILT_IN_MODELS else source
    made: Any
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = load_object(spec, what="model")
        if not isinstance(made, torch.nn.Module):
            made = call_object(made, spec, what="model")
    if not isinstance(made, torch.nn.Module):
        raise UserError(f"model {spec}: returned a {type(made).__name__}; return a torch.nn.Module")
    return made
