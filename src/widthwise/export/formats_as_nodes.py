"""A network whose formats are nodes of an ONNX graph: Quant and BipolarQuant of QONNX."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.formats import Binary, Format, Integer, IntegerEach, ScaledInteger
from widthwise.network.quantized import Quantized, run_layer
from widthwise.network.scheme import Scheme

if TYPE_CHECKING:
    from onnx import ModelProto

    from widthwise.network.graph import Graph

DOMAIN = "qonnx.custom_op.general"
OPSET = 18
NOISY = "torch.onnx"  # its logger says which of torchvision's operations are missing


@dataclass(frozen=True)
class _AsNode:
    """A format that, while a network is exported, leaves a node behind in place of rounding."""

    fmt: Format

    def quantize(self, x: Tensor) -> Tensor:
        """x as what the node gives: its shape and dtype."""
        fmt = self.fmt
        if isinstance(fmt, Binary):
            return _node("BipolarQuant", x, (_scales(fmt.scale or 1.0, x, fmt.axis),))
        if isinstance(fmt, IntegerEach):
            return _each(fmt, x)
        if isinstance(fmt, Integer):
            inputs: tuple[float | Tensor, ...] = (2.0**-fmt.fraction, 0.0, float(fmt.width))
            narrow = False
        else:
            assert isinstance(fmt, ScaledInteger)
            axis = None if fmt.per == "tensor" else fmt.axis or 0
            points = 0.0 if fmt.zero_point is None else fmt.zero_point
            inputs = (_scales(fmt.scale, x, axis), _scales(points, x, axis), float(fmt.width))
            narrow = fmt.symmetric and fmt.signed
        attributes = {"signed": int(fmt.signed), "narrow": int(narrow), "rounding_mode": "ROUND"}
        return _node("Quant", x, inputs, attributes)


def _each(fmt: IntegerEach, x: Tensor) -> Tensor:
    """A node with a scale for each part and the greatest of their widths, as qonnx runs none with several;
    then what the narrower ones cut."""
    widths, fractions = fmt.table
    widest = max(int(widths.max()), 2)  # one bit with a sign means -1 and 1 there
    scales = torch.from_numpy(np.ldexp(1.0, -fractions).astype(np.float32))
    attributes = {"signed": int(fmt.signed), "narrow": 0, "rounding_mode": "ROUND"}
    found = _node("Quant", x, (scales, 0.0, float(widest)), attributes)
    if (widths == widest).all():
        return found
    low, high = (np.ldexp(ends.astype(np.float32), -fractions) for ends in fmt.code_ends)
    least, most = (torch.from_numpy(ends.astype(np.float32)) for ends in (low, high))
    return torch.minimum(torch.maximum(found, least), most)


@dataclass(frozen=True)
class _Afresh:
    """Weights are quantised where they are read: their nodes are part of what is exported.

    wide: whether the layer's sums take more bits than float32 has; they are nodes in float64 then.
    """

    wide: bool

    def quantised(self, name: Any, tensor: Tensor, fmt: Any) -> Tensor:
        del name
        found: Tensor = fmt.quantize(tensor)
        return found

    def exceeds_float(self, *_: Any) -> bool:
        """Known before the nodes are made, which have no values."""
        return self.wide


class _Layer(nn.Module):
    """A layer that reads through formats that are nodes."""

    def __init__(self, given: Quantized) -> None:
        super().__init__()
        self.layer, self.of, self.stored = given.layer, given.of, _Afresh(given.exceeds_float())
        self.scheme = Scheme(*(None if fmt is None else _AsNode(fmt) for fmt in _formats(given)))  # type: ignore[arg-type]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer computes."""
        return run_layer(self.layer, self.scheme, self.stored, args, kwargs, of=self.of)  # type: ignore[arg-type]


def _formats(given: Quantized) -> tuple[Format | None, ...]:
    """Those of a layer; of its parameters fixed from them, as evaluation reads them."""
    scheme = given.scheme
    fixed = dict(zip(("weight", "bias"), (scheme.weight, scheme.bias), strict=True))
    for name, parameter in given.layer.named_parameters():
        role = "bias" if name.endswith("bias") else "weight"
        if (fmt := fixed[role]) is not None:
            fixed[role] = fmt.calibrated(parameter)
    return scheme.data_in, fixed["weight"], fixed["bias"]


def _scales(values: Any, x: Tensor, axis: int | None) -> Tensor:
    """One number, or one for each index of an axis, as a tensor that broadcasts against x."""
    numbers = torch.tensor(values, dtype=torch.float32).reshape(-1)
    if len(numbers) == 1 or axis is None:
        return numbers.reshape(())
    shape = [1] * x.ndim
    shape[axis] = len(numbers)
    return numbers.reshape(shape)


def _node(
    name: str, x: Tensor, inputs: Sequence[float | Tensor], attributes: dict[str, Any] | None = None
) -> Tensor:
    given = (x, *(value if isinstance(value, Tensor) else torch.tensor(value) for value in inputs))
    found: Tensor = torch.onnx.ops.symbolic(
        f"{DOMAIN}::{name}", given, attrs=attributes or {}, dtype=x.dtype, shape=x.shape, version=1
    )
    return found


def onnx_of(
    graph: Graph, example: tuple[Tensor, ...], names: Sequence[str], *, any_batch: bool = False
) -> ModelProto:
    """The network as an ONNX graph, its formats as nodes, for inputs of the example's shapes.

    names: of its inputs; outputs are called output, output_1 … any_batch: whether axis 0 of all inputs may
    have any length. Raises UserError for what torch can't export.
    """
    network = copy.deepcopy(graph.model).eval().requires_grad_(False)
    for path, module in list(network.named_modules()):
        if isinstance(module, Quantized):
            network.set_submodule(path, _Layer(module))
    outputs = _outputs(network)
    free = tuple({0: torch.export.Dim.AUTO} for _ in example) if any_batch else None
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                network,
                example,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(names),
                output_names=["output", *(f"output_{number}" for number in range(1, outputs))],
                dynamic_shapes=free,
                optimize=False,
                verbose=False,
            )
    except Exception as error:  # of torch's exporter, which raises many kinds
        text = describe_error(error.__cause__ or error)
        raise UserError(f"torch.onnx.export does not take this network: {text[:300]}") from error
    assert program is not None
    return program.model_proto


def _outputs(network: nn.Module) -> int:
    if not isinstance(network, fx.GraphModule):
        return 1
    (last,) = [node for node in network.graph.nodes if node.op == "output"]
    return len(last.all_input_nodes)


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger(NOISY)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
