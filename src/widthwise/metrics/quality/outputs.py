"""Which of what a network returns is judged: its only tensor, `logits`, what fits the targets, or as said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from widthwise.core.errors import UserError, unknown
from widthwise.data.facts import DataFacts
from widthwise.metrics.quality.finding import find_task
from widthwise.metrics.quality.task import Task
from widthwise.network.reading import as_plain

USUAL = "logits"  # as Hugging Face's networks name what they are judged by
HALVES = (torch.float16, torch.bfloat16)

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Output:
    """One tensor of what a network returns, as a task takes it; called with what the network returned.

    path: keys and indices down to it; () where the network returns one tensor. among: all that it returns.
    why: by what the task was found; "" where it was said. Halves are widened to float32, which is exact:
    figures are not computed in them.
    """

    task: Task
    path: Path = ()
    among: tuple[str, ...] = ()
    why: str = ""

    def __call__(self, result: Any) -> Tensor:
        found = result if isinstance(result, Tensor) else tensors_of(result).get(self.path)
        if found is None:
            raise UserError(f"the network returns no output {self.name} now; it had {', '.join(self.among)}")
        outputs = self.task.outputs(found)
        return outputs.float() if outputs.dtype in HALVES else outputs

    def is_in(self, result: Any) -> bool:
        """Whether a network returned it, as it may do in training and not in evaluation."""
        return isinstance(result, Tensor) or self.path in tensors_of(result)

    @property
    def name(self) -> str:
        """How a user says it."""
        return named(self.path)

    def __str__(self) -> str:
        if len(self.among) < 2:
            return "the network's only output"
        return f"output {self.name} of {len(self.among)} ({', '.join(self.among)})"


def find_output(
    result: Any,
    targets: Tensor,
    task: Task | None,
    about: DataFacts,
    said: str | int | None = None,
    *,
    known: Tensor | None = None,
) -> Output:
    """What is judged of what a network returned for samples with these targets [n, ...], and as what.

    said: its key, index or both with dots ("logits", 1, "heads.0"). Else the only tensor; that named logits;
    the only one that the targets fit or, of several, the only one with as many columns as the data says it
    has classes. task: None: the one that fits. known: more targets of that data, by whose values it is found.
    Raises UserError where that decides nothing, or nothing is there.
    """
    values = targets if known is None else known
    if isinstance(result, Tensor):
        if said is not None:
            raise UserError(f"output = {said!r}: the network returns one tensor; leave output out")
        return _judged(result, (), (), values, task, about)
    found = tensors_of(result)
    among = tuple(map(named, found))
    if not found:
        kind = type(result).__name__.removeprefix("immutable_")  # as fx has them
        raise UserError(f"the network returns a {kind} without a tensor; let it return scores [n, classes]")
    if said is not None:
        if str(said) not in among:
            raise unknown("output", str(said), among, where="output")
        path = next(path for path in found if named(path) == str(said))
        return _judged(found[path], path, among, values, task, about)
    decided = _decided(found, targets, values, task, about)
    if decided is None:
        fits = (path for path, x in found.items() if x.ndim > 1 and x.shape[-1] == about.classes)
        shapes = ", ".join(f"{named(path)} {list(x.shape)}" for path, x in found.items())
        raise UserError(
            f"the network returns {shapes} for targets of shape {list(targets.shape)}, so it is not plain "
            f'which is judged; say it, as in output = "{named(next(fits, next(iter(found))))}"'
        )
    return _judged(found[decided], decided, among, values, task, about)


def _judged(
    output: Tensor, path: Path, among: tuple[str, ...], values: Tensor, task: Task | None, about: DataFacts
) -> Output:
    """This output, and the task that fits it where none is given."""
    if task is not None:
        return Output(task, path, among)
    found = find_task(values, tuple(output.shape[1:]), about)
    return Output(found.task, path, among, found.why)


def judged_output(result: Any, said: str | int | None = None) -> Tensor:
    """Of what a network returned, the output that is judged where there are no targets to find it by.

    It is the one said, the only tensor, or that named logits. Raises UserError where that decides nothing.
    """
    found: dict[Path, Tensor] = {(): result} if isinstance(result, Tensor) else tensors_of(result)
    if said is not None:
        paths = {named(path): path for path in found}
        if str(said) not in paths:
            raise unknown("output", str(said), paths, where="output")
        found = {paths[str(said)]: found[paths[str(said)]]}
    if len(found) != 1 and (USUAL,) not in found:
        shapes = ", ".join(f"{named(path)} {list(x.shape)}" for path, x in found.items()) or "no tensor"
        raise UserError(f"the network returns {shapes}; say which is judged, as in output = 1")
    outputs = found[(USUAL,)] if (USUAL,) in found else next(iter(found.values()))
    return outputs.float() if outputs.dtype in HALVES else outputs


def tensors_of(result: Any) -> dict[Path, Tensor]:
    """The tensors in what a network returns, in their order, by the keys and indices that lead to them."""
    return _tensors(as_plain(result), ())


def named(path: Path) -> str:
    """A path as people write it."""
    return ".".join(map(str, path))


def _tensors(plain: Any, path: Path) -> dict[Path, Tensor]:
    if isinstance(plain, Tensor):
        return {path: plain}
    if not isinstance(plain, Mapping | list):
        return {}
    entries = plain.items() if isinstance(plain, Mapping) else enumerate(plain)
    return {place: x for key, value in entries for place, x in _tensors(value, (*path, key)).items()}


def _decided(
    found: Mapping[Path, Tensor], targets: Tensor, values: Tensor, task: Task | None, about: DataFacts
) -> Path | None:
    if len(found) == 1:
        return next(iter(found))
    if (USUAL,) in found:
        return (USUAL,)
    fitting = {path: x for path, x in found.items() if _fits(x, targets, values, task, about)}
    if len(fitting) > 1:
        fitting = {path: x for path, x in fitting.items() if tuple(x.shape[1:]) == (about.classes,)}
    return next(iter(fitting)) if len(fitting) == 1 else None


def _fits(output: Tensor, targets: Tensor, values: Tensor, task: Task | None, about: DataFacts) -> bool:
    """Whether an output has a row for each sample, by which the task can judge."""
    if output.ndim == 0 or len(output) != len(targets) or not output.is_floating_point():
        return False
    try:
        judged = _judged(output, (), (), values, task, about).task
        judged.check(targets, tuple(judged.outputs(output).shape[1:]), about)
    except UserError:
        return False
    return True
