"""The lab's way to data and networks: its data module, its input generator, its getters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from widthwise.core.errors import UserError, unknown
from widthwise.data.batches import without_targets
from widthwise.data.facts import PARTS, facts_of, part
from widthwise.data.modules import Data, load_data
from widthwise.metrics.quality.tasks import TASKS
from widthwise.network.checkpoints import load_checkpoint
from widthwise.network.named import MODELS, model_source
from widthwise.network.named import load_model as _load_model

LOAD_TYPES = ("pl", "pt")


@dataclass(frozen=True)
class DatasetInfo:
    """What a data set is."""

    name: str
    num_classes: int
    num_features: int  # of one sample
    input_shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelInfo:
    """What a network is."""

    name: str
    description: str
    data: str  # the data set that it is made for


class MaseDataModule:
    """The lab's data module over `load_data`: `jsc` is the embedded sample of 1,024 jets.

    The data is read by `prepare_data` or `setup`, or when it is first asked for. Workers, tokenizers and
    caches have no meaning here; further options are those of `load_data`.
    """

    def __init__(
        self,
        name: str,
        batch_size: int = 256,
        model_name: str | None = None,
        num_workers: int = 0,
        tokenizer: Any = None,
        max_token_len: int | None = None,
        load_from_cache_file: bool = True,
        custom_dataset_cache_path: str | None = None,
        **options: Any,
    ) -> None:
        self.name = name
        self.batch_size = batch_size
        self.model_name = model_name
        self.num_workers = num_workers
        self._options = options
        self._data: Data | None = None

    @property
    def data(self) -> Data:
        """The data module that the rest of the package works with; read when it is first asked for.

        Raises UserError where the data can't be found or read.
        """
        if self._data is None:
            self._data = load_data(self.name, batch_size=self.batch_size, **self._options)
        return self._data

    def prepare_data(self) -> None:
        """Reads the data; raises UserError where it can't be found or read."""
        _ = self.data

    def setup(self, stage: str | None = None) -> None:
        """Reads the data, if that has not been done."""
        self.prepare_data()

    @property
    def dataset_info(self) -> DatasetInfo:
        """Name, classes and features of the data."""
        given = without_targets(next(iter(self.data.val_dataloader())))
        first = next(iter(given.values() if isinstance(given, Mapping) else [given]))
        shape = tuple(int(n) for n in first.shape[1:])
        classes = facts_of(self.data).classes or 0
        return DatasetInfo(self.name, classes, math.prod(shape), shape)

    def train_dataloader(self) -> Any:
        """Training batches (x, y)."""
        return self.data.train_dataloader()

    def val_dataloader(self) -> Any:
        """Validation batches (x, y)."""
        return self.data.val_dataloader()

    def test_dataloader(self) -> Any:
        """Test batches (x, y)."""
        return self.data.test_dataloader()

    def __getattr__(self, name: str) -> Any:
        """What else the data module has (class_names, scaler, note …)."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.data, name)


class InputGenerator:
    """Inputs for a network, {"x": batch}: one batch of the data after the other, again and again."""

    def __init__(
        self,
        data_module: Data | MaseDataModule | None = None,
        model_info: ModelInfo | None = None,
        task: str = "cls",
        which_dataloader: str = "train",
        max_batches: int | None = None,
        *,
        datamodule: Data | MaseDataModule | None = None,
    ) -> None:
        if which_dataloader not in PARTS:
            raise unknown("dataloader", which_dataloader, PARTS, where="InputGenerator")
        found = data_module if data_module is not None else datamodule
        if found is None:
            raise UserError("InputGenerator: has no data; give it a data_module")
        self._loader = part(found, which_dataloader)
        self._max_batches = max_batches
        self._batches = self._endless()

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return self

    def __next__(self) -> dict[str, Tensor]:
        return next(self._batches)

    def _endless(self) -> Iterator[dict[str, Tensor]]:
        given = 0
        while True:
            for batch in self._loader:
                if given == self._max_batches:
                    return
                inputs = without_targets(batch)
                yield dict(inputs) if isinstance(inputs, Mapping) else {"x": inputs}
                given += 1
            if not given:
                return


def get_dataset_info(name: str) -> DatasetInfo:
    """Name, classes and features of a data set; raises UserError where there is none."""
    return MaseDataModule(name).dataset_info


def get_model_info(name: str) -> ModelInfo:
    """What a built-in network is; raises UserError where there is none."""
    source = model_source(name)
    found = MODELS.own.get(source)
    return ModelInfo(source, found.summary if found else "", (found and found.about) or "")


def get_model(
    name: str,
    task: str = "cls",
    dataset_info: Any = None,
    pretrained: bool = False,
    checkpoint: str | Path | None = None,
    *,
    seed: int = 0,
) -> nn.Module:
    """A network by name, as `widthwise.load_model` gives it, with a checkpoint's weights where one is named.

    Raises UserError for an unknown task, and for pretrained weights: we have none.
    """
    TASKS.find(task, where="get_model")
    if pretrained:
        raise UserError(f"get_model: has no pretrained weights for {name}; train it or load a checkpoint")
    return _load_model(name, checkpoint=checkpoint, seed=seed)


def load_model(load_name: str | Path, load_type: str = "pl", model: nn.Module | None = None) -> nn.Module:
    """The model with the weights of a checkpoint: load_type "pl" is a Lightning one, "pt" a state dict.

    Raises UserError for "mz", a pickled graph, as for anything pickled, and where the weights don't fit.
    """
    if load_type == "mz":
        raise UserError(
            f"{load_name}: a MaseGraph checkpoint (mz) is pickled, and pickle can run any code when it is "
            'read; save model.state_dict() and load it with load_type="pt"'
        )
    if load_type not in LOAD_TYPES:
        raise unknown("load_type", load_type, LOAD_TYPES, where="load_model")
    if model is None:
        raise UserError(f"load_model: needs the network that {load_name} belongs to; give model")
    load_checkpoint(model, load_name)
    return model
