"""Which maps find the truth: the winner, those that cannot be told from it, and what could not be scored."""

import re
from itertools import combinations

import pytest

from pipeline.metrics.control_maps import CEILING, CENTRED, CONTROLS, OTHER, RANDOM
from pipeline.tables import read_table, write_table
from tests.report.conftest import write_study
from tests.report.known_maps import NO_FLIP, add_maps, map_metric
from tests.report.test_page import EVIL, Elements, words


def section(page: str, name: str = "saliency") -> str:
    return page.split(f'id="{name}"')[1].split("</section>")[0]


@pytest.fixture
def write_values(map_study):
    """Give the maps of smile-cnn metrics by hand; `level`: pairs whose difference may be none, or each pair's own p.

    `others`: the value of another image's map, by method.
    """

    def write(values, level=(), metric="truth_mass", infill=None, better="higher", others=(), p=None) -> None:
        def row(name, value, **names):
            return map_metric("smile-cnn", name, metric, value, value - 0.02, value + 0.02, 17, infill=infill, **names)

        def apart(one, other, value):
            named = {"infill": infill, "compared_with": other}
            named["p"] = (p or {}).get((one, other), 0.5 if {one, other} in [set(pair) for pair in level] else 0.001)
            return map_metric("smile-cnn", one, f"{metric}_difference", values[one] - value, None, None, 17, **named)

        rows = [row(name, value) for name, value in values.items()]
        rows += [
            apart(one, other, values[other])
            for one, other in combinations(values, 2)
            if one not in (*CONTROLS, CEILING)
        ]
        for name, value in dict(others).items():
            rows += [row(name, value, control=OTHER), apart(name, OTHER, value)]
        map_study.rewrite("metrics", [{**row, "better": better} for row in rows], options={"confidence": 0.95})

    return write


def marks(page: str) -> dict[str, str]:
    """How each method of the first table stands in its first column."""
    rows = page.split("<tbody>")[1].split("</tbody>")[0].split("<tr")[1:]
    return {re.search(r'class="whole">([\w-]+)', row)[1]: re.search(r'class="number (\w*)"', row)[1] for row in rows}


def test_map_made_from_the_truth_wins_and_is_named_in_the_answer_too(tmp_path):
    page = add_maps(write_study(tmp_path, rows=12, size=32), ["smile-cnn"]).build()
    said = r"On smile-cnn, blurred-truth finds the pixels that matter best \(share of mass 0\.\d+, 95 % interval"
    assert re.search(said, words(section(page))) and re.search(said, words(section(page, "answer")))
    first = section(page).split("<tbody>")[1].split("</tr>")[0]
    assert "blurred-truth" in first and 'class="number best"' in first


def test_methods_that_cannot_be_told_from_the_best_are_named_and_marked(map_study, write_values):
    write_values({"fido": 0.97, "lime": 0.96, "grad-cam": 0.7, RANDOM: 0.5, CEILING: 1.0}, level=[("fido", "lime")])
    found = section(map_study.build())
    assert (
        "On smile-cnn, fido finds the pixels that matter best"
        " (share of mass 0.97, 95 % interval 0.95 to 0.99, 17 images); lime is not distinguishable from it."
        " grad-cam beats all controls, too. For comparison: a random map 0.50 and the truth 1.00." in words(found)
    )
    assert marks(found) == {"fido": "best", "lime": "level", "grad-cam": "", "random": "", "the": ""}


def test_where_no_map_beats_all_controls_none_is_said_to_find_anything(map_study, write_values):
    values = {"fido": 0.54, "lime": 0.4, CENTRED: 0.5, RANDOM: 0.1}
    write_values(values, level=[("fido", CENTRED)], others={"fido": 0.2, "lime": 0.1})
    said = (
        "On smile-cnn, no map is shown to beat all controls by share of mass. The best, fido, reaches share of mass"
        " 0.54, 95 % interval 0.52 to 0.56, 17 images. For comparison: a random map 0.10 and a centred map 0.50. Not"
        " shown to beat a centred map: fido and lime."
    )
    assert said in words(section(map_study.build()))


