"""Certifying trials: their logic written, synthesised, its netlist simulated, and what was measured kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.export.importing import folder_of
from widthwise.export.rtl.exporter import Interpreted, RtlExporter
from widthwise.export.tools import needed, version_of
from widthwise.export.write import Export, export
from widthwise.study.looks import shown
from widthwise.study.measured import Measured, keep_measured, read_measured
from widthwise.study.run_folder import load_run, save_front
from widthwise.study.study import Study
from widthwise.study.trials import Trial

if TYPE_CHECKING:
    from torch import nn

    from widthwise.data.modules import Data
    from widthwise.export.rtl.stages import Estimate

CLOSE = 0.01  # a sum over stages that is off by no more needs no word


@shown
@dataclass(frozen=True)
class Certificate:
    """Of one trial.

    measured: by each tool. refused: why there is none, "" where there is. kept: whether it was measured
    before, and is what the run kept of that.
    """

    trial: int
    measured: tuple[Measured, ...] = ()
    refused: str = ""
    kept: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        found = [each.as_json() for each in self.measured]
        return {"trial": self.trial, "measured": found, "refused": self.refused or None, "kept": self.kept}


def certify(
    study: Study | str | Path,
    trials: Sequence[Trial | int] | None = None,
    *,
    pipeline: float = 0.0,
    place: bool = True,
    again: bool = False,
    model: nn.Module | None = None,
    data: Data | None = None,
    told: Callable[[Certificate], None] | None = None,
    begun: Callable[[str], None] | None = None,
) -> tuple[Certificate, ...]:
    """Synthesises trials' networks with Yosys, and keeps what that measured in their run.

    Each is exported as Verilog, which has to equal the network that was judged; Yosys maps it to an FPGA of
    Xilinx' UltraScale+ family; the netlist has to give the expected outputs in Icarus Verilog, where that is
    installed; nextpnr places and routes small ones on an iCE40, where that is. No figure is Vivado's.

    Args:
        study: a study with a run folder, or the folder. trials: by default those of the front, one of those
            that are equal in all objectives.
        pipeline: as of the form "verilog": adders between registers, 0: no clock.
        place: whether small ones are placed and routed. again: also those measured in the same way before.
        model, data: as of `ww.export`. told: is called with each certificate once it is kept; begun: with a
            line before each trial that has to be measured, which takes minutes where networks are great.

    A trial whose network is no logic is refused alone. Raises UserError where Yosys is missing, or no trial
    can be certified.
    """
    needed("yosys", package="yosys (make debs)", to="synthesise")
    folder = folder_of(study)
    run = study if isinstance(study, Study) else load_run(folder)
    if trials is None and not run.front:
        raise UserError(f"{folder}: there is nothing to certify; no trial succeeded within the bounds")
    wanted = [tie.trial for tie in run.ties] if trials is None else [_trial(run, each) for each in trials]
    before = {} if again else read_measured(folder)
    found = []
    for number, trial in enumerate(wanted, 1):
        done = _kept(trial, before.get(trial.number, ()), pipeline)
        if done is None:
            if begun is not None:
                begun(
                    f"trial {trial.number} ({number} of {len(wanted)}): written as Verilog, mapped by Yosys"
                )
            done = _certified(run, trial, pipeline, place=place, model=model, data=data)
            for measured in done.measured:
                keep_measured(folder, trial.number, measured)
        if told is not None:
            told(done)
        found.append(done)
    save_front(run, folder)
    if all(each.refused for each in found):
        raise UserError(f"trial {found[0].trial}: {found[0].refused}")
    return tuple(found)


def _trial(run: Study, given: Trial | int) -> Trial:
    return run.trial(given.number if isinstance(given, Trial) else int(given))


def _kept(trial: Trial, measured: Sequence[Measured], pipeline: float) -> Certificate | None:
    """What the run has of a trial, where that was measured as it would be now."""
    now = version_of("yosys", "-V")
    if not any(each.version == now and _how(pipeline) in each.notes for each in measured):
        return None
    return Certificate(trial.number, tuple(measured), kept=True)


def _how(pipeline: float) -> str:
    registers = f"a register after every {pipeline:g} adders" if pipeline else "without registers"
    return f"adders of two numbers, {registers}"


def _certified(
    run: Study, trial: Trial, pipeline: float, *, place: bool, model: nn.Module | None, data: Data | None
) -> Certificate:
    form = RtlExporter("verilog", pipeline, simulate=False, ternary=False)
    with TemporaryDirectory(prefix="widthwise-certify-") as where:
        rtl, made = Path(where) / "rtl", Path(where) / "made"
        made.mkdir()
        try:
            done = export(run, trial, form, rtl, model=model, data=data)
            measured = tuple(_measured(done, rtl, made, place=place))
        except UserError as error:
            return Certificate(trial.number, refused=str(error))
    how = _how(pipeline)
    return Certificate(trial.number, tuple(replace(each, notes=(how, *each.notes)) for each in measured))


def _measured(done: Export, rtl: Path, made: Path, *, place: bool) -> Iterator[Measured]:
    """The whole network by alkaid, then by each tool."""
    from widthwise.export.rtl.luts import clocks
    from widthwise.export.rtl.stages import Estimate
    from widthwise.export.rtl.synthesis import placed, synthesised, why_not_placed

    assert isinstance(done.exported.run, Interpreted)
    whole = Estimate.of(done.exported.run.logic)
    figures = {
        "alkaid_luts": whole.luts,
        "alkaid_adders": whole.adders,
        "alkaid_latency_cycles": clocks(whole.delay),
    }
    yield Measured("alkaid", f"alkaid {version('alkaid')}", figures, tuple(compared(done.trial, whole)))
    found = synthesised(rtl, made)
    outputs = f"{done.check.equal:,} of {done.check.samples:,} outputs equal on {done.check.on}"
    luts = found.metrics["yosys_luts"]
    reason = why_not_placed(luts) if place else "not placed and routed: not asked for"
    small = None
    if not reason:
        try:
            small = placed(rtl, made, luts)
        except UserError as error:  # too large for the device, after all
            reason = f"not placed and routed: {error}"
    yield replace(found, notes=(*found.notes, outputs, *([reason] if reason else [])))
    if small is not None:
        yield small


def compared(trial: Trial, whole: Estimate) -> Iterator[str]:
    """By how much costs of a search, which are sums over stages, are off those of the whole network."""
    for name, value in (("luts", whole.luts), ("adders", whole.adders)):
        if name not in trial.metrics:
            continue
        off = trial.metrics[name] / value - 1 if value else float(trial.metrics[name] > 0)
        beside = "below" if off < 0 else "above"
        how = "within 1% of" if abs(off) <= CLOSE else f"{abs(off):.1%} {beside}"
        yield f"the search's {name}, {trial.metrics[name]:,.0f} summed over stages: {how} the whole network's"
