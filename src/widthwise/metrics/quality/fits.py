"""Whether a network and its data fit together, and how one is given the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.data.facts import DataFacts, facts_of, held_targets, part
from widthwise.data.modules import Data
from widthwise.metrics.quality.making import lacks_targets, with_targets
from widthwise.metrics.quality.task import Doubts, MakesTargets, Task
from widthwise.metrics.quality.tasks import CLOSENESS, task_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from widthwise.data.blocks import DataBlock
    from widthwise.metrics.quality.outputs import Output
    from widthwise.network.reading import Reader


@dataclass(frozen=True, eq=False)
class Fit:
    """How a network is given data and judged by it.

    shape: of what is judged, for one sample. about: the data, with the shapes that were seen. block: a few
    samples, or a batch where those have to stay together.
    """

    reader: Reader
    output: Output
    shape: tuple[int, ...]
    about: DataFacts
    block: DataBlock

    @property
    def task(self) -> Task:
        """What the outputs are worth."""
        return self.output.task

    @property
    def example(self) -> tuple[Any, ...] | dict[str, Any]:
        """Inputs that the network takes."""
        from widthwise.network.calling import as_example

        return as_example(self.reader.takes, self.block.inputs)

    def on(self, device: str) -> Fit:
        """The same where inputs go to a device."""
        return replace(self, reader=replace(self.reader, device=device), block=self.block.to(device))


def check_data_fits_model(
    model: nn.Module,
    data: Data,
    task: Task | str | None = None,
    output: str | int | None = None,
    *,
    name: str = "val",
) -> Fit:
    """Runs validation samples; UserError where the network can't take them, or can't be judged by them.

    task: None: the one that fits. output: which of several that the network returns is judged. name: of the
    part of the data, "val" or "test".
    """
    about = facts_of(data)
    if task is not None:
        judged = task_of(task)
        batches = _batches(with_targets(data, model, judged, output), name, about)
        return _without_doubt(fit_of(model, batches, judged, about, output), data, name)
    lacking, batches = lacks_targets(_batches(data, name, about), model)
    if lacking:
        found = check_data_fits_model(model, data, CLOSENESS, output, name=name)
        return _because(found, "the data has no targets, so the float network's outputs are")
    found = fit_of(model, batches, None, about, output, known=held_targets(data))
    if not isinstance(found.task, MakesTargets):
        return _without_doubt(found, data, name)
    made = check_data_fits_model(model, data, found.task, output, name=name)
    same = made.block.targets.equal(found.block.targets)
    return _because(
        made, found.output.why + ("" if same else ", the next one where labels repeat the inputs")
    )


def _without_doubt(fitting: Fit, data: Data, name: str) -> Fit:
    """The same; UserError where all targets of the part together show that they aren't what a few may be."""
    if not isinstance(fitting.task, Doubts):
        return fitting
    found = []
    for batch in _batches(data, name, fitting.about):
        doubt = fitting.task.doubt(fitting.reader.read(batch).targets, fitting.shape)
        if doubt is None:
            return fitting
        found.append(doubt)
    if (said := next(filter(None, found), "")) != "":
        raise UserError(f"{fitting.about.title}: {said}")
    return fitting


def _because(fitting: Fit, why: str) -> Fit:
    """The same, with by what the task was found."""
    return replace(fitting, output=replace(fitting.output, why=why))


def fit_of(
    model: nn.Module,
    loader: Iterable[Any],
    task: Task | None,
    about: DataFacts,
    output: str | int | None = None,
    *,
    device: str | None = None,
    known: Tensor | None = None,
) -> Fit:
    """The same for the samples of a loader, on the device that the network is on.

    known: targets of all the data, where they are at hand: by their values a task is found.
    """
    import torch

    from widthwise.metrics.quality.outputs import find_output
    from widthwise.network.reading import try_on

    if device is None:
        device = next((str(tensor.device) for tensor in model.state_dict().values()), "cpu")
    trial = try_on(model, loader, device=device, where=about.title)
    block = trial.block
    about = about.seen(next(iter(block.inputs.values())), block.targets)
    values = trial.targets if known is None else known
    if isinstance(trial.result, torch.Tensor):
        _check_rows(trial.result, block, about)
    found = find_output(trial.result, block.targets, task, about, output, known=values)
    outputs = found(trial.result)
    _check_rows(outputs, block, about)
    _check(found.task, trial.targets, tuple(outputs.shape[1:]), about)
    return Fit(trial.reader, found, tuple(outputs.shape[1:]), about, block)


def _check_rows(outputs: Tensor, block: DataBlock, about: DataFacts) -> None:
    """Raises UserError where there isn't a row of outputs for each sample."""
    if outputs.ndim and len(outputs) == len(block):
        return
    shapes = ", ".join(str(list(x.shape[1:])) for x in block.inputs.values())
    raise UserError(
        f"{about.title}: the network gives {list(outputs.shape)} for {len(block)} samples of shape "
        f"{shapes}; it must give one row for each, [{len(block)}, ...]"
    )


def _check(task: Task, targets: Tensor, outputs: tuple[int, ...], about: DataFacts) -> None:
    """As the task does; its error names another task that would do."""
    from widthwise.metrics.quality.finding import other_task

    try:
        task.check(targets, outputs, about)
    except UserError as error:
        if (other := other_task(task, targets, outputs, about)) is None:
            raise
        raise UserError(f'{error}; task = "{other}" would do') from error


def _batches(data: Data, name: str, about: DataFacts) -> Iterator[Any]:
    """The batches of a part of the data; UserError where there are none."""
    number = -1
    try:
        for number, batch in enumerate(part(data, name)):  # noqa: B007
            yield batch
    except UserError:
        raise
    except Exception as error:  # a data module of the user's own may raise anything
        raise UserError(f"{about.title}: its {name}_dataloader raised {describe_error(error)}") from error
    if number < 0:
        raise UserError(
            f"{about.title}: its {name}_dataloader has no batches; networks are judged on them, so give some"
        )
