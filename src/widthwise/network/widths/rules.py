"""How channels go through each of torch's basic operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from widthwise.network.widths.call import Call, Kept, UnfollowedError, table, tensors_among
from widthwise.network.widths.facets import aligned, along, varying
from widthwise.network.widths.moving import MOVING

AVERAGES = {"mean", "var", "std", "var_mean", "std_mean", "median"}
EXTREMES = {"amax", "amin", "max", "min", "any", "all"}

FIXED_READER = "a tensor reads them that doesn't change with them"


def follow(call: Call) -> Kept:
    """The facets of each output; raises UnfollowedError where they can't be told."""
    rule = RULES.get(call.name) or RULES.get(call.name.removesuffix("_"))
    if rule is not None:
        return rule(call)
    if torch.Tag.pointwise in call.operation.tags:
        return _pointwise(call)
    tensors = [x for x in tensors_among(call.args.values()) if call.facets(x)]
    if not tensors:
        return _nothing(call)
    raise UnfollowedError


def _nothing(call: Call) -> Kept:
    return tuple(() for _ in call.outputs)


def _pointwise(call: Call) -> Kept:
    ndim = call.outputs[0].ndim
    facets = [aligned(f, ndim) for x in tensors_among(call.args.values()) for f in call.facets(x)]
    return tuple(call.joins.merged(facets) for _ in call.outputs[:1]) + tuple(() for _ in call.outputs[1:])


def _alike(call: Call) -> Kept:
    """The first tensor's facets, in all outputs of its shape."""
    x = tensors_among(call.args.values())[0]
    return tuple(call.facets(x) if out.shape == x.shape else () for out in call.outputs)


def _spatial(call: Call) -> Kept:
    """Batch and channels stay; what lies along the rest is mixed."""
    x = tensors_among(call.args.values())[0]
    first = x.ndim - (call.outputs[0].ndim - 2)
    facets = call.facets(x)
    if any(varying(f) & set(range(first, x.ndim)) for f in facets):
        raise UnfollowedError
    return tuple(facets if out.ndim == x.ndim else () for out in call.outputs)


def _reduction(call: Call) -> Kept:
    """What is left of the dimensions that are not reduced.

    A mean or a largest value over all channels says the same of fewer, a sum does not.
    """
    x = tensors_among(call.args.values())[0]
    dims = call.dims(x.ndim)
    for facet in call.facets(x):
        if varying(facet) <= set(dims) and call.name in AVERAGES:
            call.average(facet)
        elif varying(facet) <= set(dims) and call.name not in EXTREMES:
            call.fix(facet, "they are added up by the network's code")
    found = call.joins.reduced(call.facets(x), dims)
    kept = []
    for out in call.outputs:
        if out.ndim == x.ndim:
            kept.append(found)
        elif out.ndim == x.ndim - len(dims):
            shapes = [[n for dim, n in enumerate(f.shape) if dim not in dims] for f in found]
            kept.append(tuple(f.reshape(shape) for f, shape in zip(found, shapes, strict=True)))
        else:
            kept.append(())
    return tuple(kept)


def _softmax(call: Call) -> Kept:
    x = tensors_among(call.args.values())[0]
    for facet in call.facets(x):
        if varying(facet) & set(call.dims(x.ndim)):
            call.fix(facet, "a softmax is taken over them")
    return _alike(call)


def _gated(call: Call) -> Kept:
    """The first half along a dimension times a function of the second: they join."""
    x, out = call.args["self"], call.outputs[0]
    dim = call.dims(x.ndim)[0]
    half = out.shape[dim]
    halves = [
        facet.narrow(dim, start, half) if dim in varying(facet) else facet
        for facet in call.facets(x)
        for start in (0, half)
    ]
    return (call.joins.merged(halves),)


def _ordered(call: Call) -> Kept:
    """What depends on the order along a dimension: no channels may lie there."""
    x = tensors_among(call.args.values())[0]
    dims = set(call.dims(x.ndim))
    if any(varying(f) & dims for f in call.facets(x)):
        raise UnfollowedError
    return _alike(call)


def _batch_norm(call: Call) -> Kept:
    return _with_parameters(call, 1)


def _last_norm(call: Call) -> Kept:
    return _with_parameters(call, None)


def _with_parameters(call: Call, dim: int | None) -> Kept:
    """An input and parameters that lie along its channels (None: its last dimensions)."""
    x = call.args["input"]
    facets = list(call.facets(x))
    for name in ("weight", "bias", "running_mean", "running_var"):
        own = call.facets(call.args.get(name))
        facets += [aligned(f, x.ndim) if dim is None else along(f.flatten(), dim, x.ndim) for f in own]
    merged = call.joins.merged(facets)
    return tuple(merged if out.shape == x.shape else () for out in call.outputs)


def _product(call: Call, first: Tensor, second: Tensor, *extra: Any) -> Kept:
    """Matrices [..., n, k] and [..., k, m]: along k they join and are summed over."""
    ndim = call.outputs[0].ndim
    left = [aligned(f, ndim).unsqueeze(-1) for f in call.facets(first)]
    right = [aligned(f, ndim).unsqueeze(-3) for f in call.facets(second)]
    _note_readers(call, (first, left), (second, right), ndim - 1)
    summed = call.joins.reduced(call.joins.merged([*left, *right]), [ndim - 1])
    added = [aligned(f, ndim) for x in extra for f in call.facets(x)]
    return (call.joins.merged([*(f.squeeze(ndim - 1) for f in summed), *added]),)