def test_a_method_whose_maps_of_other_images_do_as_well_finds_nothing(map_study, write_values):
    values = {"fido": 0.9, "lime": 0.8, RANDOM: 0.1, CENTRED: 0.2}
    write_values(values, level=[("fido", OTHER)], others={"fido": 0.88, "lime": 0.3})
    found = section(map_study.build())
    assert "On smile-cnn, lime finds the pixels that matter best (share of mass 0.80" in words(found)
    assert "Not shown to beat another image's map: fido." in words(found).replace("&#39;", "'")
    assert re.search(r"another's 0\.88\s*not better than another's", words(found).replace("&#39;", "'"))


def test_average_precision_has_its_say_where_the_share_of_mass_finds_nothing(map_study, write_values):
    write_values({"fido": 0.9, "lime": 0.4, RANDOM: 0.5}, metric="truth_average_precision")
    said = "By average precision, fido alone beats all controls (0.90)."
    assert said in words(section(map_study.build()))


def test_methods_that_do_not_beat_a_control_are_named(map_study, write_values):
    write_values({"fido": 0.9, "lime": 0.4, RANDOM: 0.5})
    assert "Not shown to beat a random map: lime." in words(section(map_study.build()))


def test_no_winner_is_named_where_no_method_is_distinguishable_and_none_is_marked(map_study, write_values):
    names = ("fido", "lime", "grad-cam")
    write_values({"fido": 0.91, "lime": 0.9, "grad-cam": 0.89, RANDOM: 0.5}, level=[*combinations(names, 2)])
    found = section(map_study.build())
    assert (
        "On smile-cnn, fido, lime and grad-cam beat all controls, and none is distinguishable from the best: fido"
        " reaches share of mass 0.91" in words(found)
    )
    assert set(marks(found).values()) == {""}


def test_with_few_images_and_several_methods_no_map_is_said_to_find_anything(map_study):
    found = words(section(map_study.build()))  # signs on 6 images: p is at least 1 / 32, and two methods are compared
    assert "On smile-cnn, no map is shown to beat all controls" in found


def test_differences_are_adjusted_for_the_number_of_methods_held_against_the_same(map_study, write_values):
    values = {"fido": 0.9, "lime": 0.8, "grad-cam": 0.7, RANDOM: 0.5}
    p = {("fido", "lime"): 0.02, ("fido", "grad-cam"): 0.02, ("lime", RANDOM): 0.02, ("grad-cam", RANDOM): 0.6}
    # Holm: of two against the best, 0.02 times 2; of three against the random map, 0.001 times 3 and 0.02 times 2.
    write_values(values, p=p)
    found = words(section(map_study.build())).split("Bold")[0]
    assert "not distinguishable" not in found and "Not shown to beat a random map: grad-cam." in found
    write_values(values, p={**p, ("fido", "lime"): 0.03, ("fido", "grad-cam"): 0.04})
    assert marks(section(map_study.build())) == dict.fromkeys(["fido", "lime", "grad-cam", "random"], "")
    write_values(values, p={**p, ("lime", RANDOM): 0.03})
    found = words(section(map_study.build())).split("Bold")[0]
    assert "Not shown to beat a random map: lime and grad-cam." in found


def test_where_all_have_the_worst_value_none_is_marked(map_study):
    rows = [map_metric("smile-cnn", name, "localisation_error", 1.0, 0.9, 1.0, 17) for name in ("fido", "lime")]
    named = {"compared_with": "lime", "p": 1.0}
    rows += [map_metric("smile-cnn", "fido", "localisation_error_difference", 0.0, 0.0, 0.0, 17, **named)]
    map_study.rewrite("metrics", [{**row, "better": "lower"} for row in rows])
    found = section(map_study.build()).split("<summary><b>All measures")[1].split("</table>")[0]
    assert "localisation error" in found and found.count('data-value="1.0"') == 2 and 'class="number best"' not in found


