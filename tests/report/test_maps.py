"""The gallery of maps: which images, in which order, with what beside them."""

import re
from collections import Counter

from pipeline.report.numbers import decimal
from pipeline.tables import read_table
from tests.report.test_page import Elements, words


def cards(page: str, classifier: str = "smile-cnn") -> list[str]:
    section = page.split('id="maps"')[1].split("</section>")[0]
    gallery = section.split(f'<h3><span class="name">{classifier}</span></h3>')[1].split("<h3>")[0]
    return gallery.split("<article")[1:]


def image_of(card: str) -> str:
    return re.search(r'class="name">([^<]+)', card)[1]


def scores_of(study, method: str, classifier: str = "smile-cnn") -> dict[str, float | None]:
    rows = read_table(study.files["scores"], "scores").to_pylist()
    return {
        row["image_id"]: row["value"]
        for row in rows
        if (row["classifier"], row["method"], row["metric"]) == (classifier, method, "truth_mass")
    }


def test_images_that_the_first_method_explains_worst_come_first_and_unscored_ones_last(map_study):
    scores = scores_of(map_study, "blurred-truth")
    expected = sorted(scores, key=lambda image_id: (scores[image_id] is None, scores[image_id] or 0))
    assert None in scores.values() and len({*scores.values()}) > 2
    assert [image_of(card) for card in cards(map_study.build(examples=8))] == expected
    assert [image_of(card) for card in cards(map_study.build(examples=3))] == expected[:3]


def test_every_method_is_shown_with_its_score_on_that_image(map_study):
    card = cards(map_study.build())[0]
    assert re.findall(r"<b>([^<]+)</b>", card) == ["image", "truth", "blurred-truth", "mirrored"]
    score = decimal(scores_of(map_study, "mirrored")[image_of(card)])
    assert words(card).endswith(f"mirrored{score}") or f"mirrored {score}" in words(card)


def test_truth_is_outlined_on_every_map_and_missing_where_nothing_flips(map_study):
    found = cards(map_study.build(examples=8))
    assert found[0].count("<defs>") == 1 and found[0].count('class="over"') == 3
    assert "No single change flips it." in found[-1] and "Not scored:" in found[-1] and "<svg" not in found[-1]


def test_map_that_could_not_be_made_leaves_a_gap_with_its_name(map_study):
    rows = read_table(map_study.files["saliency"][0], "saliency").to_pylist()
    for row in rows[-8:]:
        row.update(status="failed", reason="no gradient", map=None, shape=None, network_evaluations=None)
    map_study.rewrite("saliency", rows)
    assert all(card.count(">no map<") == 1 for card in cards(map_study.build()))


def test_images_come_in_the_order_of_the_dataset_where_the_study_says_so(map_study):
    page = map_study.build(examples=8, order="dataset")
    found = [image_of(card) for card in cards(page)]
    assert found == sorted(found) and "explains worst" not in page


def test_study_that_wants_no_examples_has_no_gallery_of_maps(map_study):
    page = map_study.build(examples=0)
    assert 'id="maps"' not in page and 'id="saliency"' in page


def test_page_with_maps_is_whole_offline_and_the_same_again(map_study):
    page = map_study.build()
    found = Elements(page).found
    assert not [name for name, times in Counter(a["id"] for _, a in found if "id" in a).items() if times > 1]
    ids = {attributes.get("id") for _, attributes in found}
    for tag, attributes in found:
        assert re.match(r"#|data:image/png;base64,", attributes.get("src", "#"))
        assert attributes.get("href", "#").removeprefix("#") in ids | {""}
        assert tag != "img" or attributes["alt"]
    assert "http:" not in page and "https:" not in page
    assert map_study.build() == page


def test_maps_follow_the_table_where_nothing_is_scored(folder_study, map_study):
    folder_study.files["saliency"] = map_study.files["saliency"]
    page = folder_study.build()
    ids = read_table(folder_study.files["images"], "images", ["image_id"])["image_id"].to_pylist()
    assert [image_of(card) for card in cards(page)] == ids[:3] and "share of its mass" not in page
