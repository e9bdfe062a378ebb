"""The form "torch": a folder of weights (safetensors) and JSON, which `load` reads back bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.files import write_atomically
from widthwise.core.inside import LARGE, is_inside, read_inside
from widthwise.export.by_layer import ReasonsByLayer
from widthwise.export.exporter import Exported
from widthwise.export.scaler import Standardise
from widthwise.export.torch_program import PROGRAM, Made, Program, check_alike, program_of
from widthwise.network.named import MODELS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from widthwise.data.samples import Scaler
    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised
    from widthwise.spaces.slots import Slot

NETWORK, WEIGHTS = "network.json", "weights.safetensors"
SCALER = "scaler.safetensors"  # mean and scale, where the network standardises its input itself
CALLS = "calls.json"  # what the network computes in float, where its code is not ours and torch.fx traces it
SAMPLE = "sample.safetensors"  # only where the network has to be captured on samples of the data
VERSION = 1  # of what NETWORK holds


@dataclass(frozen=True)
class TorchExporter:
    """Everything that makes the network again with torch and widthwise; takes every network and format.

    program: whether a program of torch.export goes beside it, which needs torch alone, where torch can make
    one that gives the same bits.
    """

    program: bool = True
    name: str = "torch"
    extra: str = ""
    exact: bool = True

    def refusals(self, realised: Realised, graph: Graph) -> list[str]:
        """None: what was searched can be written."""
        del realised, graph
        return []

    def reasons_of_many(self, graph: Graph, slots: Sequence[Slot]) -> ReasonsByLayer:
        """None against any."""
        return ReasonsByLayer((), {}, tuple(slots), lambda *_: ())

    def write(self, realised: Realised, graph: Graph, folder: Path, example: tuple[Tensor, ...]) -> Exported:
        """NETWORK and WEIGHTS, SAMPLE where it is needed, PROGRAM where there is one; what runs is the folder
        read back, and the program has to give the same bits."""
        from widthwise.network.checkpoints import as_safetensors

        del graph, example
        name = _name_that_works(realised)
        content = {"version": VERSION, **realised.as_json(), "model": name}
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        write_atomically(folder / NETWORK, text.encode() + b"\n")
        write_atomically(folder / WEIGHTS, as_safetensors(realised.weights or {}))
        files = [folder / NETWORK, folder / WEIGHTS]
        if realised.sample is not None:
            write_atomically(folder / SAMPLE, as_safetensors(realised.sample))
            files.append(folder / SAMPLE)
        why = "" if name in MODELS.own else _write_calls(realised, folder)
        if (folder / CALLS).exists():
            files.append(folder / CALLS)
        needed = name is None and bool(why)
        run = _read_back(folder, realised, realised.network if needed else None)
        note = f"to be read back it needs the network, load(path, model=network): {why}"
        made = Exported(tuple(files), run, notes=(note,) if needed else ())
        return self._with_program(made, run, folder, partial(program_of, run.graph.model, realised))

    def with_scaler(self, exported: Exported, scaler: Scaler, folder: Path) -> Exported:
        """SCALER beside what was written: `load` has the network standardise its input by it."""
        from widthwise.network.checkpoints import as_safetensors

        runs = exported.run
        if not isinstance(runs, _ReadBack):
            raise TypeError("the scaler goes in front of what this form wrote")
        write_atomically(folder / SCALER, as_safetensors(Standardise.of(scaler).state_dict()))
        files = [path for path in exported.files if path.name != PROGRAM]
        (folder / PROGRAM).unlink(missing_ok=True)
        run = _read_back(folder, runs.realised, runs.given)
        plain, made = runs.graph.model, Exported((*files, folder / SCALER), run)
        making = partial(program_of, plain, runs.realised, first=Standardise.of(scaler))
        return self._with_program(made, run, folder, making)

    def _with_program(
        self, exported: Exported, run: _ReadBack, folder: Path, making: Callable[[], Made]
    ) -> Exported:
        """What was written with the program beside it, or a note why there is none."""
        if not self.program:
            return exported
        program, note = making()
        if program is None:
            return replace(exported, notes=(*exported.notes, note))
        write_atomically(folder / PROGRAM, program.content)
        files = (*exported.files, folder / PROGRAM)
        return replace(
            exported, files=files, run=replace(run, program=program), notes=(*exported.notes, note)
        )


@dataclass(frozen=True)
class _ReadBack:
    """A folder read back; realised: what it was made of, given: its network, where it has no name."""

    graph: Graph
    realised: Realised
    given: nn.Module | None
    program: Program | None = None

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """What the network gives, and the program has to give too."""
        if self.program is not None:
            check_alike(self.program, self.graph.model, inputs, named)
        return self.graph.model(*inputs, **named)


def _read_back(folder: Path, realised: Realised, given: nn.Module | None) -> _ReadBack:
    return _ReadBack(load(folder, model=given), realised, given)


def load(path: str | Path, *, model: nn.Module | None = None) -> Graph:
    """The network that was exported as "torch" into this folder, in eval mode: `.model` runs it.

    model: the network that was searched, as it was given; without it, it is made of CALLS, which runs no code
    but torch's, or else by the name that NETWORK has for it, code of one's own included. It is needed where
    there is neither. It stays as it is. Raises UserError for a folder of another kind, a broken one, and
    weights that are not those that were exported.
    """
    from widthwise.network.checkpoints import tensors_inside

    folder = Path(path).expanduser()
    realised = read_realised(folder)
    if model is None and (found := _of_calls(realised, folder)) is not None:
        graph = _as_it_is(realised).graph(found)
    else:
        graph = realised.graph(_named(realised, folder) if model is None else model)
    if (tensors := tensors_inside(folder, SCALER)) is not None:
        scaler = _scaler(tensors, folder / SCALER)
        graph.model.register_forward_pre_hook(partial(_standardise, scaler), with_kwargs=True)
    return graph


def _scaler(tensors: dict[str, Tensor], place: Path) -> Standardise:
    if tensors.keys() != {"mean", "scale"}:
        raise UserError(f"{place}: holds no mean and scale; export the network again")
    return Standardise(**tensors)


def _standardise(
    scaler: Standardise, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The only input of a network, by position or by name, standardised."""
    if inputs:
        return (scaler(inputs[0]), *inputs[1:]), named
    return inputs, {name: scaler(x) for name, x in named.items()}


