"""The images that are shown, and the interventions that flip them."""

import io
import re

import pytest
from PIL import Image

from pipeline.report.pictures import picture
from pipeline.tables import read_table


def shown(page: str, classifier: str) -> list[dict]:
    """The cards of a classifier: image, which changes are shown, and the concepts named."""
    section = page.split('id="gallery"')[1].split("</section>")[0]
    gallery = section.split(f'<h3><span class="name">{classifier}</span></h3>')[1].split("<h3>")[0]
    cards = []
    for text in gallery.split("<article")[1:]:
        words = re.findall(r'alt="Image ([^,]+)(?:, (.+?))?: [^:]+ says ([^"]+)"', text)
        cards.append(
            {
                "image_id": words[0][0],
                "changes": [change for _, change, _ in words[1:]],
                "says": [says for _, _, says in words],
                "flipping": re.findall(r'class="chip">([^<]+)', text),
                "text": text,
            }
        )
    return cards


def flips_of(study, classifier: str) -> dict[str, list[str]]:
    """image_id -> the row_ids of the interventions that change the prediction, worked out from the table."""
    rows = [row for row in read_table(study.files["predictions"], "predictions").to_pylist()]
    own = {row["source_row_id"]: row for row in rows if row["classifier"] == classifier}
    flips: dict[str, list[str]] = {row["image_id"]: [] for row in own.values()}
    for row_id, row in own.items():
        if row["predicted"] != own[row["image_id"]]["predicted"]:
            flips[row["image_id"]].append(row_id)
    return flips


@pytest.mark.parametrize("classifier", ["smile-cnn", "smile-shortcut"])
def test_gallery_shows_exactly_the_interventions_that_flip(study, classifier):
    cards = shown(study.build(examples=8), classifier)
    flips = flips_of(study, classifier)
    assert {card["image_id"] for card in cards} == set(flips)
    for card in cards:
        changes = [re.fullmatch(r"(\w+): \w+ → (\w+)", change).groups() for change in card["changes"]]
        found = [f"{card['image_id']}/{concept}={value}" for concept, value in changes]
        assert found == flips[card["image_id"]]
        assert card["flipping"] == list(dict.fromkeys(concept for concept, _ in changes))


def test_gallery_names_the_value_before_and_after_and_the_new_decision(study):
    card = next(card for card in shown(study.build(), "smile-cnn") if "smile" in card["flipping"])
    place = next(index for index, change in enumerate(card["changes"]) if change.startswith("smile"))
    before, after = re.fullmatch(r"smile: (\w+) → (\w+)", card["changes"][place]).groups()
    assert {before, after} == {"absent", "present"}
    assert re.fullmatch(rf"smile: {after}, [\d.]+\s% sure\.", card["says"][1 + place])
    assert re.fullmatch(rf"smile: {before}, [\d.]+\s% sure\.", card["says"][0])


def test_images_that_most_concepts_flip_come_first_and_those_that_none_flips_last(study):
    rows = read_table(study.files["predictions"], "predictions").to_pylist()
    ids = sorted({row["image_id"] for row in rows})
    flipped = {ids[2]: ("hat",), ids[4]: ("hat", "smile", "hair"), ids[5]: ("hat",)}
    for row in rows:
        if row["classifier"] == "smile-cnn":
            concept = row["source_row_id"].partition("/")[2].partition("=")[0]
            row["predicted"] = int(concept in flipped.get(row["image_id"], ()))
    study.rewrite("predictions", rows)
    cards = shown(study.build(examples=5), "smile-cnn")
    assert [card["image_id"] for card in cards] == [ids[4], ids[2], ids[5], ids[0], ids[1]]
    assert cards[0]["flipping"] == ["smile", "hat", "hair"] and len(cards[0]["changes"]) == 5
    assert "No single change flips it." in cards[3]["text"]


def test_change_that_was_not_judged_counts_neither_as_flip_nor_as_kept(study):
    rows = read_table(study.files["predictions"], "predictions").to_pylist()
    for row in rows:
        if row["classifier"] == "smile-cnn" and "/hair=" in row["source_row_id"]:
            row.update(status="failed", reason="the network gave NaN", logits=None, predicted=None, confidence=None)
        elif row["classifier"] == "smile-cnn":
            row["predicted"] = 0
    study.rewrite("predictions", rows)
    page = study.build(examples=1)
    card = shown(page, "smile-cnn")[0]["text"]
    assert "No change that was judged flips it." in card and re.search(r"3\schanges of 13 could not be judged", card)
    assert "Not flipped by smile, glasses, hat, beard, skin or background." in card
    assert "the network gave NaN" in page


def test_wrong_answers_are_marked_with_the_true_label(study):
    rows = read_table(study.files["predictions"], "predictions").to_pylist()
    for row in rows:
        row["label"] = 1 - row["predicted"] if row["classifier"] == "smile-cnn" else row["label"]
    study.rewrite("predictions", rows)
    cards = shown(study.build(), "smile-cnn")
    assert cards and all(re.search(r"wrong: it is (absent|present)", card["text"]) for card in cards)


def test_study_without_interventions_shows_confident_mistakes_first(folder_study):
    rows = read_table(folder_study.files["predictions"], "predictions").to_pylist()
    own = [row for row in rows if row["classifier"] == "smile-cnn"]
    for index, row in enumerate(own):
        row.update(predicted=row["label"], confidence=0.9 - index / 100)
    own[3].update(predicted=1 - own[3]["label"], confidence=0.7)
    own[5].update(predicted=1 - own[5]["label"], confidence=0.8)
    folder_study.rewrite("predictions", rows)
    cards = shown(folder_study.build(), "smile-cnn")
    assert [card["image_id"] for card in cards] == [own[index]["image_id"] for index in (5, 3, 7)]


def test_study_that_wants_no_examples_has_no_gallery(study):
    assert 'id="gallery"' not in study.build(examples=0)


@pytest.mark.parametrize(
    ("size", "width", "enlarged"),
    [((8, 8), 96, True), ((32, 32), 96, True), ((64, 64), 128, True), ((96, 96), 96, False), ((1000, 500), 256, False)],
)
def test_pictures_are_large_enough_to_see_and_small_enough_to_send(size, width, enlarged):
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, format="PNG")
    found = picture(buffer.getvalue())
    assert (found.width, found.enlarged) == (width, enlarged)
