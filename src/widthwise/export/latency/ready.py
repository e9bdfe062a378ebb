"""Networks ready to be timed: as ONNX Runtime runs what is exported, or as torch.compile makes them."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.export.latency.turns import Call
from widthwise.network.calling import positional

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.export.onnx import Layout
    from widthwise.metrics.timing import Timing
    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised

SAMPLES = 2  # of the example that a network is exported with
RECOMPILED = 100_000  # times that torch.compile may meet code that it knows; beyond it would not compile


@dataclass(frozen=True)
class Ready:
    """Calls that run a network once, `again` another instance of it; runtime: what runs it, for people."""

    call: Call
    again: Call
    runtime: str


def runs_in_torch(timing: Timing, *, formats: bool) -> bool:
    """Whether torch.compile is timed; formats: networks have some, which it has no kernels for."""
    if timing.runtime == "torch" and formats:
        raise UserError(
            'latency: runtime = "torch" has no integer kernels for formats; leave it out, so that ONNX '
            "Runtime runs the export"
        )
    return timing.runtime == "torch" or (timing.runtime == "auto" and not formats)


def ready(realised: Realised, graph: Graph, timing: Timing, *, in_torch: bool) -> Ready:
    """The network as it is timed. Raises UserError where it has no such form."""
    inputs = _inputs(realised, graph, timing)
    if in_torch:
        return _compiled(graph, inputs)
    return _exported(realised, graph, inputs, timing)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many threads within an operation of torch, and no gradients, inside."""
    usual = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(usual)


def _inputs(realised: Realised, graph: Graph, timing: Timing) -> tuple[Tensor, ...]:
    """Made-up ones, as what a network takes is known; times don't depend on values."""
    if realised.batch is not None and realised.batch != timing.batch:
        raise UserError(
            f"latency: the network takes {realised.batch} samples at once, not {timing.batch}; "
            f"set batch = {realised.batch}"
        )
    found = {
        name: x if x.shape[:1] == (timing.batch,) else _of(x, timing.batch)
        for name, x in realised.example(timing.batch).items()
    }
    if not found:
        raise UserError("latency: it isn't known what the network takes; search it anew")
    return positional(graph.network, found)


def _of(x: Tensor, samples: int) -> Tensor:
    """Samples of those kept, again and again."""
    return x[torch.arange(samples) % len(x)]


def _exported(realised: Realised, graph: Graph, inputs: tuple[Tensor, ...], timing: Timing) -> Ready:
    from widthwise.export.onnx import NETWORK, OnnxExporter

    layout: Layout = "qdq" if any(graph.schemes.values()) else "float"
    form = OnnxExporter(layout)
    if reasons := form.refusals(realised, graph):
        raise UserError(f"latency: {reasons[0]}")
    with TemporaryDirectory(prefix="widthwise-latency-") as place:
        some = inputs if realised.batch is not None else tuple(x[:SAMPLES] for x in inputs)
        form.write(realised, graph, Path(place), some)
        content = (Path(place) / NETWORK).read_bytes()
    runtime = f"ONNX Runtime {version('onnxruntime')}, layout {layout}"
    call, again = (_of_session(content, inputs, timing) for _ in range(2))
    return Ready(call, again, runtime)


def _of_session(content: bytes, inputs: tuple[Tensor, ...], timing: Timing) -> Call:
    from widthwise.export.onnx_runtime import session

    made = session(content, threads=timing.threads)
    names = [value.name for value in made.get_inputs()]
    given = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
    return lambda: made.run(None, given)


def _compiled(graph: Graph, inputs: tuple[Tensor, ...]) -> Ready:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise UserError(
            f"latency: torch.compile needs a C++ compiler, and there is no {compiler} here; install g++, or "
            'set runtime = "onnxruntime"'
        )
    call = _of_compiled(graph.model, inputs)
    return Ready(call, call, f"torch {torch.__version__}, compiled")


def _of_compiled(network: Any, inputs: tuple[Tensor, ...]) -> Call:
    """Compiled as a whole; a network of which some would run as it is says so."""
    made: Any = torch.compile(network, fullgraph=True, dynamic=False)
    try:
        with torch._dynamo.config.patch(recompile_limit=RECOMPILED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about itself
            made(*inputs)
    except Exception as error:  # of what torch.compile can't compile, which raises many kinds
        raise UserError(
            f"latency: torch.compile does not take the network: {describe_error(error)[:200]}; set runtime = "
            '"onnxruntime"'
        ) from error
    return lambda: made(*inputs)