def read_realised(folder: Path) -> Realised:
    """What an exported folder says of its network, weights included."""
    from widthwise.network.checkpoints import tensors_inside
    from widthwise.network.realised import Realised

    place = folder / NETWORK
    if not folder.is_dir() or not is_inside(folder, NETWORK):
        raise UserError(f"{folder}: is no network exported as torch: it has no {NETWORK}")
    try:
        stored: Any = json.loads(read_inside(folder, NETWORK, most=LARGE) or b"")
    except UserError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{place}: can't be read as JSON; export the network again") from error
    version = stored.get("version") if isinstance(stored, dict) else None
    if version != VERSION:
        raise UserError(f"{place}: is of version {version}; this widthwise reads {VERSION}")
    weights = tensors_inside(folder, WEIGHTS)
    if weights is None:
        raise UserError(f"{folder / WEIGHTS}: no such file; export the network again")
    return Realised.from_json(stored, weights, tensors_inside(folder, SAMPLE), where=str(place))


def _name_that_works(realised: Realised) -> str | None:
    """The network's name where it gives this network; None where another one was given from Python."""
    if realised.model is None or realised.network is None:
        return realised.model
    try:
        realised.graph(_named(realised, Path()))
    except UserError:
        return None
    return realised.model


def _as_it_is(realised: Realised) -> Realised:
    """The same of a network that has its sizes, its batch norms folded and channels equalised, already."""
    return replace(realised, sizes={}, folded=False, equalised=False)


def _write_calls(realised: Realised, folder: Path) -> str:
    """Writes CALLS, the float network as it is after resizing; or says why there is none."""
    from widthwise.network.described import described
    from widthwise.network.written import NotWrittenError

    floats = replace(realised, schemes={})
    try:
        stored = described(floats.graph().model, floats.example())
    except NotWrittenError as why:
        return str(why)
    write_atomically(folder / CALLS, json.dumps(stored, ensure_ascii=False).encode() + b"\n")
    return ""


def _of_calls(realised: Realised, folder: Path) -> nn.Module | None:
    """The float network that CALLS describes; None where there is none."""
    from widthwise.network.written import built

    if not is_inside(folder, CALLS):
        return None
    try:
        stored: Any = json.loads(read_inside(folder, CALLS, most=LARGE) or b"")
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{folder / CALLS}: can't be read as JSON; export the network again") from error
    return built(stored, realised.weights or {}, where=str(folder / CALLS))


def _named(realised: Realised, folder: Path) -> nn.Module:
    from widthwise.network.named import load_model

    if realised.model is None:
        raise UserError(
            f"{folder}: its network was given from Python, so it has no name; give it again, as in "
            "load(path, model=network)"
        )
    return load_model(realised.model)
