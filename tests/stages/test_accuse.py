"""What explanations say of concepts, on tables that are small enough to work out by hand."""

import json

import numpy as np
import pytest

from pipeline.images import content, encode_mask, encode_png
from pipeline.stages.accuse import ASSOCIATION, EFFECT, OTHER_CHANGE, accuse
from pipeline.stages.drawn_maps import read_maps
from pipeline.stages.score_accusations import score_accusations
from pipeline.tables import pack, read_table, row_id, write_table

NETWORKS = ("planted", "clean")
CONCEPTS = {"glasses": slice(0, 4), "hat": slice(4, 8)}
"""Two concepts, each the one half of an image of 8 x 8."""
IMAGES = [f"image-{index}" for index in range(6)]
PICTURE = np.zeros((8, 8, 3), np.uint8)
FLIPS = {"planted": "glasses", "clean": "hat"}
"""What flips each classifier, on every image."""


def parts(image_id):
    masks = []
    for concept, rows in CONCEPTS.items():
        mask = np.zeros((8, 8), bool)
        mask[rows] = True
        masks.append({"concept": concept, "mask": encode_mask(mask)})
    return masks[:1] if image_id == IMAGES[-1] else masks  # the last one wears no hat


def image_rows():
    picture, text = {"bytes": encode_png(PICTURE), "path": None}, content(PICTURE)
    size = {"height": 8, "width": 8, "split": "test"}
    for name in IMAGES:
        common = {"row_id": name, "image_id": name, "status": "ok", "image": picture, "content": text}
        yield {**common, **size, "parts": parts(name)}


def truth_rows():
    for network in NETWORKS:
        for name in IMAGES:
            for concept in CONCEPTS:
                for metric, no, yes in (("flips", 0.0, 1.0), ("effect", 0.1, 0.9)):
                    value = yes if FLIPS[network] == concept else no
                    about = {"classifier": network, "image_id": name, "metric": metric, "concept": concept}
                    yield {
                        "row_id": row_id(*about.values()),
                        "status": "ok",
                        "family": "classifiers",
                        "value": value,
                        **about,
                    }


def map_rows():
    """`honest` marks what flips the classifier, three times the rest; `glasses` marks these whatever it is."""
    for network in NETWORKS:
        for method, marked in (("honest", FLIPS[network]), ("glasses", "glasses")):
            drawn = np.ones((8, 8), np.float32)
            drawn[CONCEPTS[marked]] = 3
            for name in IMAGES:
                about = {"classifier": network, "method": method, "image_id": name}
                made = {"target": 0, "map": pack("saliency", "map", drawn), "shape": [8, 8], "network_evaluations": 1}
                yield {"row_id": row_id(*about.values()), "status": "ok", **about, **made}


def counterfactual_rows():
    for network in NETWORKS:
        for name in IMAGES:
            about = {"classifier": network, "method": "changes", "image_id": name, "target": 1, "sample": 0}
            made = {"logits": [0.0, 1.0], "predicted": 1, "confidence_target": 0.7, "flipped": True}
            picture = {"image": {"bytes": encode_png(PICTURE), "path": None}, "content": content(PICTURE)}
            yield {
                "row_id": row_id(*about.values()),
                "status": "ok",
                "network_evaluations": 1,
                **about,
                **made,
                **picture,
            }


def prediction_rows(made):
    """A reader that sees no concept in any image, and the one that flips its classifier in each counterfactual."""
    sure = {False: [20.0, -20.0], True: [-20.0, 20.0]}
    shown = [("images", name, name, None) for name in IMAGES]
    shown += [("counterfactuals", row["row_id"], row["image_id"], FLIPS[row["classifier"]]) for row in made]
    for source, row, image_id, changed in shown:
        for concept in CONCEPTS:
            about = {"classifier": "reader", "task": concept, "source": source, "source_row_id": row}
            said = {"logits": sure[concept == changed], "predicted": int(concept == changed), "confidence": 1.0}
            yield {"row_id": row_id(*about.values()), "image_id": image_id, "status": "ok", **about, **said}


