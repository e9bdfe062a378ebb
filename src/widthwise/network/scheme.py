"""Schemes: the number formats of one layer's tensors, and how configs write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from widthwise.core.errors import UserError, nearest
from widthwise.formats import from_config
from widthwise.formats.base import UNSET, Format
from widthwise.formats.directions import NEAREST

if TYPE_CHECKING:
    pass

TensorName = Literal["data_in", "weight", "bias"]
TENSORS: tuple[TensorName, ...] = get_args(TensorName)


@dataclass(frozen=True)
class Scheme:
    """The formats of a layer's inputs, weights and biases; None keeps float."""

    data_in: Format | None = None
    weight: Format | None = None
    bias: Format | None = None

    def __getitem__(self, tensor: TensorName) -> Format | None:
        fmt: Format | None = getattr(self, tensor)
        return fmt

    def __bool__(self) -> bool:
        """Whether anything is quantised."""
        return any(self[tensor] is not None for tensor in TENSORS)

    def __str__(self) -> str:
        return ", ".join(f"{tensor} {self[tensor]!r}" for tensor in TENSORS if self[tensor]) or "float"

    def to_config(self) -> dict[str, Any]:
        """The mapping that `from_config` reads back as this scheme."""
        config: dict[str, Any] = {"name": None}
        for tensor in TENSORS:
            fmt = self[tensor]
            if fmt is not None:
                config |= {f"{tensor}_{key}": value for key, value in fmt.to_config().items()}
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, where: str = "") -> Scheme:
        """The scheme that the lab's keys describe: `name`, and parameters as in `weight_width`.

        `weight_name` gives one tensor a format of its own. A name that comes with parameters of some tensors
        formats those alone; one that comes with none formats all. Raises UserError naming key and place.
        """
        fields = tensor_fields(config, where=where)
        return cls(
            **{tensor: tensor_format(config, fields[tensor], tensor, where=where) for tensor in TENSORS}
        )


def tensor_fields(config: Mapping[str, Any], *, where: str = "") -> dict[TensorName, tuple[str, ...]]:
    """The keys of a config that decide each tensor's format; raises UserError for a key of no tensor."""
    own: dict[TensorName, tuple[str, ...]] = {
        tensor: tuple(key for key in config if key.startswith(f"{tensor}_")) for tensor in TENSORS
    }
    known = {"name", *(key for keys in own.values() for key in keys)}
    for key in config:
        if key not in known:
            usual = [f"{tensor}_{rest}" for tensor in TENSORS for rest in ("width", "frac_width")]
            advice = f"keys start with {', '.join(TENSORS)}, or are name"
            raise UserError("no such key", where=key, near=nearest(key, usual), advice=advice).at(where)
    mentioned = [tensor for tensor in TENSORS if own[tensor]]
    return {
        tensor: (("name",) if "name" in config and (tensor in mentioned or not mentioned) else ())
        + own[tensor]
        for tensor in TENSORS
    }


def tensor_format(
    config: Mapping[str, Any], fields: tuple[str, ...], tensor: TensorName, *, where: str = ""
) -> Format | None:
    """The format that these fields of the config describe for one tensor; None keeps float."""
    params = {key.removeprefix(f"{tensor}_"): config[key] for key in fields if key != "name"}
    name = params.pop("name", config["name"] if "name" in fields else None)
    if name in UNSET:
        return None
    place = f"{where}: {tensor}" if where else tensor
    found = from_config({"name": name, **params}, where=place)
    if tensor != "weight" and getattr(found, "rounding", NEAREST) != NEAREST:
        raise UserError(
            f"{place}: rounding is found for weights alone; leave {tensor}_rounding out", key="rounding"
        )
    return found
