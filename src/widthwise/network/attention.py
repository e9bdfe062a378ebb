"""Attention opened into the calls that it consists of, and its two products on quantised operands."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention


class ClosedAttentionError(Exception):
    """Attention of a kind that is not opened: with more keys and values than it is given."""


@dataclass(frozen=True)
class _Projections:
    """The weights and biases of attention; `packed` [3 E, E] or one for each of query, key and value."""

    packed: Any
    separate: tuple[Any, Any, Any] | None
    bias: Any
    out_weight: Any
    out_bias: Any

    def queries_keys_values(self, query: Any, key: Any, value: Any, width: int) -> tuple[Any, ...]:
        """The three projected, with as few products as there are different inputs."""
        bias = self.bias
        if self.separate is not None:
            inputs, biases = (query, key, value), _parts(bias, 3, 0)
            return tuple(linear(x, w, b) for x, w, b in zip(inputs, self.separate, biases, strict=True))
        if query is key and key is value:
            return _parts(linear(query, self.packed, bias), 3, -1)
        first = linear(query, self.packed[:width], None if bias is None else bias[:width])
        if key is value:
            both = linear(key, self.packed[width:], None if bias is None else bias[width:])
            return (first, *_parts(both, 2, -1))
        weights, biases = _parts(self.packed, 3, 0), _parts(bias, 3, 0)
        return (first, linear(key, weights[1], biases[1]), linear(value, weights[2], biases[2]))


def _parts(x: Any, count: int, axis: int) -> tuple[Any, ...]:
    """Equal parts along an axis, of a stand-in too, which can't be iterated over; of None as many of these."""
    parts = [None] * count if x is None else x.chunk(count, axis)
    return tuple(parts[place] for place in range(count))


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
    """What torch.nn.functional.multi_head_attention_forward computes in evaluation, as plain calls.

    Raises ClosedAttentionError for keys and values beside those given (bias_k, add_zero_attn, static_k).
    """
    if add_zero_attn or any(x is not None for x in (bias_k, bias_v, static_k, static_v)):
        raise ClosedAttentionError
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    projections = _Projections(in_proj_weight, separate, in_proj_bias, out_proj_weight, out_proj_bias)
    alone = query.dim() == 2
    if alone:
        same = query is key and key is value
        query, key, value = (x.unsqueeze(1) for x in (query, key, value))
        key, value = (query, query) if same else (key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    output, weights = _attended(
        projections, query, key, value, num_heads, key_padding_mask, attn_mask, need_weights
    )
    if weights is not None and average_attn_weights:
        weights = weights.mean(dim=1)
    if alone:
        return output.squeeze(1), None if weights is None else weights.squeeze(0)
    return output, weights


def open_multihead(
    module: nn.MultiheadAttention,
    query: Any,
    key: Any,
    value: Any,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """What nn.MultiheadAttention computes in evaluation on batches, as plain calls that torch.fx can trace."""
    if module.bias_k is not None or module.bias_v is not None or module.add_zero_attn:
        raise ClosedAttentionError
    separate = None
    if module.in_proj_weight is None:
        separate = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
    out = module.out_proj
    projections = _Projections(module.in_proj_weight, separate, module.in_proj_bias, out.weight, out.bias)
    if module.batch_first:
        same_keys, same = key is value, query is key and key is value
        query = query.transpose(0, 1)
        key = query if same else key.transpose(0, 1)
        value = key if same_keys else value.transpose(0, 1)
    output, weights = _attended(
        projections, query, key, value, module.num_heads, key_padding_mask, attn_mask, need_weights
    )
    if weights is not None and average_attn_weights:
        weights = weights.mean(dim=1)
    return (output.transpose(0, 1) if module.batch_first else output), weights


def _attended(
    projections: _Projections,
    query: Any,
    key: Any,
    value: Any,
    heads: int,
    key_padding_mask: Any,
    attn_mask: Any,
    need_weights: bool,
) -> tuple[Any, Any]:
    """Outputs [length, batch, width] for inputs alike, and the weights [batch, heads, length, keys] if needed."""
    length, batch, width = query.shape[0], query.shape[1], projections.out_weight.shape[0]
    projected = projections.queries_keys_values(query, key, value, width)
    q, k, v = (x.reshape(x.shape[0], batch, heads, width // heads).permute(1, 2, 0, 3) for x in projected)
    mask = _mask(attn_mask, key_padding_mask, q, heads)
    attended = scaled_dot_product_attention(q, k, v, attn_mask=mask)
    joined = attended.permute(2, 0, 1, 3).reshape(length, batch, width)
    output = linear(joined, projections.out_weight, projections.out_bias)
    return output, (attention_weights(q, k, mask) if need_weights else None)


def _mask(attn_mask: Any, key_padding_mask: Any, like: Any, heads: int) -> Any:
    """Both masks as one that is added to the scores; None for none."""
    found = None
    if attn_mask is not None:
        found = _additive(attn_mask, like)
        if found.dim() == 3:
            found = found.reshape(-1, heads, found.shape[-2], found.shape[-1])
    if key_padding_mask is not None:
        padding = _additive(key_padding_mask, like)[:, None, None, :]
        found = padding if found is None else found + padding
    return found


def _additive(mask: Any, like: Any) -> Any:
    """A mask of torch's attention, true where nothing is to be seen, as what is added to scores."""
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -math.inf)
    return mask.to(like.dtype)


def attention_weights(
    query: Tensor, key: Tensor, attn_mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Softmax of the scaled scores of queries [..., L, E] and keys [..., S, E]; nothing where all is masked."""
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = query @ key.transpose(-2, -1) * factor
    if attn_mask is not None:
        kept = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if kept else scores + attn_mask
        nothing = (scores == -math.inf).all(dim=-1, keepdim=True)
        return scores.softmax(dim=-1).masked_fill(nothing, 0.0)
    return scores.softmax(dim=-1)


def quantised_products(
    read: Callable[[Tensor], Tensor],
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
    """What scaled_dot_product_attention computes in evaluation where its two products read quantised operands.

    `read` gives the operands: queries, keys, values, and the probabilities.
    """
    q, k, v = read(query), read(key), read(value)
    if enable_gqa:
        k = k.repeat_interleave(q.shape[-3] // k.shape[-3], -3)
        v = v.repeat_interleave(q.shape[-3] // v.shape[-3], -3)
    if is_causal:
        attn_mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril()
    return read(attention_weights(q, k, attn_mask, scale)) @ v
