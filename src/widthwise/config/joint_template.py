"""A commented config of a search of bits and channels together, for `widthwise init --space graph/joint`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from widthwise.core.toml import dotted, dumps

BITS = {"data_in": "[4, 6, 8]", "weight": "[2, 3, 4, 6, 8]", "bias": "[8]"}
TEXT = """\
# Start this search with `widthwise search THIS_FILE`. What stands behind a # is a default, or another thing
# that may stand there.

{names}# load_name = "trained.safetensors"   # trained weights, from widthwise train or your own
# seed = 0

{data}[search.search_space]
name = "graph/joint"      # bits, formats and channels in one search

[search.search_space.setup]
by = "type"               # what the rules below name layers by: "name", "type" or "regex"
weights = "inherit"       # each set of widths is cut from the network and tuned; or "supernet", "scratch"
# importance = "magnitude"    # what tells which channels are kept; or "batch_norm", "taylor"
# round_to = 1            # channels come in multiples of it
# fold_batchnorm = true   # batch norms become part of the layers beside them once widths are trained

# Each list is a choice of the search: how many times its channels a layer gets (or channels = [16, 32]), and
# any format of `widthwise formats`, with its parameters for the tensors data_in, weight and bias. "NA" as
# name keeps float. Layers whose outputs are the network's keep their channels.
{rules}[search.training]         # of each set of widths, or of the supernet
epochs = 5
# distil = 0.5            # share of the loss that is the distance from the network they are cut from

[search.strategy]
name = "frontier"         # or tpe, nsga2, local, random, brute-force ...

[search.strategy.metrics]
{quality}.direction = "{direction}"
bops.direction = "minimize"      # or model_size, ebops, parameters ...

[search.constraints]
trials = 100              # at most so many candidates
time = "1 h"              # and so much time
"""


def joint_config_text(
    model: str | None,
    dataset: str | None,
    layers: Iterable[tuple[str, str, Sequence[str]]],
    wide: Collection[str],
    *,
    qualities: Mapping[str, str],
    reading: Mapping[str, Any] | None = None,
) -> str:
    """In TOML that `load_config` reads.

    layers: name, type and tensors of each layer that can be quantised; each type gets a rule. wide: names of
    those whose channels can change. qualities: those of the task with their directions, the first of them the
    objective. reading: keys of [data] that are set.
    """
    kinds: dict[str, Sequence[str]] = {}
    resized = set()
    for name, kind, tensors in layers:
        resized |= {kind} if name in wide else set()
        kinds[kind] = [tensor for tensor in BITS if tensor in {*kinds.get(kind, ()), *tensors}]
    quality, direction = next(iter(qualities.items()))
    names = {key: value for key, value in (("model", model), ("dataset", dataset)) if value is not None}
    return TEXT.format(
        names=dumps(names) if names else "",
        data=f"{dumps({'data': dict(reading)})}\n" if reading else "",
        rules="".join(_rule(kind, tensors, resized=kind in resized) for kind, tensors in kinds.items()),
        quality=quality,
        direction=direction,
    )


def _rule(kind: str, tensors: Sequence[str], *, resized: bool) -> str:
    lines = [f"[{dotted(['search', 'search_space', 'seed', kind, 'config'])}]"]
    lines += ["channel_multiplier = [0.25, 0.5, 0.75, 1]"] if resized else []
    lines += ['name = ["integer"]']
    for tensor in tensors:
        lines += [f"{tensor}_width = {BITS[tensor]}", f'{tensor}_frac_width = ["auto"]']
    return "\n".join(lines) + "\n\n"
