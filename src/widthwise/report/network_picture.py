"""A network's nodes drawn in layers, from its inputs at the top to its outputs at the bottom, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

from widthwise.report.document import text
from widthwise.study.layer_figures import NodeFigures, TensorFigures

MOST_NODES = 150
BOX, ROW, GAP = (190, 40), 62, 24


def network_svg(nodes: Sequence[NodeFigures], tensors: Sequence[TensorFigures]) -> str:
    """The drawing; nothing where there are too many nodes to read it."""
    if not 0 < len(nodes) <= MOST_NODES:
        return ""
    places = _places(nodes)
    formats: dict[str, list[str]] = {}
    for each in tensors:
        formats.setdefault(each.layer, []).append(f"{each.tensor} {each.format}")
    width = max(x for x, _ in places.values()) + BOX[0] + GAP
    height = max(y for _, y in places.values()) + BOX[1] + GAP
    drawn = [
        _edge(places[read], places[node.name]) for node in nodes for read in node.inputs if read in places
    ]
    drawn += [_box(node, places[node.name], formats.get(node.name, [])) for node in nodes]
    label = f"The network: {len(nodes)} nodes"
    return (
        f'<svg class="network" role="img" aria-label="{text(label)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{"".join(drawn)}</svg>'
    )


def _places(nodes: Sequence[NodeFigures]) -> dict[str, tuple[int, int]]:
    """The upper left corner of each box: a row for each distance from the inputs, by networkx."""
    import networkx as nx

    graph = nx.DiGraph()
    names = {node.name for node in nodes}
    graph.add_nodes_from(node.name for node in nodes)
    graph.add_edges_from((read, node.name) for node in nodes for read in node.inputs if read in names)
    rows = [list(row) for row in nx.topological_generations(graph)]
    for number, row in enumerate(rows):
        nx.set_node_attributes(graph, dict.fromkeys(row, number), "row")
    laid = nx.multipartite_layout(graph, subset_key="row", align="horizontal")
    found = {}
    for number, row in enumerate(rows):
        for place, name in enumerate(sorted(row, key=lambda one: float(laid[one][0]))):
            widest = max(map(len, rows))
            left = (widest - len(row)) * (BOX[0] + GAP) // 2
            found[name] = (GAP + left + place * (BOX[0] + GAP), GAP // 2 + number * ROW)
    return found


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    """A line between neighbours; one that passes others goes round them."""
    x, y = start[0] + BOX[0] // 2, start[1] + BOX[1]
    u, v = end[0] + BOX[0] // 2, end[1]
    if v - y < ROW:
        return f'<path class="edge" d="M{x} {y} L{u} {v}"/>'
    side = max(start[0], end[0]) + BOX[0] + GAP // 2
    right = (start[0] + BOX[0], start[1] + BOX[1] // 2, end[0] + BOX[0], end[1] + BOX[1] // 2)
    return f'<path class="edge" d="M{right[0]} {right[1]} H{side} V{right[3]} H{right[2]}"/>'


def _box(node: NodeFigures, place: tuple[int, int], formats: Sequence[str]) -> str:
    x, y = place
    more = "".join(f"\n{words}" for words in formats)
    title = f"{node.name}: {node.type}, {node.parameters:,} parameters, {node.macs:,} MACs{more}"
    name = node.name if len(node.name) <= 26 else node.name[:25] + "…"
    box = f'<rect class="node" x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="5"/>'
    lines = [(name, 16), (node.type, 32)]
    words = "".join(f'<text x="{x + 8}" y="{y + down}">{text(line)}</text>' for line, down in lines)
    return f"<g><title>{text(title)}</title>{box}{words}</g>"
