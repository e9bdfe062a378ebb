"""Kinds of operations that cost alike, by the names that `layers.layer_type` gives them."""

from __future__ import annotations

DIMENSIONS = (1, 2, 3)

CONVOLUTIONS = {f"conv{n}d" for n in DIMENSIONS}
TRANSPOSED = {f"conv_transpose{n}d" for n in DIMENSIONS}
EMBEDDINGS = {"embedding", "embedding_bag"}
WEIGHTED_SUMS = {"linear", "bilinear"} | CONVOLUTIONS | TRANSPOSED
MATRICES = {"lstm", "gru", "rnn"} | WEIGHTED_SUMS | EMBEDDINGS  # layers that hold most of a network's weights
PRODUCTS = {"matmul", "mm", "bmm", "addmm", "baddbmm", "mv", "dot", "inner", "grouped_mm"}
CONTRACTIONS = {"tensordot", "vecdot"}  # over axes that their arguments say

NORMS = {  # flops per element
    **{f"batch_norm{n}d": 2 for n in DIMENSIONS},
    **{f"instance_norm{n}d": 7 for n in DIMENSIONS},
    "batch_norm": 2,
    "instance_norm": 7,
    "layer_norm": 7,
    "group_norm": 7,
    "rms_norm": 4,
}
COUNTED_ELSEWHERE = {"attention_weights"}  # the probabilities that attention itself computes

SOFTMAX = {"softmax", "log_softmax", "softmin", "softmax2d"}
POOLS = {f"{kind}_pool{n}d" for kind in ("avg", "max", "lp", "fractional_max") for n in DIMENSIONS}
ADAPTIVE = {f"adaptive_{kind}_pool{n}d" for kind in ("avg", "max") for n in DIMENSIONS}
REDUCTIONS = {
    *("mean", "sum", "prod", "amax", "amin", "max", "min", "norm", "std", "var"),
    *("argmax", "argmin", "logsumexp", "cumsum", "std_mean", "var_mean", "linalg_norm", "vector_norm", "all"),
    *("any", "topk", "sort", "argsort", "median", "count_nonzero", "histc", "allclose"),
}
ELEMENTWISE = {
    *("add", "sub", "mul", "div", "neg", "abs", "pow", "sqrt", "rsqrt", "exp", "log", "erf", "sin", "cos"),
    *("maximum", "minimum", "where", "clamp", "clip", "square", "reciprocal", "rsub", "floordiv", "mod"),
    *(
        "prelu",
        "rrelu",
        "log1p",
        "expm1",
        "exp2",
        "log2",
        "log10",
        "tan",
        "atan",
        "asin",
        "acos",
        "sinh",
        "cosh",
    ),
    *(
        "floor",
        "ceil",
        "round",
        "trunc",
        "sign",
        "sgn",
        "frac",
        "lerp",
        "addcmul",
        "addcdiv",
        "remainder",
        "fmod",
    ),
    *(
        "floor_divide",
        "index_add",
        "rtruediv",
        "rpow",
        "rmul",
        "radd",
        "rdiv",
        "positive",
        "masked_fill",
        "nan_to_num",
        "xor",
    ),
    *(
        "isfinite",
        "isnan",
        "isinf",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "logical_and",
        "logical_or",
        "logical_not",
    ),
    *("logical_xor", "and", "or", "invert", "not", "bitwise_and", "bitwise_or", "bitwise_not", "heaviside"),
    *(
        "normalize",
        "cosine_similarity",
        "fake_quantize_per_tensor_affine",
        "fake_quantize_per_channel_affine",
    ),
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
    *(
        "channel_shuffle",
        "setitem",
        "item",
        "tolist",
        "double",
        "half",
        "bfloat16",
        "long",
        "bool",
        "cpu",
        "cuda",
    ),
    *("full_like", "new_zeros", "new_ones", "new_full", "new_empty", "empty", "empty_like", "tensor", "eye"),
    *(
        "linspace",
        "tril",
        "triu",
        "one_hot",
        "scatter",
        "scatter_",
        "index_copy",
        "index_put",
        "masked_select",
        "take_along_dim",
    ),
    *(
        "repeat_interleave",
        "tile",
        "ravel",
        "hstack",
        "vstack",
        "dstack",
        "diagonal",
        "diag",
        "meshgrid",
        "rot90",
    ),
    *(
        "data",
        "T",
        "mT",
        "real",
        "imag",
        "requires_grad_",
        "fold",
        "unfold",
        "im2col",
        "upsample",
        "interpolate",
    ),
    *("copy", "fill", "zero", "as_strided", "select", "take", "nonzero", "unique", "bernoulli", "rand"),
    "randn",
    *("rand_like", "randn_like", "randint", "grid_sample", "affine_grid", "expected", "merged_mask", "type"),
    *("zero_pad1d", "zero_pad3d", "reflection_pad1d", "replication_pad1d", "replication_pad2d"),
    "circular_pad2d",
}
