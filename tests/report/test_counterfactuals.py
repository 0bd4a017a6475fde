"""Counterfactuals in the report: which are worth something, beside controls, and a gallery of what they change."""

import re

import numpy as np
import pytest

from pipeline.report.changes import difference
from pipeline.report.heat import colour_map, to_pixels
from pipeline.tables import read_table
from tests.report.known_counterfactuals import CLASSIFIER, add_counterfactuals, known_metrics, made_metric
from tests.report.test_page import EVIL, Elements, words
from tests.report.test_saliency import section


@pytest.fixture
def made_study(tmp_path, written):
    """The small study with counterfactuals of one classifier that are interventions."""
    return written(tmp_path / "made", "made", add_counterfactuals)


def rows_of(table):
    """The rows of the first table of a part of the page, as texts."""
    spaced = table.replace("</td>", " </td>")
    return [words(f"<tr{row}") for row in spaced.split("<tbody>")[1].split("</tbody>")[0].split("<tr")[1:]]


def test_the_best_method_and_what_its_counterfactuals_change_are_said_in_words(made_study):
    said = words(section(made_study.build(), "counterfactuals"))
    assert "draws-smile reaches the target most often, for 90 % of 8 images (95 % interval 85 to 95 %)." in said
    assert (
        "Of its 5 valid counterfactuals where exactly one concept flips the decision, 100 % change that concept and"
        " 25 % another; of the nearest real images of the target, 100 % and 25 % do (5 images)." in said
    )


def test_controls_stand_below_the_methods_and_are_never_the_best(made_study):
    first = section(made_study.build(), "counterfactuals")
    rows = rows_of(first)
    assert [row.split()[0] for row in rows] == ["draws-smile", "draws-hat", "unchanged", "nearest-real"]
    assert "the image as it is" in rows[2] and "nearest other image" in rows[3]
    marked = re.findall(r'class="number (best|level)"', first.split("</table>")[0])
    assert marked.count("best") == 3 and "level" not in marked  # one in each column, and the controls have none


def test_the_table_against_the_truth_says_which_flips_are_causal_trivial_or_collateral(made_study):
    table = section(made_study.build(), "counterfactuals").split("<table")[2]
    assert words(table.split("<tbody>")[0]).index("causal") < words(table.split("<tbody>")[0]).index("trivial")
    assert re.findall(r"0\.\d+", rows_of(table)[0])[:3] == ["0.60", "0.30", "0.10"]
    assert [row.split()[0] for row in rows_of(table)] == ["draws-smile", "draws-hat", "nearest-real"]


def test_few_images_are_held_against_real_ones_by_the_kernel_distance(made_study):
    head = section(made_study.build(), "counterfactuals").split("<tbody>")[0]
    assert "kernel distance" in head and "Fréchet distance" not in head
    rows = [row if row["metric"] == "kernel_distance" else {**row, "n": 3000} for row in known_metrics()]
    made_study.rewrite("metrics", [{**row, "n": 3000} for row in rows], options={"confidence": 0.95})
    head = section(made_study.build(), "counterfactuals").split("<tbody>")[0]
    assert "Fréchet distance" in head and "kernel distance" not in head


def test_all_measures_are_listed_with_what_each_definition_says(made_study):
    found = section(made_study.build(), "counterfactuals").split("<b>All measures</b>")[1].split("</details>")[0]
    named = [re.match(r"[^\N{UPWARDS ARROW}\N{DOWNWARDS ARROW}]+", row)[0].strip() for row in rows_of(found)]
    assert named == ["target accuracy", "oracle target accuracy", "Fréchet distance", "kernel distance"]
    assert "biased upwards below 2,048 images; as published, from their own images, where leaving" in words(found)


def test_an_oracle_that_steered_what_it_judges_is_named(made_study):
    said = words(section(made_study.build(), "counterfactuals"))
    assert "smile-vit helped to make what it judges, as the robust side of the cone" in said


def test_settings_stand_side_by_side_where_they_differ(made_study):
    found = section(made_study.build(), "counterfactuals").split("<b>Settings</b>")[1]
    assert re.findall(r"<th>([\w ]+)</th>", found.split("</thead>")[0]) == ["Method", "cone"]
    assert [row.split(maxsplit=1) for row in rows_of(found)] == [
        ["draws-smile", "angle 30, helper smile-vit"],
        ["draws-hat", "none"],
    ]
    assert "All alike: method: dvce; steps: 50; through denoiser: yes." in words(found)


def test_failures_and_misses_are_counted(made_study):
    page = made_study.build()
    said = words(section(page, "counterfactuals"))
    assert "draws-hat: 1 of 8 counterfactuals could not be made: pixels that are no numbers." in said
    assert re.search(r"draws-hat: \d of 7 counterfactuals do not reach their target\.", said)
    assert "pixels that are no numbers" in section(page, "failures")