def _note_readers(
    call: Call, first: tuple[Tensor, Sequence[Tensor]], second: tuple[Tensor, Sequence[Tensor]], dim: int
) -> None:
    """Of two tensors that are multiplied and summed along a dimension: what reads what."""
    for (x, facets), (_, others) in ((first, second), (second, first)):
        for facet in facets:
            if dim not in varying(facet):
                continue
            call.read(x, facet)
            if not any(dim in varying(other) for other in others):
                call.fix(facet, FIXED_READER)


def _matrices(call: Call) -> Kept:
    first, second = tensors_among([call.args["self"], call.args["mat2"]])
    return _product(call, first, second)


def _added_matrices(call: Call) -> Kept:
    names = ("mat1", "mat2") if "mat1" in call.args else ("batch1", "batch2")
    return _product(call, call.args[names[0]], call.args[names[1]], call.args["self"])


def _vector_product(call: Call) -> Kept:
    matrix, vector = call.args["self"], call.args["vec"]
    left = call.facets(matrix)
    right = [along(f.flatten(), 1, 2) for f in call.facets(vector)]
    _note_readers(call, (matrix, left), (vector, right), 1)
    summed = call.joins.reduced(call.joins.merged([*left, *right]), [1])
    return (tuple(f.squeeze(1) for f in summed),)


def _convolution(call: Call) -> Kept:
    x, weight, groups = call.args["input"], call.args["weight"], call.args["groups"]
    inputs, outputs = call.sides(weight)
    if inputs is None or outputs is None:  # no layer's own weight
        if groups > 1:
            raise UnfollowedError
        inputs, outputs = _axes_of(call, weight, transposed=call.args["transposed"])
        if inputs is not None:
            call.read(weight, inputs)
        else:
            for facet in call.facets(x):
                call.fix(facet, FIXED_READER)
    found = call.facets(x)
    if any(varying(f) != {1} for f in found):
        raise UnfollowedError
    if inputs is not None:
        call.joins.merged([*found, along(inputs, 1, x.ndim)])
    if groups > 1 and groups == x.shape[1] and outputs is not None and inputs is not None:
        call.joins.join(outputs, inputs.repeat_interleave(len(outputs) // len(inputs)))
    facets = [] if outputs is None else [along(outputs, 1, x.ndim)]
    bias = [along(f.flatten(), 1, x.ndim) for f in call.facets(call.args["bias"])]
    return (call.joins.merged([f for f in (*facets, *bias) if varying(f)]),)


def _axes_of(call: Call, weight: Tensor, *, transposed: bool) -> tuple[Tensor | None, Tensor | None]:
    """The channels along the axes of a weight that was computed, or belongs to no layer."""
    axes: dict[int, Tensor] = {}
    for facet in call.facets(weight):
        if len(varying(facet)) == 1:
            axes[next(iter(varying(facet)))] = facet.flatten()
    inputs, outputs = (0, 1) if transposed else (1, 0)
    return axes.get(inputs), axes.get(outputs)


def _embedding(call: Call) -> Kept:
    weight, ndim = call.args["weight"], call.outputs[0].ndim
    found = tuple(along(f.flatten(), ndim - 1, ndim) for f in call.facets(weight) if varying(f) == {1})
    return (found, *(() for _ in call.outputs[1:]))


RULES: dict[str, Callable[[Call], Kept]] = {
    **table(
        _alike,
        "clone detach alias _to_copy contiguous lift_fresh native_dropout dropout bernoulli to zero_",
    ),
    **table(
        _pointwise,
        "masked_fill where prelu _prelu_kernel lerp addcmul addcdiv rrelu_with_noise hardswish hardsigmoid "
        "hardtanh leaky_relu silu mish elu celu selu softplus gelu relu relu6 threshold clamp hardshrink "
        "softshrink",
    ),
    **table(
        _spatial,
        "max_pool2d max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d "
        "adaptive_avg_pool1d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d "
        "adaptive_max_pool3d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d "
        "upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d _upsample_nearest_exact2d "
        "_upsample_bilinear2d_aa _upsample_bicubic2d_aa reflection_pad1d reflection_pad2d replication_pad1d "
        "replication_pad2d",
    ),
    **table(
        _reduction,
        "mean sum amax amin var std var_mean std_mean linalg_vector_norm logsumexp max min any all prod norm "
        "median",
    ),
    **table(_softmax, "_softmax _log_softmax _safe_softmax"),
    **table(_gated, "glu"),
    **table(_ordered, "cumsum cumprod sort argsort topk argmax argmin"),
    **table(
        _batch_norm,
        "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm "
        "native_group_norm batch_norm miopen_batch_norm",
    ),
    **table(_last_norm, "native_layer_norm _fused_rms_norm rms_norm"),
    **table(_matrices, "mm bmm"),
    **table(_added_matrices, "addmm baddbmm"),
    **table(_vector_product, "mv"),
    **table(_convolution, "convolution _convolution"),
    **table(_embedding, "embedding _embedding_bag _embedding_bag_forward_only"),
    **table(
        _nothing,
        "zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_empty "
        "new_full arange _local_scalar_dense sym_size nonzero argwhere bernoulli_ fill_ equal",
    ),
    **MOVING,
}
