"""The form "qonnx": one ONNX file with a Quant or BipolarQuant node for every tensor that has a format."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from widthwise.core.errors import UserError
from widthwise.evaluators.engine.exact import some_exceed_float
from widthwise.export.by_layer import ReasonsByLayer
from widthwise.export.exporter import Exported
from widthwise.export.fixed_point import is_fixed_point
from widthwise.export.scaler import in_front
from widthwise.formats import Binary, Format, Integer, IntegerEach, ScaledInteger
from widthwise.formats.corrected import uncorrected
from widthwise.network.operations import CONVOLUTIONS

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.data.samples import Scaler
    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer
    from widthwise.network.realised import Realised
    from widthwise.network.scheme import Scheme
    from widthwise.spaces.slots import Slot

NETWORK = "network.onnx"
LISTS = {"chunk", "split", "tensor_split", "unbind", "meshgrid"}
ALIKE = 2  # samples of each call for which the graph as torch gave it is run too


@dataclass(frozen=True)
class QonnxExporter:
    """Fixed point, scaled integers and binary tensors of traced networks, for one sample at a time.

    Source: Pappalardo et al. 2022, QONNX; fastmachinelearning/qonnx for what the nodes compute.
    """

    name: str = "qonnx"
    extra: str = "onnx"
    exact: bool = True

    def refusals(self, realised: Realised, graph: Graph) -> list[str]:
        """Networks that run as they are, formats that have no node, formats inside a layer."""
        del realised
        if graph.capture != "fx":
            return [f"the network runs as it is, so it has no graph to write ({graph.capture_error})"]
        schemes = graph.schemes
        return [
            f"{layer.name}: {reason}"
            for layer in graph.layers
            for reason in _reasons(layer, schemes[layer.name])
        ]

    def reasons_of_many(self, graph: Graph, slots: Sequence[Slot]) -> ReasonsByLayer:
        """How many refusals each of many candidates has."""
        return ReasonsByLayer(graph.layers, graph.schemes, tuple(slots), _reasons)

    def write(self, realised: Realised, graph: Graph, folder: Path, example: tuple[Tensor, ...]) -> Exported:
        """NETWORK, tidied by qonnx; what runs is that file in qonnx's executor, one sample at a time.

        A few samples go through the graph as torch gave it too, and have to come out alike.
        """
        try:
            import onnx
            from qonnx.core.modelwrapper import ModelWrapper  # type: ignore[import-untyped]
            from qonnx.transformation.infer_shapes import InferShapes  # type: ignore[import-untyped]
            from qonnx.util.cleanup import cleanup_model  # type: ignore[import-untyped]

            from widthwise.export.formats_as_nodes import onnx_of
        except ImportError as error:
            raise UserError(f"qonnx: needs {error.name}; pip install 'widthwise[{self.extra}]'") from error
        names = [each.name for each in realised.inputs] or [f"input_{n}" for n in range(len(example))]
        made = onnx_of(graph, tuple(x[:1] for x in example), names)
        raw = ModelWrapper(made).transform(InferShapes())
        path = folder / NETWORK
        onnx.save(cleanup_model(raw).model, str(path))
        run = _Runtime(raw, ModelWrapper(onnx.load(str(path))))
        return Exported((path,), run, exact=is_fixed_point(graph), notes=_notes(graph))

    def with_scaler(self, exported: Exported, scaler: Scaler, folder: Path) -> Exported:
        """NETWORK with the scaler as its first two nodes, in float."""
        import onnx
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.transformation.infer_shapes import InferShapes

        runs = exported.run
        if not isinstance(runs, _Runtime):
            raise TypeError("the scaler goes in front of what this form wrote")
        raw, written = (
            ModelWrapper(in_front(model.model, scaler)).transform(InferShapes())
            for model in (runs.raw, runs.written)
        )
        onnx.save(written.model, str(folder / NETWORK))
        return replace(exported, run=_Runtime(raw, ModelWrapper(onnx.load(str(folder / NETWORK)))))


@dataclass(frozen=True)
class _Runtime:
    """The written file in qonnx's executor, and beside it the graph that it was tidied from.

    The file is for one sample. The first ones go through it as it is; so many at once, which takes a
    hundredth of the time, only where these come out the same then.
    """

    raw: Any
    written: Any
    wider: dict[int, Any] = field(default_factory=dict)  # the same graph by samples at once

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...] | Tensor:
        samples = len(inputs[0])
        first = [self._one(inputs, number) for number in range(min(samples, ALIKE))]
        joined = self._at_once(inputs, first) if samples > ALIKE else None
        if joined is None:
            rest = [self._one(inputs, number) for number in range(len(first), samples)]
            joined = [torch.cat(parts) for parts in zip(*first, *rest, strict=True)]
        return tuple(joined) if len(joined) > 1 else joined[0]

    def _one(self, inputs: Sequence[Tensor], number: int) -> list[Tensor]:
        sample = [x[number : number + 1].numpy() for x in inputs]
        outputs = _executed(self.written, sample)
        if number < ALIKE and any(
            not torch.equal(one, other)
            for one, other in zip(outputs, _executed(self.raw, sample), strict=True)
        ):
            raise UserError("qonnx's cleanup changes what the graph gives; nothing was kept")
        return outputs

    def _at_once(self, inputs: Sequence[Tensor], first: list[list[Tensor]]) -> list[Tensor] | None:
        """All samples in one run; None where the graph has only one in it, or gives other first outputs."""
        samples = len(inputs[0])
        try:
            if samples not in self.wider:
                self.wider[samples] = _for_samples(self.written, samples)
            found = _executed(self.wider[samples], [x.numpy() for x in inputs])
        except Exception:  # of the executor, or of ONNX Runtime: shapes of one sample stand in the graph
            return None
        for place, together in enumerate(found):
            alone = torch.cat([outputs[place] for outputs in first])
            if len(together) != samples or not torch.equal(together[: len(first)], alone):
                return None
        return found


def _for_samples(model: Any, samples: int) -> Any:
    """A copy of the graph for so many samples at once."""
    from qonnx.transformation.change_batchsize import ChangeBatchSize  # type: ignore[import-untyped]
    from qonnx.transformation.infer_shapes import InferShapes

    made = copy.deepcopy(model)
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = samples
    return made.transform(ChangeBatchSize(samples)).transform(InferShapes())


def _executed(model: Any, sample: Sequence[Any]) -> list[Tensor]:
    from qonnx.core.onnx_exec import execute_onnx  # type: ignore[import-untyped]

    stored = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in stored]
    found = execute_onnx(model, dict(zip(names, sample, strict=True)))
    return [torch.from_numpy(found[value.name].copy()) for value in model.graph.output]


def _reasons(layer: Layer, scheme: Scheme) -> Iterator[str]:
    from widthwise.network.quantized import reads_inside

    if layer.type in LISTS:
        yield f"{layer.type} gives a list of tensors, which qonnx's executor does not take; use slices"
    if scheme and reads_inside(layer.type, layer.module):
        yield f"formats inside a {layer.type} have no node; leave it in float"
        return
    if layer.type in CONVOLUTIONS and _is_wide(layer, scheme):
        yield "sums more bits than float32 has, in which alone convolutions run; --to c and hls4ml write it"
    for tensor in ("data_in", "weight", "bias"):
        fmt = uncorrected(scheme[tensor])
        if fmt is not None and (reason := _no_node(fmt, fixed=tensor != "data_in")):
            yield f"{tensor} {fmt!r} {reason}"


def _is_wide(layer: Layer, scheme: Scheme) -> bool:
    return some_exceed_float(layer, {tensor: (scheme[tensor],) for tensor in layer.tensors})


def _notes(graph: Graph) -> tuple[str, ...]:
    """Which layers compute in float64."""
    wide = [layer.name for layer in graph.layers if _is_wide(layer, graph.schemes[layer.name])]
    if not wide:
        return ()
    return (
        f"{', '.join(wide)}: more bits than float32 has, so summed in float64 between Cast nodes, which "
        "tools that make hardware of Quant nodes may not take; formats of fewer bits need none",
    )


def _no_node(fmt: Format, *, fixed: bool) -> str:
    """Why a format has no node; "" where it has. fixed: whether its scale is that of a stored tensor."""
    if not isinstance(fmt, Integer | IntegerEach | ScaledInteger | Binary):
        return "has no node; integer, scaled_integer and binary have one"
    if isinstance(fmt, Binary) and not fmt.bipolar:
        return "has the values 0 and a, BipolarQuant -a and a"
    if isinstance(fmt, ScaledInteger) and (fmt.per == "group" or fmt.channel_groups > 1):
        return "has scales of groups, a node those of channels"
    if not fixed and not fmt.elementwise and not isinstance(fmt, IntegerEach):
        return "has a scale that follows the data, a node has a fixed one"
    return ""
