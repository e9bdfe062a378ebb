"""Kinds of operations that cost alike, by the names that `layers.layer_type` gives them."""

from __future__ import annotations

DIMENSIONS = (1, 2, 3)

CONVOLUTIONS = {f"conv{n}d" for n in DIMENSIONS}
TRANSPOSED = {f"conv_transpose{n}d" for n in DIMENSIONS}
EMBEDDINGS = {"embedding", "embedding_bag"}
WEIGHTED_SUMS = {"linear", "bilinear"} | CONVOLUTIONS | TRANSPOSED
MATRICES = {"lstm", "gru", "rnn"} | WEIGHTED_SUMS | EMBEDDINGS  # layers that hold most of a network's weights
PRODUCTS = {"matmul", "mm", "bmm", "addmm", "baddbmm", "mv", "dot"}

NORMS = {  # flops per element
    **{f"batch_norm{n}d": 2 for n in DIMENSIONS},
    **{f"instance_norm{n}d": 7 for n in DIMENSIONS},
    "batch_norm": 2,
    "instance_norm": 7,
    "layer_norm": 7,
    "group_norm": 7,
    "rms_norm": 4,
}
SOFTMAX = {"softmax", "log_softmax", "softmin", "softmax2d"}
POOLS = {f"{kind}_pool{n}d" for kind in ("avg", "max", "lp", "fractional_max") for n in DIMENSIONS}
ADAPTIVE = {f"adaptive_{kind}_pool{n}d" for kind in ("avg", "max") for n in DIMENSIONS}
REDUCTIONS = {
    *("mean", "sum", "prod", "amax", "amin", "max", "min", "norm", "std", "var"),
    *("argmax", "argmin", "logsumexp", "cumsum"),
}
ELEMENTWISE = {
    *("add", "sub", "mul", "div", "neg", "abs", "pow", "sqrt", "rsqrt", "exp", "log", "erf", "sin", "cos"),
    *("maximum", "minimum", "where", "clamp", "clip", "square", "reciprocal", "rsub", "floordiv", "mod"),
    *("prelu", "rrelu"),
}
FREE = {  # moves data, or does nothing at inference
    *("identity", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"),
    *("feature_alpha_dropout", "clone", "detach", "contiguous", "to", "float", "type_as"),
    *("flatten", "unflatten", "reshape", "view", "permute", "transpose", "t", "squeeze", "unsqueeze"),
    *("movedim", "swapaxes", "swapdims", "expand", "expand_as", "view_as", "reshape_as", "repeat"),
    *("cat", "concat", "stack", "split", "chunk", "unbind", "narrow", "index_select", "gather"),
    *("getitem", "getattr", "size", "shape", "dim", "len", "int", "roll", "flip", "pad"),
    *("zero_pad2d", "constant_pad1d", "constant_pad2d", "constant_pad3d", "reflection_pad2d"),
    *("arange", "zeros", "ones", "full", "zeros_like", "ones_like", "pixel_shuffle", "pixel_unshuffle"),
    *("channel_shuffle",),
}
