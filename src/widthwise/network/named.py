"""Networks by name, the user's own, and whether a network and its data fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import call_object, canonical_name, describe_error, load_object
from widthwise.data.modules import Data, data_note
from widthwise.network.checkpoints import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "BUILT_IN_MODELS",
    "ModelSource",
    "check_data_fits_model",
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


def check_data_fits_model(model: nn.Module, data: Data) -> None:
    """Runs one validation batch; raises UserError where the network can't take it or has too few outputs."""
    x, y = _first_batch(data)
    scores = _scores(model, x, data)
    classes = getattr(data, "classes", int(y.max()) + 1)
    if scores.ndim != 2 or len(scores) != len(x):
        raise UserError(
            f"{data_note(data)}: the network gives {list(scores.shape)} for {len(x)} samples of shape "
            f"{list(x.shape[1:])}; it must give [{len(x)}, classes]"
        )
    if scores.shape[1] < classes:
        raise UserError(
            f"{data_note(data)}: has {classes} classes but the network only {scores.shape[1]} outputs; widen "
            "its last layer or take other data"
        )


def _first_batch(data: Data) -> tuple[Tensor, Tensor]:
    """The first validation batch, x [n, ...] and y [n]; UserError where there is none, or something else."""
    import torch

    note = data_note(data)
    try:
        batch = next(iter(data.val_dataloader()), None)
    except UserError:
        raise
    except Exception as error:  # a data module of the user's own may raise anything
        raise UserError(f"{note}: its val_dataloader raised {describe_error(error)}") from error
    if batch is None:
        raise UserError(
            f"{note}: its val_dataloader has no batches; networks are judged on them, so give some"
        )
    parts: list[object] = list(batch) if isinstance(batch, tuple | list) else [batch]
    if len(parts) != 2 or not all(isinstance(part, torch.Tensor) for part in parts):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise UserError(f"{note}: its batches are ({kinds}); give two tensors, x [n, ...] and y [n]")
    x, y = batch
    if y.ndim != 1 or len(y) != len(x) or not len(y) or y.is_floating_point() or y.is_complex():
        kind = str(y.dtype).removeprefix("torch.")
        raise UserError(
            f"{note}: its labels are {kind} of shape {list(y.shape)} for x of shape {list(x.shape)}; give "
            "whole numbers [n], the class of each sample"
        )
    return x, y


def _scores(model: nn.Module, x: Tensor, data: Data) -> Tensor:
    import torch

    device = next((tensor.device for tensor in model.state_dict().values()), x.device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            scores = model(x.to(device))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = _first_layer_misfit(model, x) or f"it raised {describe_error(error)}"
        raise UserError(
            f"{data_note(data)}: samples of shape {list(x.shape[1:])} don't fit the network: {reason}; take "
            "other data, or flatten images for an MLP"
        ) from error
    finally:
        model.train(was_training)
    if not isinstance(scores, torch.Tensor):
        raise UserError(
            f"the network returns a {type(scores).__name__}; it must return a tensor [samples, classes]"
        )
    return scores


def _first_layer_misfit(model: nn.Module, x: Tensor) -> str | None:
    """What the first layer with a known number of inputs takes, unless the samples may have that number."""
    for name, module in model.named_modules():
        for attribute in ("in_features", "num_features", "in_channels"):
            count = getattr(module, attribute, None)
            if isinstance(count, int):
                if count in x.shape[1:]:
                    return None
                unit = attribute.partition("_")[2]
                return f"its first layer ({name}, {type(module).__name__}) takes {count} {unit}"
    return None
