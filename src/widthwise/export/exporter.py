"""What an exporter is: it writes a trial's network in a form for other tools, and runs just that form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from widthwise.network.forms import made_form

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised


@dataclass(frozen=True)
class Exported:
    """What was written: its files, and what runs them, inputs [n, …] to outputs [n, …] (one, or a tuple of
    several); None: nothing can.

    It is called as the network is: with its inputs by position, those behind one that is left out by name.
    What runs has read the files already: the folder is moved to its place after it was written.
    exact: whether its outputs are the network's bit for bit; False where it rounds floats in another order.
    notes: what else is to know of it, a sentence each: which tools tried it, what they found.
    """

    files: tuple[Path, ...]
    run: Callable[..., Any] | None
    exact: bool = True
    notes: tuple[str, ...] = ()


class Exporter(Protocol):
    """A form of networks for other tools; a form a file, found by name in EXPORTERS.

    name: what `--to` calls it. extra: what `pip install 'widthwise[extra]'` it needs, "" for none.
    exact: whether what it writes gives the network's outputs bit for bit, or else to the precision of floats;
    of one network `Exported` may say less. Searches that keep within a form ask `refusals` of each candidate;
    one that knows of many at once has `reasons_of_many` too (`widthwise.spaces.writable.CountsMany`).
    """

    @property
    def name(self) -> str: ...
    @property
    def extra(self) -> str: ...
    @property
    def exact(self) -> bool: ...

    def refusals(self, realised: Realised, graph: Graph) -> list[str]:
        """What of the network this form can't say, as "node: reason"; empty where it can. Writes nothing."""
        ...

    def write(self, realised: Realised, graph: Graph, folder: Path, example: tuple[Tensor, ...]) -> Exported:
        """Write the network into the folder, which is empty.

        realised: with its weights. graph: made of it, on the CPU, in eval mode. example: inputs [n, …], those
        of `realised.inputs` in order.
        Raises UserError for what goes wrong.
        """
        ...


def exporter(name: str, options: Mapping[str, object] | None = None, *, where: str = "") -> Exporter:
    """The exporter of this name, made with options of its own, as {"pipeline": 4}; texts are read as numbers
    where it takes numbers.

    Raises UserError where there is none, its package is broken, or it has no such option.
    """
    made: Exporter = made_form(name, options, where=where)
    return made
