"""How latencies are measured: by what, with how many threads and samples (imports nothing heavy)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from widthwise.core.errors import UserError

Runtime = Literal["auto", "onnxruntime", "torch"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
FEWEST_ROUNDS = 20


@dataclass(frozen=True)
class Timing:
    """The settings of a measurement.

    threads: within an operation. batch: samples of a call. warm_up: calls before any that counts. rounds: how
    often the network and the float network take turns. runtime: "onnxruntime" runs the form onnx, formats in
    integer kernels; "torch" what torch.compile makes of a network in float; "auto": the first for networks
    with formats, the second for others.
    """

    threads: int = 1
    batch: int = 1
    warm_up: int = 20
    rounds: int = 100
    runtime: Runtime = "auto"

    def __post_init__(self) -> None:
        for name, least in (("threads", 1), ("batch", 1), ("warm_up", 0), ("rounds", FEWEST_ROUNDS)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UserError(f"latency: {name} = {value!r} is no whole number from {least}")
        if self.runtime not in RUNTIMES:
            raise UserError(f"latency: no runtime {self.runtime!r}; allowed: {', '.join(RUNTIMES)}")
