"""The form "onnx": one ONNX file of a network in float, as searches of widths find it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from widthwise.core.errors import UserError
from widthwise.export.by_layer import ReasonsByLayer
from widthwise.export.exporter import Exported
from widthwise.export.scaler import in_front

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.data.samples import Scaler
    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer
    from widthwise.network.realised import Realised
    from widthwise.network.scheme import Scheme
    from widthwise.spaces.slots import Slot

NETWORK = "network.onnx"
LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")
CLOSE = 1e-4  # of the greatest output, between levels of optimisation


@dataclass(frozen=True)
class OnnxExporter:
    """Networks in float, traced or not, for any number of samples where the network takes them."""

    name: str = "onnx"
    extra: str = "onnx"
    exact: bool = False

    def refusals(self, realised: Realised, graph: Graph) -> list[str]:
        """Layers that have formats: the form "qonnx" has nodes for them."""
        del realised
        return [
            f"{name}: {reason}" for name, scheme in graph.schemes.items() for reason in _reasons(None, scheme)
        ]

    def reasons_of_many(self, graph: Graph, slots: Sequence[Slot]) -> ReasonsByLayer:
        """How many refusals each of many candidates has."""
        return ReasonsByLayer(graph.layers, graph.schemes, tuple(slots), _reasons)

    def write(self, realised: Realised, graph: Graph, folder: Path, example: tuple[Tensor, ...]) -> Exported:
        """NETWORK; what runs is that file in ONNX Runtime, at every level of optimisation."""
        try:
            import onnx
            import onnxruntime  # type: ignore[import-untyped]  # noqa: F401

            from widthwise.export.formats_as_nodes import onnx_of
        except ImportError as error:
            raise UserError(f"onnx: needs {error.name}; pip install 'widthwise[{self.extra}]'") from error
        names = [each.name for each in realised.inputs] or [f"input_{n}" for n in range(len(example))]
        several = example
        if realised.batch is None:  # axes of one sample would count as fixed
            several = tuple(x.repeat_interleave(2, dim=0) if len(x) == 1 else x for x in example)
        made = onnx_of(graph, several, names, any_batch=realised.batch is None)
        path = folder / NETWORK
        onnx.save(made, str(path))
        return Exported((path,), _runtime(path.read_bytes()), exact=False)

    def with_scaler(self, exported: Exported, scaler: Scaler, folder: Path) -> Exported:
        """NETWORK with the scaler as its first two nodes."""
        import onnx

        path = folder / NETWORK
        made = in_front(onnx.load(str(path)), scaler)
        onnx.save(made, str(path))
        return replace(exported, run=_runtime(path.read_bytes()))


def _reasons(_: Layer | None, scheme: Scheme) -> list[str]:
    return [f"has formats ({scheme}), this form is float; --to qonnx writes them"] if scheme else []


@dataclass(frozen=True)
class _Runtime:
    """The file in ONNX Runtime, once for each level of optimisation, the last of which answers."""

    sessions: Mapping[str, Any]

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...] | Tensor:
        found = {level: _run(session, inputs) for level, session in self.sessions.items()}
        plain, best = found[LEVELS[0]], found[LEVELS[-1]]
        for level, outputs in found.items():
            for one, other in zip(plain, outputs, strict=True):
                _check_close(one, other, level)
        return best if len(best) > 1 else best[0]


def _runtime(content: bytes) -> _Runtime:
    import onnxruntime

    return _Runtime({level: _session(onnxruntime, content, level) for level in LEVELS})


def _session(onnxruntime: Any, content: bytes, level: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _run(session: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    names = [value.name for value in session.get_inputs()]
    given = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
    return tuple(torch.from_numpy(output) for output in session.run(None, given))


def _check_close(plain: Tensor, other: Tensor, level: str) -> None:
    if not plain.is_floating_point() or plain.numel() == 0:
        return
    most = float(plain.abs().nan_to_num(0.0, 0.0, 0.0).max())
    if not torch.allclose(plain, other, rtol=0.0, atol=CLOSE * max(most, 1e-6), equal_nan=True):
        raise UserError(f"ONNX Runtime computes something else at {level} than without optimisation")