def test_a_method_is_not_judged_by_what_it_fills_in_itself(map_study):
    infills = {"mirrored": "blur"}
    for path in map_study.files["saliency"]:
        rows = read_table(path, "saliency").to_pylist()
        write_table(path, "saliency", [{**row, "infill": infills.get(row["method"])} for row in rows], {})
    rows = [
        map_metric("smile-cnn", name, "keeping_auc", value, value - 0.1, value + 0.1, 8, infill=infill)
        for name, value in (("mirrored", 0.9), ("blurred-truth", 0.4))
        for infill in ("blur", "mean")
    ]
    map_study.rewrite("metrics", rows)
    first = section(map_study.build()).split("<table")[1].split("</table>")[0]
    found = {row.split("<")[0]: words(row) for row in first.split('class="whole">')[1:]}
    assert "fills in blur itself 0.90" in found["mirrored"] and found["blurred-truth"].count("0.40") == 2


def test_curves_that_every_method_fills_in_itself_give_no_number(map_study):
    for path in map_study.files["saliency"]:
        rows = read_table(path, "saliency").to_pylist()
        write_table(path, "saliency", [{**row, "infill": "blur"} for row in rows], {})
    map_study.rewrite("metrics", [map_metric("smile-cnn", "mirrored", "keeping_auc", 0.9, 0.8, 1.0, 8, infill="blur")])
    found = section(map_study.build())
    assert "On smile-cnn, every method fills in itself what it would be judged by" in words(found)
    first = found.split("<table")[1].split("</table>")[0]
    assert "fills in blur itself" in first and "0.90" not in first


def test_the_headline_holds_neither_the_area_nor_the_saliency_metric(map_study):
    metrics = ("truth_mass", "truth_average_precision", "pointing_game", "truth_auroc", "saliency_metric")
    map_study.rewrite("metrics", [map_metric("smile-cnn", "fido", metric, 0.5, 0.4, 0.6, 8) for metric in metrics])
    found = section(map_study.build())
    first, _, rest = found.partition("<summary><b>All measures")
    assert all(name in first for name in ("share of mass", "average precision", "pointing game"))
    assert "AUROC" not in first and "saliency metric" not in first
    assert "truth AUROC" in rest and "saliency metric" in rest


def test_methods_that_were_never_compared_are_not_marked_as_equal(map_study):
    rows = [map_metric("smile-cnn", name, "truth_mass", value, 0, 1, 9) for name, value in (("a", 0.9), ("b", 0.8))]
    map_study.rewrite("metrics", rows)
    found = section(map_study.build())
    assert "Not compared with a: b." in words(found) and 'class="number level"' not in found


def test_lower_is_better_where_the_metrics_say_so(map_study, write_values):
    write_values({"fido": 0.1, "lime": 0.3}, metric="removal_auc", infill="blur", better="lower")
    found = section(map_study.build())
    assert "fido is best by removal AUC (blur)" in words(found)
    assert 'title="lower is better"' in found and "↓" in found


def test_images_that_cannot_be_scored_are_counted_with_the_reason(map_study):
    said = f"2 of 8 images have no share of mass or pointing game: {NO_FLIP}."
    assert said in words(section(map_study.build()))


def test_methods_are_named_where_others_have_a_score_of_the_same_images(map_study):
    rows = read_table(map_study.files["scores"][0], "scores").to_pylist()
    own = [row for row in rows if row["method"] == "mirrored" and row["metric"] == "truth_mass"]
    own[0].update(status="unscored", reason="the map has no value above 0", value=None)
    map_study.rewrite("scores", rows)
    said = "mirrored: 1 of 8 images has no share of mass: the map has no value above 0."
    assert said in words(section(map_study.build()))