def test_an_untrained_guide_with_the_cone_is_shown_as_a_control(made_study):
    rows = read_table(made_study.files["counterfactuals"], "counterfactuals").to_pylist()
    untrained = [{**row, "row_id": f"random/{row['row_id']}", "classifier": "random"} for row in rows]
    made_study.rewrite("counterfactuals", rows + untrained, **counterfactual_origin(made_study))
    of_random = made_metric("oracle_target_accuracy", "draws-smile", 0.7, judge=CLASSIFIER)
    others = made_metric("oracle_target_accuracy", "draws-smile", 0.6, judge="smile-vit")
    more = [{**row, "classifier": "random", "row_id": f"random/{row['row_id']}"} for row in (of_random, others)]
    made_study.rewrite("metrics", known_metrics() + more, options={"confidence": 0.95})
    roles = {"classifiers": [CLASSIFIER, "random"], "oracles": ["smile-vit"], "readers": ["concepts"]}
    last = rows_of(section(made_study.build(roles=roles), "counterfactuals"))[-1]
    assert last.split()[:2] == ["random,", "draws-smile"] and "untrained network, with the cone" in last
    assert "0.70" in last and "0.60" in last  # in the eyes of the classifier, and of the oracle


def counterfactual_origin(study):
    from pipeline.tables import read_provenance

    return read_provenance(study.files["counterfactuals"][0])


def test_each_view_says_what_changed_and_whether_it_truly_leads_to_the_target(made_study):
    gallery = section(made_study.build(examples=8), "changes")
    cards = gallery.split("<article")[1:]
    assert len(cards) == 8
    for card in cards:
        true = set(re.findall(r'chip cause">(\w+)</span>', card.split('class="views')[0]))
        for view in card.split("<figure")[2:]:
            for kind, concept in re.findall(r'chip (cause|beside)">(\w+):', view):
                assert (kind == "cause") == (concept in true)
            assert ("reaches the target" in view) or ("misses the target" in view) or ("no-picture" in view)


def test_a_counterfactual_that_failed_is_shown_with_its_reason(made_study):
    gallery = section(made_study.build(examples=8), "changes")
    failed = [view for view in gallery.split("<figure") if "no-picture" in view]
    assert len(failed) == 1 and "pixels that are no numbers" in failed[0]


def test_images_on_which_methods_disagree_come_first(made_study):
    rows = read_table(made_study.files["counterfactuals"], "counterfactuals").to_pylist()
    reached = {}
    for row in rows:
        reached.setdefault(row["image_id"], []).append(bool(row["flipped"]))
    shown = re.findall(
        r'<span class="name">(portraits-test-\d+)</span>', section(made_study.build(examples=8), "changes")
    )
    disagree = [len(set(reached[image_id])) > 1 for image_id in shown]
    assert disagree == sorted(disagree, reverse=True) and True in disagree


def test_the_difference_is_on_one_scale_for_all_pictures():
    original = np.full((2, 2, 3), 100, np.uint8)
    changed = original.copy()
    changed[0, 0] += 51  # a fifth of the range in all channels, and the scale ends at a half
    changed[1, 1, 0] += 150
    found = difference(original, changed)
    expected = to_pixels(colour_map(np.array([[0.4, 0.0], [0.0, 50 / 255 / 0.5]])))
    assert (found == expected).all()


def test_a_study_without_counterfactuals_has_no_sections_of_them(study):
    page = study.build()
    assert 'id="counterfactuals"' not in page and 'id="changes"' not in page


def test_counterfactuals_without_metrics_say_so(made_study):
    made_study.rewrite("metrics", [])
    assert "The metrics hold no scores of its counterfactuals." in words(made_study.build())


def test_the_page_with_counterfactuals_is_whole_offline_and_the_same_again(made_study):
    page = made_study.build()
    Elements(page)
    assert page == made_study.build()


def test_names_are_text_and_never_markup(made_study):
    rows = read_table(made_study.files["counterfactuals"], "counterfactuals").to_pylist()
    told = counterfactual_origin(made_study)
    told["options"] = {"methods": {EVIL: {"method": EVIL}}}
    changed = [{**row, "method": EVIL, "reason": row["reason"] and EVIL} for row in rows[8:]]
    made_study.rewrite("counterfactuals", changed, **told)
    made_study.rewrite("metrics", [made_metric("target_accuracy", EVIL, 0.5, 0.4, 0.6)])
    page = made_study.build()
    assert "<evil" not in page and section(page, "counterfactuals").count("&lt;evil") > 2
    assert section(page, "changes").count("&lt;evil") > 2
    Elements(page)
