"""The form "onnx": one ONNX file, of a network in float, or in bytes that integer kernels multiply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from widthwise.core.errors import UserError, said_once
from widthwise.export.by_layer import ReasonsByLayer
from widthwise.export.exporter import Exported
from widthwise.export.scaler import in_front
from widthwise.spaces.writable import OneByOne

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.data.samples import Scaler
    from widthwise.export.integers.steps import Program
    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer
    from widthwise.network.realised import Realised
    from widthwise.network.scheme import Scheme
    from widthwise.spaces.slots import Slot
    from widthwise.spaces.writable import Counts

NETWORK = "network.onnx"
LAYOUTS = ("float", "qdq")
VNNI = (
    "x86 processors without VNNI cut the sums of products of weights above 64 to 16 bits; there set "
    "session.x64quantprecision to 1"
)

Layout = Literal["float", "qdq"]


@dataclass(frozen=True)
class OnnxExporter:
    """Networks as ONNX Runtime runs them.

    layout: "float": networks without formats, traced or not, for any number of samples where the network
    takes them. "qdq": networks in fixed point of up to 8 bits, QuantizeLinear and DequantizeLinear around
    their layers, laid out so that ONNX Runtime runs these in integers.
    """

    layout: Layout = "float"
    name: str = "onnx"
    extra: str = "onnx"

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise UserError(f"export form onnx: no layout {self.layout!r}; allowed: {', '.join(LAYOUTS)}")

    @property
    def exact(self) -> bool:
        """Whole numbers are the same in any order of their sums, floats are not."""
        return self.layout == "qdq"

    def refusals(self, realised: Realised, graph: Graph) -> list[str]:
        """In float, layers that have formats; in bytes, what integer kernels can't compute."""
        if self.layout == "qdq":
            return _program(realised, graph)[1]
        return [
            f"{name}: {reason}" for name, scheme in graph.schemes.items() for reason in _reasons(None, scheme)
        ]

    def reasons_of_many(self, graph: Graph, slots: Sequence[Slot]) -> Counts:
        """How many refusals each of many candidates has."""
        if self.layout == "qdq":
            return OneByOne(self, graph, tuple(slots))
        return ReasonsByLayer(graph.layers, graph.schemes, tuple(slots), _reasons)

    def write(self, realised: Realised, graph: Graph, folder: Path, example: tuple[Tensor, ...]) -> Exported:
        """NETWORK; what runs is that file in ONNX Runtime, at every level of optimisation."""
        try:
            import onnx
            import onnxruntime  # type: ignore[import-untyped]  # noqa: F401

            from widthwise.export.formats_as_nodes import onnx_of
            from widthwise.export.qdq import model_of
        except ImportError as error:
            raise UserError(f"onnx: needs {error.name}; pip install 'widthwise[{self.extra}]'") from error
        names = [each.name for each in realised.inputs] or [f"input_{n}" for n in range(len(example))]
        path = folder / NETWORK
        if self.layout == "qdq":
            program, refused = _program(realised, graph)
            if program is None:
                raise UserError(said_once(refused))
            onnx.save(model_of(_ordered(program, graph, example[0]), names[0]), str(path))
            return self._exported(path, program)
        several = example
        if realised.batch is None:  # axes of one sample would count as fixed
            several = tuple(x.repeat_interleave(2, dim=0) if len(x) == 1 else x for x in example)
        made = onnx_of(graph, several, names, any_batch=realised.batch is None)
        onnx.save(made, str(path))
        return self._exported(path)

    def with_scaler(self, exported: Exported, scaler: Scaler, folder: Path) -> Exported:
        """NETWORK with the scaler as its first two nodes, in float."""
        import onnx

        path = folder / NETWORK
        made = in_front(onnx.load(str(path)), scaler)
        onnx.save(made, str(path))
        return replace(exported, run=self._exported(path).run)

    def _exported(self, path: Path, program: Program | None = None) -> Exported:
        from widthwise.export.in_bytes import weighted, weights_need_vnni
        from widthwise.export.onnx_runtime import AtEveryLevel, kernels, kernels_note

        content, notes = path.read_bytes(), []
        if program is not None:
            notes.append(kernels_note(kernels(content), weighted(program)))
            if weights_need_vnni(program):
                notes.append(VNNI)
        run = AtEveryLevel.of(content, exact=self.exact)
        return Exported((path,), run, exact=self.exact, notes=tuple(notes))


def _reasons(_: Layer | None, scheme: Scheme) -> list[str]:
    """Why a layer can't be written in float."""
    if not scheme:
        return []
    return [
        f"has formats ({scheme}), which this layout is without; --option layout=qdq writes those "
        "of integers of up to 8 bits, --to qonnx others"
    ]


def _program(realised: Realised, graph: Graph) -> tuple[Program | None, list[str]]:
    """The network as steps on bytes, or why there are none."""
    from widthwise.export.in_bytes import reasons
    from widthwise.export.integers.reading import read_program

    program, found = read_program(graph)
    if program is None:
        return None, found
    found = reasons(graph, program)
    found += [
        f"{each.name}: is an input of {each.dtype}; the first layer has to take float32"
        for each in realised.inputs
        if each.dtype != "float32"
    ]
    return (None, found) if found else (program, [])


def _ordered(program: Program, graph: Graph, x: Tensor) -> Program:
    """The program with its shapes, and formats right behind the sums that they round."""
    from widthwise.export.integers.passes import quantised_early
    from widthwise.export.integers.reading import with_shapes
    from widthwise.export.integers.steps import MaxPool, Move, Relu

    return quantised_early(with_shapes(program, graph, x), (MaxPool, Move, Relu))