def test_how_many_decisions_filling_in_the_truth_changes_is_said(map_study):
    rows = read_table(map_study.files["metrics"], "metrics").to_pylist()
    rows.append(map_metric("smile-cnn", None, "truth_fill_flip_rate", 0.25, 0.1, 0.5, 8, infill="blur"))
    map_study.rewrite("metrics", rows)
    found = words(section(map_study.build()))
    assert "Filling in exactly the pixels that matter (blur) changes 2 of 8 decisions (25 %)" in found


def test_parts_are_said_to_be_marked_where_they_flip_and_where_they_do_not(map_study):
    rows = read_table(map_study.files["metrics"], "metrics").to_pylist()
    for kind, value in (("flipping", 0.75), ("not_flipping", 0.25)):
        row = map_metric("smile-cnn", "mirrored", f"coverage_{kind}", value, value - 0.1, value + 0.1, 6)
        rows += [{**row, "concept": "glasses"}, {**row, "concept": "hat", "n": 6 if kind == "flipping" else 2}]
    rows = [{**row, "row_id": str(index)} for index, row in enumerate(rows)]
    map_study.rewrite("metrics", rows)
    found = section(map_study.build()).split('class="coverage"')[1].split("</table>")[0]
    assert "mirrored0.75 0.65 to 0.850.25 0.15 to 0.35" in words(found)
    assert "glasses" in found and "hat" not in found and "blurred" not in found


def test_images_that_cannot_be_scored_are_no_failures(map_study):
    page = map_study.build()
    assert NO_FLIP in section(page) and NO_FLIP not in section(page, "failures")


def test_maps_that_could_not_be_made_are_counted(map_study):
    rows = read_table(map_study.files["saliency"][0], "saliency").to_pylist()
    for row in rows[:2]:
        row.update(status="failed", reason="the gradient is not finite", map=None, shape=None, network_evaluations=None)
    map_study.rewrite("saliency", rows)
    assert "blurred-truth: 2 of 8 maps could not be made: the gradient is not finite." in words(map_study.build())


def test_what_the_classifier_depends_on_stands_beside_the_table(map_study):
    found = words(section(map_study.build()).split("<h3>")[1].split("<table")[0])
    assert re.search(r"It truly depends on smile \(flips \d+ % of the images\)", found)


def test_study_without_maps_has_no_sections_of_maps(study):
    page = study.build()
    assert 'id="saliency"' not in page and 'id="maps"' not in page and "kinds of map" not in page


def test_maps_without_scores_and_without_truth_say_so(folder_study, map_study):
    folder_study.files["saliency"] = map_study.files["saliency"]
    page = folder_study.build()
    assert "What the maps are worth" in page and "The metrics hold no scores of its maps." in words(page)
    assert "What the classifiers truly depend on is not known here" in words(page)


def test_names_of_methods_are_text_and_never_markup(map_study):
    row = {"classifier": EVIL, "method": EVIL}
    map_study.rename_classifier("smile-cnn", EVIL)
    maps = read_table(map_study.files["saliency"][0], "saliency").to_pylist()
    map_study.rewrite("saliency", [{**each, **row} for each in maps[:8]])
    scores = read_table(map_study.files["scores"][0], "scores").to_pylist()
    scores = [each for each in scores if each["method"] in (None, "blurred-truth")]
    changed = [{**each, **row, "reason": each["reason"] and EVIL} for each in scores]
    map_study.rewrite("scores", changed)
    map_study.rewrite("metrics", [map_metric(EVIL, EVIL, "removal_auc", 0.5, 0.4, 0.6, 8, infill=EVIL)])
    page = map_study.build(roles={"classifiers": [EVIL], "oracles": [], "readers": []})
    assert "<evil" not in page and section(page).count("&lt;evil") > 3 and section(page, "maps").count("&lt;evil") > 3
    Elements(page)
