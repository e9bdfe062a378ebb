"""The form "hls4ml": a project for Vitis HLS, its C++ simulation compiled and run."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.export.exporter import Exported
from widthwise.export.integers.steps import Program

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.export.hls4ml.layers import HlsLayer
    from widthwise.export.hls4ml.many import HlsReasons
    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised
    from widthwise.spaces.slots import Slot

PROJECT = "project"
BACKEND = "Vitis"

Strategy = Literal["latency", "resource", "distributed_arithmetic"]
Io = Literal["io_parallel", "io_stream"]


@dataclass(frozen=True)
class Hls4mlExporter:
    """Dense and convolutional networks in fixed point, every type from the formats and the weights at hand.

    strategy: what multiplies: one multiplier a product ("latency"), several products each ("resource"), or
    shifts and additions that products share ("distributed_arithmetic", by da4ml).
    io: what goes between layers: all numbers at once ("io_parallel"), or streams. reuse: how many products
    a multiplier takes in turn. part: of the FPGA.
    """

    strategy: Strategy = "latency"
    io: Io = "io_parallel"
    reuse: int = 1
    part: str = "xcvu13p-flga2577-2-e"
    name: str = "hls4ml"
    extra: str = "hls4ml"
    exact: bool = True

    def __post_init__(self) -> None:
        for name, allowed in (("strategy", get_args(Strategy)), ("io", get_args(Io))):
            if (found := getattr(self, name)) not in allowed:
                raise UserError(f"hls4ml: {name} = {found!r}; allowed: {', '.join(allowed)}")
        if self.reuse < 1 or self.reuse != int(self.reuse):
            raise UserError(f"hls4ml: reuse = {self.reuse!r}; give a whole number from 1")
        if self.strategy == "distributed_arithmetic" and self.reuse != 1:
            raise UserError(
                f"hls4ml: reuse = {self.reuse:g} with distributed_arithmetic, which has no multipliers; "
                "leave reuse out, or take strategy=resource"
            )
        object.__setattr__(self, "reuse", int(self.reuse))

    def refusals(self, realised: Realised, graph: Graph) -> list[str]:
        """What integers can't compute, and what hls4ml has no layer for."""
        from widthwise.export.hls4ml.layers import refusals
        from widthwise.export.integers.passes import quantised_early
        from widthwise.export.integers.reading import read_program

        del realised
        program, reasons = read_program(graph)
        return reasons if program is None else refusals(quantised_early(program))

    def reasons_of_many(self, graph: Graph, slots: Sequence[Slot]) -> HlsReasons:
        """How many refusals each of many candidates has."""
        from widthwise.export.hls4ml.many import HlsReasons

        return HlsReasons.of(graph, slots)

    def write(self, realised: Realised, graph: Graph, folder: Path, example: tuple[Tensor, ...]) -> Exported:
        """The project; what runs is its C++ simulation, compiled by g++."""
        from widthwise.export.hls4ml.layers import check_shapes, layers_of, network_of
        from widthwise.export.integers.passes import quantised_early
        from widthwise.export.integers.reading import program_of

        del realised
        if shutil.which("g++") is None:
            raise UserError("hls4ml: needs g++ to run its simulation with; install g++")
        program = quantised_early(program_of(graph, example[0]))
        check_shapes(program)
        layers = layers_of(program)
        with TemporaryDirectory(prefix="widthwise-hls4ml-") as place, _quiet():
            model = self._converted(program, layers, network_of(program, layers), Path(place) / PROJECT)
            _write_project(model, Path(place) / PROJECT, folder / PROJECT)
            run = _Simulation(program, _compiled(model))
            run(example[0])  # which reads the weights from its files
        files = sorted(path for path in (folder / PROJECT).rglob("*") if path.is_file())
        widest = max(step.out.bits for step in program.steps)
        note = f"{BACKEND}, {self.strategy}, {self.io}, reuse {self.reuse}; the widest sum has {widest} bits"
        return Exported(tuple(files), run, notes=(note,))

    def _converted(self, program: Program, layers: list[HlsLayer], network: Any, place: Path) -> Any:
        """hls4ml's model of a network, all types set."""
        try:
            import hls4ml  # type: ignore[import-untyped]

            if self.strategy == "distributed_arithmetic":
                import da4ml  # type: ignore[import-untyped]  # noqa: F401
        except ImportError as error:
            raise UserError(f"hls4ml: needs {error.name}; pip install 'widthwise[{self.extra}]'") from error
        from widthwise.export.hls4ml.layers import fixed

        shape = program.shape(program.input)
        config = hls4ml.utils.config_from_pytorch_model(
            network, shape, granularity="name", backend=BACKEND, default_reuse_factor=self.reuse
        )
        config["Model"]["Strategy"] = self.strategy
        types = {layer.name: layer.types for layer in layers}
        types["x"] = {"result": fixed(program.input, rounds=True)}
        if unknown := [name for name in types if name not in config["LayerName"]]:
            raise UserError(
                f"hls4ml: knows no layer {', '.join(unknown)}, so its types would not be those judged"
            )
        for name, own in types.items():
            config["LayerName"].setdefault(name, {})["Precision"] = own
            if "weight" in own:
                config["LayerName"][name] |= {"Strategy": self.strategy, "ReuseFactor": self.reuse}
        try:
            return hls4ml.converters.convert_from_pytorch_model(
                network,
                hls_config=config,
                output_dir=str(place),
                backend=BACKEND,
                io_type=self.io,
                part=self.part,
            )
        except Exception as error:  # hls4ml raises many kinds
            raise UserError(f"hls4ml does not take this network: {describe_error(error)[:300]}") from error


@dataclass(frozen=True)
class _Simulation:
    """hls4ml's C++ of the network, called with inputs [n, ...]."""

    program: Program
    model: Any

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs in float64: float32 would round them."""
        given = np.ascontiguousarray(x.double().numpy())
        with _quiet():
            found = self.model.predict(given)
        shape = (len(x), *self.program.shape(self.program.output))
        return torch.from_numpy(np.asarray(found, dtype=np.float64)).reshape(shape)


def _write_project(model: Any, place: Path, folder: Path) -> None:
    """Its files in a folder, which does not say where they were made."""
    model.write()
    shutil.copytree(place, folder)
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".yml", ".tcl", ".sh", ".json"):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(str(place), "."), encoding="utf-8")


def _compiled(model: Any) -> Any:
    try:
        model.compile()
    except Exception as error:
        raise UserError(f"hls4ml: its C++ does not compile: {describe_error(error)[:300]}") from error
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing that hls4ml prints."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
