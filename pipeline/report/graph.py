"""The pipeline as a graph, drawn from the provenance of the tables: which stage wrote each, from which others.

A layered drawing: a table stands one layer to the right of the last table it is made from, and an arrow that spans
several layers has a place of its own in each that it passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise
from statistics import fmean
from typing import TYPE_CHECKING

from pipeline.report.numbers import count
from pipeline.report.results import Results

if TYPE_CHECKING:
    import networkx

WIDTH, HEIGHT = 172, 76  # of a node, in pixels, as everything here
PASSAGE = 8  # height of the place where an arrow passes a layer
ACROSS, DOWN = 60, 24  # space between layers, and between the places of one
SWEEPS = 4  # of ordering the places of each layer by their neighbours
ARROW = 7  # length of an arrow head

Place = tuple[str, int]  # a node in its layer, or, in later layers, where the arrows that leave it pass


@dataclass(frozen=True)
class Node:
    """A table in the drawing: its left end, its middle line, and what is written in it."""

    table: str
    x: float
    y: float
    stages: str
    rows: str
    failed: int
    known: bool


@dataclass(frozen=True)
class Edge:
    """An arrow from a table to one that is made from it: the path in SVG's own words."""

    source: str
    target: str
    path: str


def draw_graph(results: Results) -> dict | None:
    """Nodes, edges and size of the drawing; nothing where no table is known."""
    import networkx

    graph = table_graph(results)
    if not graph:
        return None
    forward = without_circles(graph)
    layers = {name: depth for depth, names in enumerate(networkx.topological_generations(forward)) for name in names}
    routes = {edge: route(*edge, layers) for edge in forward.edges}
    spots = arrange(layers, list(routes.values()))
    low = max(middle for _, middle in spots.values()) + HEIGHT / 2
    edges = []
    for source, target in graph.edges:
        if (source, target) in routes:
            line = curve([spots[place] for place in routes[source, target]])
        else:
            line = return_curve(spots[source, layers[source]], spots[target, layers[target]], low + 2 * DOWN)
        edges.append(Edge(source, target, line))
    return {
        "nodes": [node(name, graph.nodes[name]["parts"], *spots[name, layers[name]]) for name in graph],
        "edges": edges,
        "width": (max(layers.values()) + 1) * (WIDTH + ACROSS) - ACROSS,
        "height": low + (2 * DOWN if len(edges) > len(routes) else 0),
        "node_width": WIDTH,
        "node_height": HEIGHT,
    }


def route(source: str, target: str, layers: dict[str, int]) -> list[Place]:
    """The places of an arrow, from left to right; arrows that leave the same table share them while they can."""
    return [*((source, depth) for depth in range(layers[source], layers[target])), (target, layers[target])]


def table_graph(results: Results) -> networkx.DiGraph:
    """A node for every table, with its parts, and for every table that one names as its input; edges from inputs."""
    import networkx

    graph = networkx.DiGraph()
    for part in results.parts:
        graph.add_node(part.table)
    for part in results.parts:
        inputs = part.provenance.get("inputs", [])  # its own table where a later stage adds to it
        graph.add_edges_from((table, part.table) for table in inputs if table != part.table)
    for name in graph:
        graph.nodes[name]["parts"] = [part for part in results.parts if part.table == name]
    return graph


def without_circles(graph: networkx.DiGraph) -> networkx.DiGraph:
    """The graph without the edges that lead back: a table may be read, extended by later stages and read again."""
    import networkx

    forward = networkx.DiGraph()
    forward.add_nodes_from(graph)
    for source, target in graph.edges:
        if not networkx.has_path(forward, target, source):
            forward.add_edge(source, target)
    return forward


def node(name: str, parts: list, x: float, y: float) -> Node:
    """A table as it is drawn, its middle line at y."""
    stages = dict.fromkeys(part.provenance["stage"] for part in parts if "stage" in part.provenance)
    rows = count(sum(part.rows for part in parts), "row")
    wrote = count(len(stages), "stage") if len(stages) > 1 else f"stage {next(iter(stages), 'unknown')}"
    return Node(name, x, y, wrote, rows, sum(part.failed for part in parts), bool(parts))


def arrange(layers: dict[str, int], routes: list[list[Place]]) -> dict[Place, tuple[float, float]]:
    """The left end and the middle line of every place: each layer in an order with few crossings, centred."""
    columns: list[list[Place]] = [[] for _ in range(max(layers.values()) + 1)]
    for place in dict.fromkeys([*layers.items(), *chain.from_iterable(routes)]):
        columns[place[1]].append(place)
    pairs = list(dict.fromkeys(pair for places in routes for pair in pairwise(places)))
    leftwards = [(target, source) for source, target in pairs]
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            middles = stacked(columns, layers)
            wanted = {place: [] for place in column}
            for before, place in pairs if sweep % 2 == 0 else leftwards:
                if place in wanted:
                    wanted[place].append(middles[before])
            column.sort(key={place: fmean(near or [middles[place]]) for place, near in wanted.items()}.get)
    middles = stacked(columns, layers)
    return {place: (place[1] * (WIDTH + ACROSS), middle) for place, middle in middles.items()}


def stacked(columns: list[list[Place]], layers: dict[str, int]) -> dict[Place, float]:
    """The middle line of every place, from 0 down, where the places of a layer stand below each other."""
    heights = [[HEIGHT if layers[name] == depth else PASSAGE for name, depth in column] for column in columns]
    lengths = [sum(column) + DOWN * (len(column) - 1) for column in heights]
    middles = {}
    for column, sizes, length in zip(columns, heights, lengths, strict=True):
        top = (max(lengths) - length) / 2
        for place, size in zip(column, sizes, strict=True):
            middles[place] = top + size / 2
            top += size + DOWN
    return middles


def curve(points: list[tuple[float, float]]) -> str:
    """The path from the right end of the first place, along the middle lines of those between, to the last."""
    words = []
    for (left, y), (right, next_y) in pairwise(points):
        start, end = left + WIDTH, right - (ARROW if right == points[-1][0] else 0)
        bend = (right - start) / 2
        words.append(f"{'L' if words else 'M'} {start:g} {y:g}")
        words.append(f"C {start + bend:g} {y:g} {right - bend:g} {next_y:g} {end:g} {next_y:g}")
    return " ".join(words)


def return_curve(source: tuple[float, float], target: tuple[float, float], depth: float) -> str:
    """The path below the drawing from one table back to another."""
    start, end = (f"{left + WIDTH / 2:g}" for left, _ in (source, target))
    below = HEIGHT / 2
    return f"M {start} {source[1] + below:g} C {start} {depth:g} {end} {depth:g} {end} {target[1] + below + ARROW:g}"