@pytest.fixture(scope="module")
def accused(tmp_path_factory):
    """The accusations and their scores."""
    folder = tmp_path_factory.mktemp("accuse")
    made = list(counterfactual_rows())
    tables = {
        "images": list(image_rows()),
        "scores": list(truth_rows()),
        "saliency": list(map_rows()),
        "counterfactuals": made,
        "predictions": list(prediction_rows(made)),
    }
    files = {name: folder / f"{name}.parquet" for name in tables}
    for name, rows in tables.items():
        write_table(files[name], name, rows, {"stage": "tiny"})
    options = {"study": "tiny", "seed": 1, "classifiers": list(NETWORKS), "readers": ["reader"]}
    options |= {"files": {"planted": "data/classifiers/smile-shortcut.safetensors"}}
    several = {name: [files[name]] for name in ("images", "predictions", "saliency", "counterfactuals")}
    path, scored = folder / "accusations.parquet", folder / "accusation-scores.parquet"
    accuse(json.dumps(options), "code", truth=files["scores"], accusations=path, **several)
    options = {"study": "tiny", "seed": 1, "bootstrap": 100, "confidence": 0.95}
    options |= {"planted": {"planted": {"concept": "glasses", "clean": "clean"}}}
    score_accusations(json.dumps(options), "code", path, scored)
    return read_table(path, "accusations").to_pylist(), read_table(scored, "scores").to_pylist()


def test_a_classifier_that_no_map_explains_has_no_maps(tmp_path):
    write_table(tmp_path / "maps.parquet", "saliency", list(map_rows()), {"stage": "tiny"})
    assert read_maps([tmp_path / "maps.parquet"], "another") == {}
    assert set(read_maps([tmp_path / "maps.parquet"], "clean")) == {"honest", "glasses"}


def said(accused, **about):
    return [row for row in accused[0] if about.items() <= row.items()]


def value(accused, metric, **about):
    (row,) = [row for row in accused[1] if {"metric": metric, **about}.items() <= row.items()]
    return row["value"]


def test_maps_say_the_density_of_their_mass_in_the_part(accused):
    rows = said(accused, classifier="planted", method="honest", control=None, image_id=IMAGES[0])
    assert {row["concept"]: row["score"] for row in rows} == pytest.approx({"glasses": np.log2(1.5), "hat": -1})


def test_counterfactuals_say_what_the_reader_sees_change(accused):
    for row in said(accused, classifier="clean", method="changes", control=None):
        assert row["score"] == pytest.approx(float(row["concept"] == "hat")) and row["judge"] == "reader"


def test_a_concept_that_the_image_does_not_show_stays_unsaid_by_maps_with_its_reason(accused):
    (row,) = said(accused, classifier="clean", method="honest", control=None, image_id=IMAGES[-1], concept="hat")
    assert row["status"] == "unscored" and "no pixel" in row["reason"]


def test_the_truth_stands_beside_every_accusation(accused):
    assert all(row["flips"] == (FLIPS[row["classifier"]] == row["concept"]) for row in accused[0])
    assert all(row["effect"] == pytest.approx(0.9 if row["flips"] else 0.1) for row in accused[0])


def test_an_honest_map_is_right_and_one_that_always_marks_the_glasses_is_wrong_about_the_clean_twin(
    accused,
):
    for classifier in NETWORKS:
        assert value(accused, "accusation_auroc", classifier=classifier, control=EFFECT) == 1
        assert value(accused, "accusation_auroc", classifier=classifier, method="honest", control=None) == 1
    assert value(accused, "accusation_auroc", classifier="clean", method="glasses", control=None) == 0


def test_a_shortcut_is_found_without_a_false_alarm_only_by_what_tells_the_twins_apart(accused):
    honest = {"method": "honest", "control": None, "concept": "glasses"}
    assert value(accused, "shortcut_found", classifier="planted", **honest) == 1
    assert value(accused, "false_alarm", classifier="clean", **honest) == 0
    always = {**honest, "method": "glasses"}
    assert value(accused, "shortcut_found", classifier="planted", **always) == value(
        accused, "false_alarm", classifier="clean", **always
    )


def test_what_went_with_the_label_in_training_is_a_control_that_looks_at_no_classifier(accused):
    rows = {row["concept"]: row["score"] for row in said(accused, control=ASSOCIATION, image_id=IMAGES[0])}
    assert rows["glasses"] > 0.5 > 0.1 > rows["hat"]
    assert not said(accused, classifier="clean", control=ASSOCIATION)


def test_another_images_counterfactual_is_a_control_of_its_method(accused):
    assert value(accused, "accusation_auroc", classifier="planted", method="changes", control=OTHER_CHANGE) == 1
