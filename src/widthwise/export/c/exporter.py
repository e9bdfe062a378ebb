"""The form "c": a network in fixed point as integer-only C99, compiled and run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch

from widthwise.core.errors import UserError
from widthwise.core.files import write_atomically
from widthwise.export.exporter import Exported
from widthwise.export.integers.computing import codes_of
from widthwise.export.integers.steps import Codes, Program
from widthwise.export.tools import run as run_tool
from widthwise.export.tools import version_of

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.export.integers.many import ReasonsOfMany
    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised
    from widthwise.spaces.slots import Slot

HEADER, SOURCE, BENCH = "network.h", "network.c", "test.c"
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c99", "-O1")


@dataclass(frozen=True)
class CExporter:
    """Networks of linear layers, convolutions, ReLU, maximum pooling and sums, all in fixed point."""

    name: str = "c"
    extra: str = ""
    exact: bool = True

    def refusals(self, realised: Realised, graph: Graph) -> list[str]:
        """Layers and formats that integers don't compute, sums of more than 63 bits."""
        from widthwise.export.integers.reading import read_program

        del realised
        return read_program(graph)[1]

    def reasons_of_many(self, graph: Graph, slots: Sequence[Slot]) -> ReasonsOfMany:
        """How many refusals each of many candidates has."""
        from widthwise.export.integers.many import ReasonsOfMany

        return ReasonsOfMany(graph, slots)

    def write(self, realised: Realised, graph: Graph, folder: Path, example: tuple[Tensor, ...]) -> Exported:
        """HEADER, SOURCE and BENCH; what runs is what a compiler makes of them."""
        from widthwise.export.c.bench import bench
        from widthwise.export.c.source import header, source
        from widthwise.export.integers.passes import quantised_early
        from widthwise.export.integers.reading import program_of

        del realised
        compiler = compiler_here()
        program = quantised_early(program_of(graph, example[0]))
        texts = {HEADER: header(program), SOURCE: source(program), BENCH: bench(program)}
        for name, text in texts.items():
            write_atomically(folder / name, text.encode())
        note = f"compiled by {version_of(compiler)}, {' '.join(FLAGS)}; its own test passes"
        run = compiled(program, folder, compiler)
        return Exported(tuple(folder / name for name in texts), run, notes=(note,))


@dataclass(frozen=True)
class Compiled:
    """The program that a compiler made, called with inputs [n, ...]; executable: the file's content."""

    program: Program
    executable: bytes

    def __call__(self, x: Tensor) -> Tensor:
        """The outputs, exactly, as float64 [n, ...]."""
        codes = self.codes(codes_of(self.program, x))
        shape = (len(x), *self.program.shape(self.program.output))
        return torch.from_numpy(np.ldexp(codes.astype(np.float64), -self.program.output.fraction)).reshape(
            shape
        )

    def codes(self, codes: Codes) -> Codes:
        """Codes of the outputs, flat, for those of inputs [n, ...]."""
        told = self.told("run", text="\n".join(map(str, codes.reshape(-1).tolist())))
        return np.array(told.split(), dtype=np.int64)

    def told(self, *arguments: str, text: str = "") -> str:
        """What the test main prints; UserError where it fails: where an output is not as expected too."""
        with TemporaryDirectory(prefix="widthwise-c-") as place:
            file = Path(place) / "test"
            file.write_bytes(self.executable)
            file.chmod(0o700)
            return run_tool([str(file), *arguments], text=text)


def compiler_here() -> str:
    """The C compiler: $CC, cc, gcc or clang; UserError where there is none."""
    asked = os.environ.get("CC")
    for name in (asked,) if asked else COMPILERS:
        if found := shutil.which(name):
            return found
    raise UserError(
        f"c: no compiler here to run what is written with ({asked or ', '.join(COMPILERS)}); install gcc, or "
        "name one in CC"
    )


def compiled(program: Program, folder: Path, compiler: str, flags: Sequence[str] = FLAGS) -> Compiled:
    """The files in a folder compiled, and their own test passed; UserError where they can't be."""
    with TemporaryDirectory(prefix="widthwise-c-") as place:
        file = Path(place) / "test"
        run_tool([compiler, *flags, "-o", str(file), str(folder / SOURCE), str(folder / BENCH)])
        made = Compiled(program, file.read_bytes())
    made.told()
    return made
