"""The drawing of the pipeline."""

import re
from itertools import combinations

import pytest

from pipeline.report.graph import draw_graph
from pipeline.report.results import Part, Results


def results_of(inputs: dict[str, list[str]]) -> Results:
    """Results whose tables have one row each and name these inputs."""
    parts = [Part(table, 1, 0, {"stage": f"make-{table}", "inputs": names}) for table, names in inputs.items()]
    return Results({}, {}, parts, read=lambda table, columns, row_ids: [])


PIPELINE = {
    "images": [],
    "interventions": ["images"],
    "predictions": ["images", "interventions"],
    "scores": ["images", "interventions", "predictions"],
    "metrics": ["scores"],
}


def test_graph_has_an_edge_for_every_input_that_a_table_names(study):
    page = study.build()
    edges = re.findall(r'data-source="([^"]*)" data-target="([^"]*)"', page)
    assert sorted(edges) == sorted((source, table) for table, names in PIPELINE.items() for source in names)
    assert re.search(r'class="table"[^>]*>interventions</text>\s*<text[^>]*>stage intervene</text>', page)
    assert re.search(r"104\srows", page.split('id="graph"')[1])


@pytest.mark.parametrize(
    "inputs",
    [
        PIPELINE,
        {"images": []},
        {"a": [], "b": [], "c": ["a", "b"], "d": ["a"], "e": ["c", "d", "b"]},
        {"predictions": ["images", "counterfactuals"], "counterfactuals": ["predictions"], "images": ["images"]},
    ],
)
def test_tables_stand_to_the_right_of_their_inputs_and_do_not_overlap(inputs):
    drawing = draw_graph(results_of(inputs))
    places = {node.table: (node.x, node.y) for node in drawing["nodes"]}
    assert set(places) == set(inputs) | {name for names in inputs.values() for name in names}
    for (x, y), (other_x, other_y) in combinations(places.values(), 2):
        assert abs(x - other_x) > drawing["node_width"] or abs(y - other_y) > drawing["node_height"]
    for _, y in places.values():
        assert drawing["node_height"] / 2 <= y <= drawing["height"] - drawing["node_height"] / 2
    assert max(x for x, _ in places.values()) + drawing["node_width"] == drawing["width"]
    if "counterfactuals" not in inputs:
        assert all(places[source][0] < places[table][0] for table, names in inputs.items() for source in names)


def test_arrow_over_several_layers_passes_no_table():
    drawing = draw_graph(results_of(PIPELINE))
    long_way = next(edge for edge in drawing["edges"] if (edge.source, edge.target) == ("images", "scores"))
    heights = {float(y) for _, y in re.findall(r"L ([\d.]+) ([\d.]+)", long_way.path)}
    for node in drawing["nodes"]:
        if node.table in ("interventions", "predictions"):
            assert all(abs(height - node.y) > drawing["node_height"] / 2 for height in heights)


def test_tables_that_lead_back_to_each_other_are_drawn_with_every_arrow():
    drawing = draw_graph(results_of({"predictions": ["images", "counterfactuals"], "counterfactuals": ["predictions"]}))
    assert {(edge.source, edge.target) for edge in drawing["edges"]} == {
        ("images", "predictions"),
        ("counterfactuals", "predictions"),
        ("predictions", "counterfactuals"),
    }
    assert [node.table for node in drawing["nodes"] if not node.known] == ["images"]


def test_parts_of_a_table_are_one_node_with_all_their_rows(study_in_parts):
    page = study_in_parts.build().split('id="graph"')[1]
    assert page.count('class="table"') == 5 and re.search(r"8\srows", page)


def test_table_that_a_second_stage_adds_to_has_no_arrow_to_itself():
    parts = [
        Part("scores", 1, 0, {"stage": "score", "inputs": []}),
        Part("scores", 2, 0, {"stage": "score_saliency", "inputs": ["scores"]}),
    ]
    drawing = draw_graph(Results({}, {}, parts, read=lambda table, columns, row_ids: []))
    assert drawing["edges"] == []
    assert [(node.stages, node.rows) for node in drawing["nodes"]] == [
        ("2\N{NO-BREAK SPACE}stages", "3\N{NO-BREAK SPACE}rows")
    ]
