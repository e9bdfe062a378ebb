"""Attention made of plain calls, each of which a capture can record and a pass can quantise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import handle_torch_function, has_torch_function

from widthwise.core.errors import UserError

Read = Callable[[Tensor], Tensor]


def _present(*values: Any) -> tuple[Any, ...]:
    return tuple(value for value in values if value is not None)


def attention_products(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`F.scaled_dot_product_attention` under our own name: one node of a traced graph, one call of a mode."""
    operands = _present(query, key, value, attn_mask)
    if has_torch_function(operands):
        return handle_torch_function(
            attention_products,
            operands,
            query,
            key,
            value,
            attn_mask,
            dropout_p,
            is_causal,
            scale=scale,
            enable_gqa=enable_gqa,
        )
    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )


def attention_weights(
    query: Tensor, key: Tensor, mask: Tensor | None = None, average: bool = False
) -> Tensor:
    """softmax(q k^T / sqrt(width) + mask), or its mean over heads.

    A node of its own, which a traced graph lacks where nobody reads it.
    """
    operands = _present(query, key, mask)
    if has_torch_function(operands):
        return handle_torch_function(attention_weights, operands, query, key, mask, average)
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
    return weights.mean(dim=1) if average else weights


def merged_mask(
    query: Tensor, key: Tensor, attn_mask: Tensor | None, padding: Tensor | None, heads: int, added: int = 0
) -> Tensor | None:
    """Both masks of a multi-head attention as one that is added to scores of (batch, heads, target, source).

    attn_mask: (target, source) or (batch * heads, target, source); padding: (batch, source); True forbids.
    added: positions after the source's own that no mask forbids. UserError: masks of other shapes.
    One node of a graph, as shapes decide in it.
    """
    operands = _present(query, key, attn_mask, padding)
    if has_torch_function(operands):
        return handle_torch_function(merged_mask, operands, query, key, attn_mask, padding, heads, added)
    batch, target, source = *query.shape[:2], key.shape[1]
    _check_shape("attn_mask", attn_mask, (target, source), (batch * heads, target, source))
    _check_shape("key_padding_mask", padding, (batch, source))
    masks = []
    if attn_mask is not None:
        shape = (-1, heads) if attn_mask.dim() == 3 else (1, 1)
        masks.append(_additive(attn_mask, query).reshape(*shape, *attn_mask.shape[-2:]))
    if padding is not None:
        masks.append(_additive(padding, query).reshape(-1, 1, 1, padding.shape[-1]))
    return functional.pad(sum(masks[1:], masks[0]), (0, added)) if masks else None


def _check_shape(name: str, mask: Tensor | None, *allowed: tuple[int, ...]) -> None:
    if mask is not None and tuple(mask.shape) not in allowed:
        raise UserError(f"{name} of shape {tuple(mask.shape)}", where="multi-head attention", allowed=allowed)


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -math.inf)


