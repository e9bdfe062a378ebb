"""ONNX Runtime on the CPU: sessions of a file, at every level of optimisation, and which kernels they run."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error

if TYPE_CHECKING:
    from torch import Tensor

LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")
CLOSE = 1e-4  # of the greatest output, between levels of optimisation, where sums are floats
# sums of products of bytes that x86 processors without VNNI cut to 16 bits are computed in another, exact way
PRECISE = ("session.x64quantprecision", "1")
X86 = ("x86_64", "amd64", "i686", "x86")
CPU = Path("/proc/cpuinfo")
INTEGER = {
    *("QGemm", "QLinearMatMul", "QLinearConv", "MatMulInteger", "MatMulIntegerToFloat"),
    *("ConvInteger", "DynamicQuantizeMatMul", "QLinearAdd"),
}


@dataclass(frozen=True)
class AtEveryLevel:
    """A file in ONNX Runtime, once for each level of optimisation, the last of which answers.

    exact: all levels have to give the same bits, and NaN, which has no code, is refused.
    """

    sessions: Mapping[str, Any]
    exact: bool = False

    @classmethod
    def of(cls, content: bytes, *, exact: bool = False) -> AtEveryLevel:
        """Raises UserError for what ONNX Runtime does not take."""
        return cls({level: session(content, level=level) for level in LEVELS}, exact)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...] | Tensor:
        if self.exact and any(bool(x.isnan().any()) for x in inputs):
            raise UserError("the samples hold NaN, which has no code in fixed point; clean the data")
        found = {level: _run(session, inputs) for level, session in self.sessions.items()}
        plain, best = found[LEVELS[0]], found[LEVELS[-1]]
        for level, outputs in found.items():
            for one, other in zip(plain, outputs, strict=True):
                if not (torch.equal(one, other) if self.exact else _are_close(one, other)):
                    raise UserError(
                        f"ONNX Runtime computes something else at {level} than without optimisation"
                    )
        return best if len(best) > 1 else best[0]


def session(
    content: bytes,
    *,
    level: str = LEVELS[-1],
    threads: int = 0,
    optimised: Path | None = None,
    precise: bool | None = None,
) -> Any:
    """A session on the CPU; threads: within an operation, 0: as many as there are cores.

    optimised: where the graph that it runs is written. precise: PRECISE; None: where this processor needs it.
    Raises UserError for what it does not take.
    """
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.log_severity_level = 4  # what is fatal; the rest is raised
    options.intra_op_num_threads = threads
    if cuts_sums() if precise is None else precise:
        options.add_session_config_entry(*PRECISE)
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has kinds of its own, which share no base
        raise UserError(f"ONNX Runtime does not take it: {describe_error(error)[:300]}") from error


@cache
def cuts_sums() -> bool:
    """Whether this processor may cut sums of products of bytes: an x86 one that is not known to have VNNI."""
    if platform.machine().lower() not in X86:
        return False
    try:
        return "vnni" not in CPU.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True


def kernels(content: bytes) -> Counter[str]:
    """How many nodes of which kind ONNX Runtime runs of a file, at its highest level of optimisation."""
    import onnx

    with TemporaryDirectory(prefix="widthwise-onnx-") as place:
        path = Path(place) / "optimised.onnx"
        session(content, optimised=path)
        return Counter(node.op_type for node in onnx.load(str(path)).graph.node)


def kernels_note(ran: Counter[str], weighted: int) -> str:
    """Which kernels ran, in words; weighted: so many layers have weights."""
    from importlib.metadata import version

    found = sum(count for name, count in ran.items() if name in INTEGER - {"QLinearAdd"})
    listed = ", ".join(f"{count} {name}" for name, count in sorted(ran.items()))
    return (
        f"ONNX Runtime {version('onnxruntime')} runs {found} of {weighted} layers with weights in integer "
        f"kernels: {listed}"
    )


def _run(session: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    names = [value.name for value in session.get_inputs()]
    given = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
    return tuple(torch.from_numpy(output) for output in session.run(None, given))


def _are_close(plain: Tensor, other: Tensor) -> bool:
    if not plain.is_floating_point() or plain.numel() == 0:
        return True
    most = float(plain.abs().nan_to_num(0.0, 0.0, 0.0).max())
    return torch.allclose(plain, other, rtol=0.0, atol=CLOSE * max(most, 1e-6), equal_nan=True)
