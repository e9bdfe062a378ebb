"""What an exporter is: it writes a trial's network in a form for other tools, and runs just that form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from widthwise.core.registry import Entry, Registry

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised


@dataclass(frozen=True)
class Exported:
    """What was written: its files, and what runs them, inputs [n, …] to outputs [n, …] (one, or a tuple of
    several); None: nothing can.

    It is called as the network is: with its inputs by position, those behind one that is left out by name.
    What runs has read the files already: the folder is moved to its place after it was written.
    exact: whether its outputs are the network's bit for bit; False where it rounds floats in another order.
    """

    files: tuple[Path, ...]
    run: Callable[..., Any] | None
    exact: bool = True


class Exporter(Protocol):
    """A form of networks for other tools; a form a file, found by name in EXPORTERS.

    name: what `--to` calls it. extra: what `pip install 'widthwise[extra]'` it needs, "" for none.
    exact: whether what it writes gives the network's outputs bit for bit, or else to the precision of floats;
    of one network `Exported` may say less.
    """

    @property
    def name(self) -> str: ...
    @property
    def extra(self) -> str: ...
    @property
    def exact(self) -> bool: ...

    def refusals(self, realised: Realised, graph: Graph) -> list[str]:
        """What of the network this form can't say, as "node: reason"; empty where it can. Writes nothing."""
        ...

    def write(self, realised: Realised, graph: Graph, folder: Path, example: tuple[Tensor, ...]) -> Exported:
        """Write the network into the folder, which is empty.

        realised: with its weights. graph: made of it, on the CPU, in eval mode. example: inputs [n, …], those
        of `realised.inputs` in order.
        Raises UserError for what goes wrong.
        """
        ...


EXPORTERS: Registry[None] = Registry(
    "export form",
    [
        Entry(
            "torch",
            "widthwise.export.torch:TorchExporter",
            "weights as safetensors and the rest as JSON; widthwise.load reads it",
        ),
        Entry(
            "onnx",
            "widthwise.export.onnx:OnnxExporter",
            "an ONNX file of a float network, as ONNX Runtime runs it",
            extra="onnx",
        ),
        Entry(
            "qonnx",
            "widthwise.export.qonnx:QonnxExporter",
            "an ONNX file whose Quant and BipolarQuant nodes are the formats",
            extra="onnx",
        ),
        Entry(
            "c",
            "widthwise.export.c.exporter:CExporter",
            "integer-only C99 of a network in fixed point, with a test main",
        ),
    ],
    group="widthwise.exporters",
    methods=("refusals", "write"),
)


def exporter(name: str, *, where: str = "") -> Exporter:
    """The exporter of this name, made; UserError where there is none, or its package is broken."""
    made: Exporter = EXPORTERS.load(name, where=where)()
    return made
