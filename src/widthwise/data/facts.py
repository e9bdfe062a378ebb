"""What data is, asked of any data module once: ours, one of Lightning, or any class with three loaders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.data.modules import Data

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class DataFacts:
    """What a data module says of itself; a foreign one may say nothing.

    sample, target: shapes of one sample's x and of its target, () for a class or a number; None until a batch
    has been seen. classes, class_names: of targets that are classes. target_names: of the columns of targets
    [n, k]. note: one line for outputs. taken: what a file was taken for, "" where nobody said. sizes: samples
    by part, where they are known without reading. kind: the name of the module's type.
    """

    sample: tuple[int, ...] | None = None
    target: tuple[int, ...] | None = None
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    note: str = ""
    taken: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    kind: str = "data"

    @property
    def title(self) -> str:
        """One line that is never empty: the note, or else the type of the module."""
        return self.note or self.kind

    def seen(self, x: Tensor, targets: Tensor) -> DataFacts:
        """The same, with the shapes that a batch x [n, ...], targets [n, ...] shows."""
        return replace(self, sample=tuple(x.shape[1:]), target=tuple(targets.shape[1:]))


def facts_of(data: Data) -> DataFacts:
    """What a data module says of itself, without reading a batch."""
    parts = _held_parts(data)
    classes = getattr(data, "classes", None)  # some modules hold a list of names there
    return DataFacts(
        sample=next((tuple(x.shape[1:]) for x, _ in parts.values()), None),
        target=next((tuple(y.shape[1:]) for _, y in parts.values() if y is not None), None),
        classes=int(classes) if isinstance(classes, Integral) and int(classes) > 0 else None,
        class_names=tuple(getattr(data, "class_names", None) or ()),
        target_names=_texts(getattr(data, "target_names", None)),
        note=str(getattr(data, "note", "") or ""),
        taken=found if isinstance(found := getattr(data, "taken", None), str) else "",
        sizes={name: len(x) for name, (x, _) in parts.items()},
        kind=type(data).__name__,
    )


def part(data: Data, name: str) -> Iterable[Any]:
    """A fresh loader of "train", "val" or "test"; raises UserError for another name."""
    if name not in PARTS:
        raise unknown("part of the data", name, PARTS)
    make: Callable[[], Iterable[Any]] = getattr(data, f"{name}_dataloader")
    loader = make()
    return _Anew(make, loader) if isinstance(loader, Iterator) else loader


class _Anew:
    """A loader of one that gives its batches once, as a generator does: made anew for each pass."""

    def __init__(self, make: Callable[[], Iterable[Any]], first: Iterator[Any]) -> None:
        self.make, self.first = make, [first]

    def __iter__(self) -> Iterator[Any]:
        return self.first.pop() if self.first else iter(self.make())


def held_targets(data: Data) -> Tensor | None:
    """All targets of a module that holds its arrays by part; None where they have to be read."""
    import torch

    parts = [y for _, y in _held_parts(data).values() if y is not None and len(y)]
    return torch.cat([torch.as_tensor(y) for y in parts]) if parts else None


def _texts(found: Any) -> tuple[str, ...]:
    """A list of texts; nothing where a module happens to hold something else there."""
    texts = tuple(found) if isinstance(found, tuple | list) else ()
    return texts if all(isinstance(text, str) for text in texts) else ()


def samples_of(data: Data, name: str) -> int | None:
    """How many samples a part has, as its arrays or its loader's data set say; None where nobody says."""
    held = facts_of(data).sizes.get(name)
    if held is not None:
        return held
    try:
        return len(part(data, name).dataset)  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        return None


def _held_parts(data: Data) -> dict[str, tuple[Tensor, Tensor | None]]:
    """The arrays of a module that holds all of them by part, as ours does; of several inputs the first.

    Targets are None where there are none.
    """
    held = getattr(data, "parts", None)
    found: dict[str, tuple[Tensor, Tensor | None]] = {}
    for name, pair in (held if isinstance(held, dict) else {}).items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            return {}
        x, y = pair
        first: Any = next(iter(x.values()), None) if isinstance(x, Mapping) else x
        if not hasattr(first, "shape") or not (y is None or hasattr(y, "shape")):
            return {}
        found[name] = (first, y)
    return found
