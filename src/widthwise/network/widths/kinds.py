"""The layers that can be resized: their sizes, and along which axes of their tensors the channels lie."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils.parametrize import is_parametrized

RECURRENT = (nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell)


@dataclass(frozen=True)
class Axes:
    """Along which axis of a tensor the outputs lie, and along which the inputs (None: not in this tensor)."""

    out: int | None
    inputs: int | None = None


def axes(module: nn.Module) -> dict[str, Axes]:  # noqa: PLR0911 (a table by type)
    """The tensors of a layer that its channels go through, by name; empty for a kind that can't be resized.

    Attention is not among them: its projections need more than axes (see `slicing`).
    """
    if isinstance(module, nn.Linear):
        return {"weight": Axes(0, 1), "bias": Axes(0)}
    if isinstance(module, _ConvNd):
        weight = Axes(1, 0) if module.transposed else Axes(0, 1)
        return {"weight": Axes(0) if is_depthwise(module) else weight, "bias": Axes(0)}
    if isinstance(module, _BatchNorm | _InstanceNorm):
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), Axes(0))
    if isinstance(module, nn.LayerNorm | nn.RMSNorm | nn.GroupNorm):
        return dict.fromkeys(("weight", "bias"), Axes(-1))
    if is_transposed_linear(module):
        return {"weight": Axes(1, 0), "bias": Axes(0)}
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return {"weight": Axes(1)}
    if isinstance(module, nn.PReLU) and module.num_parameters > 1:
        return {"weight": Axes(0)}
    return {}


def is_depthwise(module: nn.Module) -> bool:
    """Whether the outputs of a convolution each belong to one input channel and change with it."""
    return isinstance(module, _ConvNd) and 1 < module.groups == module.in_channels


def is_transposed_linear(module: nn.Module) -> bool:
    """Whether this is transformers' Conv1D: a linear layer whose weight is [inputs, outputs]."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nx") and hasattr(module, "nf")


def reset_transposed_linear(module: nn.Module) -> None:
    """Initial values as transformers gives them."""
    nn.init.normal_(module.weight, std=0.02)  # type: ignore[arg-type]
    nn.init.zeros_(module.bias)  # type: ignore[arg-type]


def is_recurrent(module: nn.Module) -> bool:
    """Whether this is one of torch's recurrent layers, or a step of one."""
    return type(module) in RECURRENT


def is_known(module: nn.Module) -> bool:
    """Whether it is known where this layer's channels lie; not where its weight is computed from others."""
    if is_parametrized(module):
        return False
    return type(module) is nn.MultiheadAttention or is_recurrent(module) or bool(axes(module))


def makes_channels(module: nn.Module) -> bool:
    """Whether the layer's outputs are new channels, and not those that it is given."""
    kept = _BatchNorm | _InstanceNorm | nn.LayerNorm | nn.RMSNorm | nn.GroupNorm | nn.PReLU
    return is_known(module) and not isinstance(module, kept)


def can_resize(module: nn.Module) -> bool:
    """Whether this kind of layer can be resized."""
    if isinstance(module, nn.MultiheadAttention):
        same = module._qkv_same_embed_dim and module.kdim == module.embed_dim
        return same and module.bias_k is None
    if is_recurrent(module):
        return not getattr(module, "proj_size", 0)
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return len(module.normalized_shape) == 1
    return bool(axes(module))


def channel_count(module: nn.Module, side: str) -> int | None:
    """How many channels a side has; None where the layer has no number of its own."""
    if isinstance(module, nn.PReLU):
        return module.num_parameters if module.num_parameters > 1 else None
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return module.input_size if side == "in" else module.hidden_size
    if is_transposed_linear(module):
        return int(module.nx if side == "in" else module.nf)  # type: ignore[arg-type]
    names = ("in_features", "in_channels") if side == "in" else ("out_features", "out_channels")
    for name in (*names, "num_features", "num_channels", "embedding_dim", "embed_dim"):
        if isinstance(value := getattr(module, name, None), int):
            return value
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return int(module.normalized_shape[-1])
    return None


def blocks(module: nn.Module) -> int:
    """Into how many blocks a layer divides its channels, of which each must have the same number."""
    if isinstance(module, _ConvNd):
        return 1 if is_depthwise(module) else int(module.groups)
    if isinstance(module, nn.GroupNorm):
        return int(module.num_groups)
    if isinstance(module, nn.MultiheadAttention):
        return int(module.num_heads)
    return 1


def mixes_channels(module: nn.Module) -> bool:
    """Whether new units would change what the layer makes of the others, so that growing must split units."""
    whole = nn.LayerNorm | nn.RMSNorm | nn.GroupNorm | nn.MultiheadAttention
    if isinstance(module, whole) or is_recurrent(module):
        return True
    return blocks(module) > 1


def set_sizes(module: nn.Module, inputs: int, outputs: int, *, like: nn.Module) -> None:
    """Gives a layer new sizes in its attributes; its tensors are the caller's business.

    `like` is the layer at its first sizes: at others a grouped convolution may look like a depthwise one.
    """
    if isinstance(module, nn.Linear):
        module.in_features, module.out_features = inputs, outputs
    elif isinstance(module, _ConvNd):
        if isinstance(like, _ConvNd) and is_depthwise(like):
            inputs = outputs // (like.out_channels // like.in_channels)
            module.groups = inputs
        module.in_channels, module.out_channels = inputs, outputs
    elif isinstance(module, _BatchNorm | _InstanceNorm):
        module.num_features = outputs
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        module.normalized_shape = (outputs,)
    elif isinstance(module, nn.RNNBase | nn.RNNCellBase):
        module.input_size, module.hidden_size = inputs, outputs
    elif is_transposed_linear(module):
        module.nx, module.nf = inputs, outputs  # type: ignore[assignment]
    elif isinstance(module, nn.GroupNorm):
        module.num_channels = outputs
    elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
        module.embedding_dim = outputs
    elif isinstance(module, nn.PReLU):
        module.num_parameters = outputs if module.num_parameters > 1 else 1
    elif isinstance(module, nn.MultiheadAttention):
        module.embed_dim = module.kdim = module.vdim = outputs
        module.head_dim = outputs // module.num_heads
        module.out_proj.in_features = module.out_proj.out_features = outputs
