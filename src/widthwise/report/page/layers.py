"""The layers on a study's page: what the front chooses for each, and of the pick sizes, ranges and noise."""

from __future__ import annotations

import math

from widthwise.report.document import chart_element, scrolling, sheet_table, text
from widthwise.report.network_picture import network_svg
from widthwise.report.page.section import section
from widthwise.report.sheets import Sheet
from widthwise.report.shown.view import StudyView
from widthwise.study.layer_figures import LayerFigures, TensorFigures


def layers_section(view: StudyView) -> str:
    if view.layers is None:
        return section("layers", ["<p>There is no front whose layers could be shown.</p>"])
    shown, every = len(view.layers.numbers), len(view.front.rows)
    some = f" {shown} of {every:,} rows of the front are drawn." if shown < every else ""
    measure, label = view.layers.measure, "What each trial of the front chooses for each layer"
    chart = chart_element("layer-chart", label, "wide")
    return section(
        "layers",
        [
            '<p class="soft">A row for each tensor or decision in the order of the network, a column for '
            f"each trial of the front from the cheapest on; stronger is more {text(measure)}.{text(some)} "
            "Click on a column to select its trial.</p>",
            f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">{chart}</div>',
            *([] if view.figures is None else _figures(view.figures)),
        ],
    )


def _figures(found: LayerFigures) -> list[str]:
    """Of one trial: its tensors, its layers, its network drawn."""
    layers = tuple(
        (node.name, node.type, f"{node.parameters:,}", f"{node.macs:,}")
        for node in found.nodes
        if node.parameters or node.macs
    )
    heads = ("layer", "tensor", "format", "least", "greatest", "clipped", "signal to noise")
    tensors = tuple(map(_tensor, found.tensors))
    title = f"Tensors of trial {found.trial}, on {found.samples:,} validation samples"
    drawn = network_svg(found.nodes, found.tensors)
    scrolled = scrolling(drawn, "The network drawn")
    return [
        f"<h3>Trial {found.trial} layer by layer</h3>",
        *([sheet_table(Sheet(title, heads, tensors, 3))] if tensors else []),
        *(
            [sheet_table(Sheet("Layers for one sample", ("layer", "type", "parameters", "MACs"), layers, 2))]
            if layers
            else []
        ),
        *([f"<details><summary>Its network drawn</summary>{scrolled}</details>"] if drawn else []),
    ]


def _tensor(each: TensorFigures) -> tuple[str, ...]:
    noise = "exact" if math.isinf(each.snr_db) else f"{each.snr_db:.1f} dB"
    form = each.format if len(each.format) <= 30 else each.format[:29] + "…"
    ends = (f"{each.minimum:.4g}", f"{each.maximum:.4g}")
    return (each.layer, each.tensor, form, *ends, f"{each.clipped:.2%}", noise)
