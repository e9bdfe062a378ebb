"""Data whose targets a task makes: what the float network gives, or the next of the inputs' own tokens."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.data.batches import LABELS, given_targets, has_targets, read_inputs, without_targets
from widthwise.data.blocks import DataBlock
from widthwise.data.facts import facts_of, part
from widthwise.data.modules import Data
from widthwise.data.names import MASKS
from widthwise.metrics.quality.task import MakesTargets, Task

if TYPE_CHECKING:
    from torch import Tensor, nn


class WithTargets:
    """A data module's batches with the targets that a task makes of them, as they are read.

    network: in float, whose outputs targets may be; it stays as it is, and where it is. output: which of
    several that it returns. All else is as the data itself has it.
    """

    def __init__(
        self, data: Data, network: nn.Module, task: MakesTargets, output: str | int | None = None
    ) -> None:
        self.data, self.network, self.task, self.output = data, network, task, output

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "data":
            raise AttributeError(name)
        return getattr(self.data, name)

    def train_dataloader(self) -> Iterable[DataBlock]:
        """The training batches."""
        return _Loader(part(self.data, "train"), self)

    def val_dataloader(self) -> Iterable[DataBlock]:
        """The validation batches."""
        return _Loader(part(self.data, "val"), self)

    def test_dataloader(self) -> Iterable[DataBlock]:
        """The test batches."""
        return _Loader(part(self.data, "test"), self)

    def block(self, batch: Any) -> DataBlock:
        """A batch with its targets; UserError where it has no inputs of the network."""
        from widthwise.network.calling import takes_of

        if isinstance(batch, DataBlock):
            return self._block(dict(batch.inputs), batch.targets)
        takes = takes_of(self.network)
        if has_targets(batch):
            inputs, given = read_inputs(without_targets(batch), takes), given_targets(batch)
        else:
            inputs, given = read_inputs(batch, takes), None
        masks = {name: batch[name] for name in MASKS if name in batch} if isinstance(batch, Mapping) else {}
        return self._block(inputs, given, masks)

    def _block(
        self, inputs: dict[str, Tensor], given: Tensor | None, masks: Mapping[str, Tensor] | None = None
    ) -> DataBlock:
        """masks: of the batch, also where the network takes none."""
        seen = {**(masks or {}), **inputs}
        return DataBlock(inputs, self.task.targets(seen, given, lambda: self._outputs(inputs)))

    def _outputs(self, inputs: dict[str, Tensor]) -> Tensor:
        """What the float network gives, on the CPU."""
        from widthwise.metrics.quality.outputs import judged_output
        from widthwise.network.misfit import misfit
        from widthwise.network.reading import precision, run

        wanted = precision(self.network)
        home = next((x.device for x in self.network.state_dict().values()), "cpu")
        moved = {name: x.to(home, wanted if x.is_floating_point() else None) for name, x in inputs.items()}
        try:
            result = run(self.network, moved)
        except Exception as error:  # the network may raise anything
            raise misfit(
                self.network, DataBlock(inputs, next(iter(inputs.values()))), facts_of(self.data).title, error
            ) from error
        return judged_output(result, self.output).detach().cpu()


class _Loader:
    """A loader's batches as blocks with targets."""

    def __init__(self, loader: Iterable[Any], owner: WithTargets) -> None:
        self._loader, self._owner = loader, owner

    def __iter__(self) -> Iterator[DataBlock]:
        return map(self._owner.block, self._loader)

    def __len__(self) -> int:
        return len(self._loader)  # type: ignore[arg-type]  # a TypeError where it doesn't know


def with_targets(
    data: Data, network: nn.Module, task: Task, output: str | int | None = None, *, copied: bool = False
) -> Data:
    """The data as the task reads it: as it is, but where the task makes the targets.

    copied: whether the network will change, so that targets are those of a copy.
    """
    if isinstance(data, WithTargets) or not isinstance(task, MakesTargets):
        return data
    return WithTargets(data, copy.deepcopy(network) if copied else network, task, output)


def lacks_targets(batches: Iterator[Any], network: nn.Module) -> tuple[bool, Iterator[Any]]:
    """Whether the first batch has no targets, and all batches.

    Raises UserError where it has none under a known name, but something that the network does not take.
    """
    from widthwise.network.calling import takes_of

    first = next(batches, None)
    if first is None:
        raise UserError("the data has no batches; networks are judged on them, so give some")
    lacking, takes = not has_targets(first), takes_of(network)
    if lacking and isinstance(first, Mapping) and not takes.anything:
        others = [str(name) for name in first if name not in (*takes.names, *MASKS)]
        if others and len(first) > 1:
            raise UserError(
                f"its batches hold {', '.join(others)}, which the network does not take, but no targets; "
                f'name these one of {", ".join(LABELS)}, or say that there are none: task = "closeness"'
            )
    return lacking, chain([first], batches)
