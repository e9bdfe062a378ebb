"""The latency of a trial's network: what is exported, beside the float network, and that beside itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import unknown
from widthwise.export.latency.ready import Ready, ready, runs_in_torch, torch_threads
from widthwise.export.latency.turns import Measured, measured
from widthwise.metrics.timing import Timing
from widthwise.network.realised import Realised, inputs_of
from widthwise.study.looks import shown
from widthwise.study.study import Study

if TYPE_CHECKING:
    from torch import Tensor, nn

    from widthwise.network.graph import Graph
    from widthwise.study.trials import Trial

MICRO = 1e6


@shown
@dataclass(frozen=True)
class Latency:
    """How long a network takes for a call, in microseconds, beside the float network.

    runtime: what ran both. The network's is a median, and so is each ratio.
    """

    measured: Measured
    timing: Timing
    runtime: str

    @property
    def microseconds(self) -> float:
        """Of the network."""
        return self.measured.seconds * MICRO

    @property
    def float_microseconds(self) -> float:
        """Of the float network."""
        return self.measured.base_seconds * MICRO

    @property
    def ratio(self) -> float:
        """The network's to the float network's: below 1 it is faster."""
        return self.measured.ratio.median

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "latency": self.microseconds,
            "float_latency": self.float_microseconds,
            "latency_ratio": self.ratio,
            "ratio_quartiles": [self.measured.ratio.low, self.measured.ratio.high],
            "control_quartiles": [self.measured.control.low, self.measured.control.high],
            "rounds": self.measured.rounds,
            "timing": asdict(self.timing),
            "runtime": self.runtime,
        }


class Stopwatch:
    """Times networks beside one float network, which stays ready."""

    def __init__(self, realised: Realised, network: nn.Module, timing: Timing, *, formats: bool) -> None:
        """realised: any of the networks to be timed. formats: whether some of these have formats.

        Raises UserError where the float network has no form that can be timed.
        """
        self.timing, self.network = timing, network
        self.in_torch = runs_in_torch(timing, formats=formats)
        plain = replace(realised, sizes={}, schemes={}, weights=None, marks={})
        with torch_threads(timing.threads):
            self.base: Ready = ready(plain, plain.graph(network), timing, in_torch=self.in_torch)

    def float_itself(self) -> Latency:
        """The float network's."""
        return self._timed(self.base)

    def __call__(self, realised: Realised, graph: Graph | None = None) -> Latency:
        """A network's; graph: of it, where it is at hand. Raises UserError where it can't be had."""
        made = graph if graph is not None else realised.graph(self.network)
        with torch_threads(self.timing.threads):
            each = ready(realised, made, self.timing, in_torch=self.in_torch)
        return self._timed(each)

    def _timed(self, each: Ready) -> Latency:
        with torch_threads(self.timing.threads):
            found = measured(
                each.call,
                self.base.call,
                self.base.again,
                warm_up=self.timing.warm_up,
                rounds=self.timing.rounds,
            )
        return Latency(found, self.timing, each.runtime)


def measure(
    study: Study | str | Path,
    trial: Trial | int | str,
    *,
    timing: Timing | Mapping[str, Any] | None = None,
    model: nn.Module | None = None,
) -> Latency:
    """How long the network of a trial takes on this machine, as it is exported, beside the float network.

    Args:
        study, trial, model: as for `export`. timing: how, as {"threads": 2, "batch": 64}: fields of `Timing`.

    Formats run in ONNX Runtime's integer kernels, resized networks as torch.compile makes them, or in ONNX
    Runtime where timing says so. Raises UserError where they can't, and where the machine is so restless
    that the float network's times differ from one another.
    """
    from widthwise.export.write import chosen_trial
    from widthwise.study.run_folder import load_run

    found = study if isinstance(study, Study) else load_run(study)
    realised = found.realised(chosen_trial(found, trial))
    network = found.searched_network(model)
    how = timing if isinstance(timing, Timing) else _timing_of(timing or {})
    return Stopwatch(realised, network, how, formats=bool(realised.schemes))(realised)


def measure_float(network: nn.Module, inputs: Mapping[str, Tensor], timing: Timing) -> Latency:
    """How long a network takes that has no formats, beside itself. inputs: [n, ...], by name."""
    base = Realised((), {}, {}, inputs=inputs_of(inputs.keys(), inputs.values()))
    return Stopwatch(base, network, timing, formats=False).float_itself()


def _timing_of(given: Mapping[str, Any]) -> Timing:
    known = [field.name for field in fields(Timing)]
    for key in given:
        if key not in known:
            raise unknown("setting", key, known, where="latency")
    return Timing(**given)
