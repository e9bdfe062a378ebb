"""What holds for every export form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.export.checking import compare
from widthwise.export.exporter import Exporter
from widthwise.testing.holds import holds

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised


def check_exporter(
    exporter: Exporter, realised: Realised, folder: Path, inputs: tuple[Tensor, ...]
) -> list[str]:
    """What a form writes computes what the network computes; or it says what it can't express.

    realised: complete, as `study.realised(trial).complete(model)` gives it. folder: empty. inputs: [n, ...]
    each. Returns the refusals, so that a test can tell which networks a form takes.
    """
    holds(exporter.name, "a form has a name")
    graph: Graph = realised.graph()
    refusals = exporter.refusals(realised, graph)
    holds(not list(folder.iterdir()), "refusing writes nothing")
    if refusals:
        holds(all(reason.strip() for reason in refusals), "a refusal says what can't be expressed")
        return refusals
    exported = exporter.write(realised, graph, folder, tuple(x[:1] for x in inputs))
    holds(exported.files, "something is written")
    inside = all(path.is_file() and folder in path.parents for path in exported.files)
    holds(inside, "all files that it names are there, inside its folder")
    if exported.run is None:
        raise AssertionError("what was written can be run, or nobody can know that it is right")
    aside = folder.rename(folder.with_name(f"{folder.name}.moved"))  # as `export` puts it in its place
    try:
        check = compare(graph, exported.run, [inputs], on="the inputs")
    except UserError as error:
        raise AssertionError(f"what was written runs, wherever its folder was moved to: {error}") from error
    finally:
        aside.rename(folder)
    holds(
        check.passes(exact=exporter.exact and exported.exact),
        f"what was written computes what the network computes: {check.equal} of {check.samples} samples "
        f"equal, largest difference {check.largest_difference:.3g}",
    )
    return []
