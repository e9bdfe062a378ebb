"""The forms "verilog" and "vhdl": logic that alkaid makes of a network, and a test bench that tries it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from widthwise.core.errors import UserError
from widthwise.core.files import write_atomically
from widthwise.export.exporter import Exported
from widthwise.export.integers.computing import codes_of
from widthwise.export.integers.many import ReasonsOfMany
from widthwise.export.integers.reading import program_of, read_program
from widthwise.export.integers.steps import Convolution, Linear, Program, Scale, Step
from widthwise.export.rtl.bench import TOP, Flavor, Port, Ports, bench, vectors
from widthwise.export.rtl.simulating import simulated

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised
    from widthwise.spaces.slots import Slot

NETWORK = "network"
SUFFIX: dict[Flavor, str] = {"verilog": "v", "vhdl": "vhd"}
MOST_PRODUCTS = 500_000  # each is adders of its own; more take hours and fit no device
WEIGHT_BITS = 24  # alkaid reads weights in float32


@dataclass(frozen=True)
class RtlExporter:
    """Networks of linear layers, convolutions, ReLU, maximum pooling and sums, all in fixed point, unrolled.

    pipeline: how much delay a stage between registers may have, in adders one after the other; 0: no clock.
    simulate: whether the test bench is run, where its simulator is installed; minutes for large networks.
    ternary: whether adders may add three numbers, which Vivado maps to a LUT a bit, Yosys to more than two.
    """

    name: Flavor
    pipeline: float = 0.0
    simulate: bool = True
    ternary: bool = True
    extra: str = "fpga"
    exact: bool = True

    def refusals(self, realised: Realised, graph: Graph) -> list[str]:
        """Layers and formats that integers don't compute, weights of more bits than are read."""
        del realised
        program, reasons = read_program(graph)
        if program is None:
            return reasons
        return [
            f"{step.out.node}: has weights of more than {WEIGHT_BITS} bits; give them fewer"
            for step in program.steps
            if _is_too_wide(step)
        ]

    def reasons_of_many(self, graph: Graph, slots: Sequence[Slot]) -> ReasonsOfMany:
        """How many refusals each of many candidates has."""
        return ReasonsOfMany(graph, slots, refused=_is_too_wide)

    def write(self, realised: Realised, graph: Graph, folder: Path, example: tuple[Tensor, ...]) -> Exported:
        """The logic under src/, alkaid's own form of it, scripts for Vivado and Quartus, and a test bench.

        What runs is the logic in alkaid's interpreter; where a simulator is installed (Verilator, GHDL) the
        test bench is run too. Raises UserError where that finds another output.
        """
        try:
            from alkaid.codegen import RTLModel  # type: ignore[import-untyped]

            from widthwise.export.rtl.logic import logic_of
        except ImportError as error:
            raise UserError(
                f"{self.name}: needs {error.name}; pip install 'widthwise[{self.extra}]'"
            ) from error
        del realised
        program = program_of(graph, example[0])
        _check_size(program)
        try:
            logic = logic_of(program)
        except AssertionError as error:
            raise UserError(f"{self.name}: alkaid makes no logic of this network: {error}") from error
        made = RTLModel(
            logic,
            folder,
            NETWORK,
            self.name,
            latency_cutoff=self.pipeline or -1,
            print_latency=False,
            ternary_fuse=self.ternary,
        )
        made.write({"widthwise": {"input": repr(program.fmt), "output_fraction": program.output.fraction}})
        shutil.rmtree(folder / "sim")  # alkaid's bench; ours has the outputs that are expected
        ports = _ports(made)
        texts = {f"{TOP}.{SUFFIX[self.name]}": bench(self.name, ports), **vectors(program, ports)}
        for name, text in texts.items():
            write_atomically(folder / name, text.encode())
        for path in folder.rglob("*.v"):
            _drop_lint_comments(path)
        files = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
        tried = simulated(self.name, folder) if self.simulate else "the test bench was not run"
        notes = (_estimate(logic, ports), tried)
        return Exported(files, Interpreted(program, logic), notes=notes)


def _is_too_wide(step: Step) -> bool:
    if not isinstance(step, Linear | Convolution | Scale):
        return False
    return bool(np.abs(step.weight).max(initial=0) >> WEIGHT_BITS)


@dataclass(frozen=True)
class Interpreted:
    """The logic in alkaid's interpreter."""

    program: Program
    logic: Any

    def __call__(self, x: Tensor) -> Tensor:
        """The outputs, exactly, as float64 [n, ...]."""
        codes = codes_of(self.program, x).reshape(len(x), -1)
        values = np.ldexp(codes.astype(np.float64), -self.program.input.fraction)
        found = self.logic.predict(values, n_threads=1)
        return torch.from_numpy(found).reshape(len(x), *self.program.shape(self.program.output))


def _check_size(program: Program) -> None:
    products = 0
    for step in program.steps:
        if isinstance(step, Linear | Convolution | Scale):
            products += step.weight.size * program.size(step.out) // len(step.weight)
    if products > MOST_PRODUCTS:
        raise UserError(
            f"the network has {products:,} products, each of which would be logic of its own; at most "
            f"{MOST_PRODUCTS:,} are written; search a smaller network, or export it as hls4ml"
        )


def _ports(made: Any) -> Ports:
    (given,), (gives,) = made.fsm.inp_signals, made.fsm.out_signals
    ports = Ports(Port.of(given), Port.of(gives), gives.schedule.bias)
    if not ports.given.bits or not ports.gives.bits:
        raise UserError(
            "the network's outputs don't depend on its input in these formats; pick another trial"
        )
    return ports


def _estimate(logic: Any, ports: Ports) -> str:
    clock = f", {ports.edges} clocks from input to output" if ports.edges else ""
    return f"alkaid's estimate: {logic.cost:,.0f} LUTs, a delay of {logic.latency[1]:.0f} adders{clock}"


def _drop_lint_comments(path: Path) -> None:
    """Without directives that older versions of Verilator don't know, which they take for errors."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "verilator lint_" not in line))