def quantised_products(
    read: Read,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`attention_products` with every operand of its two products passed through `read`.

    A row whose mask forbids everything gives zeros, as `F.scaled_dot_product_attention` does.
    """
    if enable_gqa:
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], dim=-3) for x in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = read(query) @ read(key).transpose(-2, -1) * scale
    if is_causal:
        scores = scores.masked_fill(~torch.ones_like(scores, dtype=torch.bool).tril(), -math.inf)
    if attn_mask is not None:
        allowed = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if allowed else scores + attn_mask
    empty = (scores == -math.inf).all(dim=-1, keepdim=True)
    probabilities = torch.softmax(scores, dim=-1).masked_fill(empty, 0.0)
    return read(functional.dropout(probabilities, dropout_p)) @ read(value)


@dataclass(frozen=True)
class _Projections:
    """Parameters of a multi-head attention; `packed` holds those of q, k and v, else `separate` does."""

    heads: int
    packed: Tensor | None
    separate: tuple[Tensor | None, ...]
    bias: Tensor | None
    bias_k: Tensor | None
    bias_v: Tensor | None
    add_zero: bool
    out_weight: Tensor
    out_bias: Tensor | None
    width: int


def _projected(own: _Projections, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
    width = own.width
    if own.packed is not None and query is key and key is value:
        together = functional.linear(query, own.packed, own.bias)
        return tuple(together[..., i * width : (i + 1) * width] for i in range(3))
    parts = [slice(i * width, (i + 1) * width) for i in range(3)]
    weights = own.separate if own.packed is None else [own.packed[part] for part in parts]
    biases = [None if own.bias is None else own.bias[part] for part in parts]
    return tuple(
        functional.linear(x, weight, bias)  # type: ignore[arg-type]
        for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )


def _extended(own: _Projections, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, int]:
    """Keys and values with the learned position and that of zeros after them, and how many these are."""
    added = 0
    if own.bias_k is not None and own.bias_v is not None:
        batch = k.shape[0]
        k = torch.cat([k, own.bias_k.expand(batch, 1, own.width)], dim=1)
        v = torch.cat([v, own.bias_v.expand(batch, 1, own.width)], dim=1)
        added += 1
    if own.add_zero:
        k, v = (torch.cat([x, torch.zeros_like(x[:, :1])], dim=1) for x in (k, v))
        added += 1
    return k, v, added


def _attention(
    own: _Projections,
    inputs: tuple[Tensor, Tensor, Tensor],
    masks: tuple[Tensor | None, Tensor | None],
    need_weights: bool,
    average: bool,
    is_causal: bool,
    dropout_p: float,
) -> tuple[Tensor, Tensor | None]:
    """Attention of inputs (batch, length, width); masks: of attention and of padding."""
    attn_mask, padding = masks
    if is_causal and attn_mask is None:
        raise UserError(
            "is_causal without attn_mask", where="multi-head attention", advice="give attn_mask as well"
        )
    q, k_own, v_own = _projected(own, *inputs)
    k, v, added = _extended(own, k_own, v_own)
    hint = is_causal and padding is None and not need_weights  # torch then takes the hint for the mask
    no_mask = hint or (attn_mask is None and padding is None)
    mask = None if no_mask else merged_mask(q, k_own, attn_mask, padding, own.heads, added)
    q, k, v = (torch.unflatten(x, -1, (own.heads, -1)).transpose(1, 2) for x in (q, k, v))
    mixed = attention_products(q, k, v, mask, dropout_p, hint)
    output = functional.linear(mixed.transpose(1, 2).flatten(2), own.out_weight, own.out_bias)
    if not need_weights:
        return output, None
    return output, attention_weights(q, k, mask, average)


def _laid_out(inputs: tuple[Tensor, ...], change: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
    """Each input changed once, so that those which were one tensor stay one."""
    changed = {id(x): change(x) for x in inputs}
    return tuple(changed[id(x)] for x in inputs)


def _any_layout(
    own: _Projections,
    inputs: tuple[Tensor, ...],
    masks: tuple[Tensor | None, Tensor | None],
    batch_first: bool,
    *options: Any,
) -> tuple[Tensor, Tensor | None]:
    """A traced input is taken to have a batch, as its rank is not known."""
    if isinstance(inputs[0], Tensor) and inputs[0].dim() == 2:
        padding = None if masks[1] is None else masks[1].unsqueeze(0)
        single: Any = _laid_out(inputs, lambda x: x.unsqueeze(0))
        output, weights = _attention(own, single, (masks[0], padding), *options)
        return output.squeeze(0), None if weights is None else weights.squeeze(0)
    if batch_first:
        return _attention(own, inputs, masks, *options)  # type: ignore[arg-type]
    turned: Any = _laid_out(inputs, lambda x: x.transpose(0, 1))
    output, weights = _attention(own, turned, masks, *options)
    return output.transpose(0, 1), weights


def open_multihead(
    module: nn.MultiheadAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What the module computes, as plain calls that read the module's own parameters.

    A row whose masks forbid everything gives the output of zeros, where torch gives NaN if it needs weights.
    """
    own = _Projections(
        module.num_heads,
        module.in_proj_weight,
        (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight),
        module.in_proj_bias,
        module.bias_k,
        module.bias_v,
        module.add_zero_attn,
        module.out_proj.weight,
        module.out_proj.bias,
        module.embed_dim,
    )
    masks = (attn_mask, key_padding_mask)
    options = (need_weights, average_attn_weights, is_causal, module.dropout if module.training else 0.0)
    return _any_layout(own, (query, key, value), masks, module.batch_first, *options)


def open_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """`F.multi_head_attention_forward` as plain calls; UserError for static keys or values."""
    if static_k is not None or static_v is not None:
        raise UserError(
            "static_k and static_v are not supported",
            where="multi_head_attention_forward",
            advice="give key and value instead",
        )
    own = _Projections(
        num_heads,
        None if use_separate_proj_weight else in_proj_weight,
        (q_proj_weight, k_proj_weight, v_proj_weight),
        in_proj_bias,
        bias_k,
        bias_v,
        add_zero_attn,
        out_proj_weight,
        out_proj_bias,
        embed_dim_to_check,
    )
    masks = (attn_mask, key_padding_mask)
    options = (need_weights, average_attn_weights, is_causal, dropout_p if training else 0.0)
    return _any_layout(own, (query, key, value), masks, False, *options)
