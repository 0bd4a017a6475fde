"""Counterfactuals of portraits: what is stored, looked up, and refused."""

import numpy as np
import pytest
import torch

from pipeline.classifiers.load import load_classifier
from pipeline.datasets.transform import fit, fit_mask
from pipeline.errors import UserError
from pipeline.images import content, decode_mask, decode_png, to_tensor
from tests.stages.conftest import bright_entry, study_maker
from tests.workflow.conftest import write_generator

DVCE = {"method": "dvce", "generator": "adm", "steps": 4, "skip": 1}
METHODS = {"dvce": DVCE, "svce": {"method": "svce", "iterations": 4, "radius": 20}}
FLAT = '''
import torch


def load():
    """Of four classes, the more a channel is lit the more its own, and the fourth never."""
    return lambda images: torch.cat([8 * images.mean((2, 3)), images.new_full((len(images), 1), -9.0)], 1)
'''


@pytest.fixture
def colours(tmp_path):
    """The entry of a classifier of four classes."""
    path = tmp_path / "colours.py"
    path.write_text(FLAT, encoding="utf-8")
    return {"entry_point": f"{path}:load", "task": "colour", "classes": ["red", "green", "blue", "none"]}


def maker(folder, study):
    """Makes a study of portraits whose counterfactuals are made."""
    write_generator(folder / "adm.safetensors")
    adm = {"adm": {"file": str(folder / "adm.safetensors")}}

    def make(methods=METHODS, classifier="bright", **sections):
        named = any(method.get("generator") for method in methods.values())
        generators = {"generators": adm if named else {}}
        tables = study({"rows": 3}, **{**generators, "counterfactuals": methods, "explained_rows": 2, **sections})
        tables.sample()
        tables.predict()
        tables.counterfactuals(classifier)
        return tables

    return make


@pytest.fixture
def made(study, tmp_path):
    """Makes a study of portraits and its counterfactuals."""
    return maker(tmp_path, study)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The study with the usual methods, made once for the tests that read it."""
    folder = tmp_path_factory.mktemp("usual")
    return maker(folder, study_maker(folder, bright_entry(folder)))()


def rows_of(tables, method):
    return [row for row in tables.rows("counterfactuals") if row["method"] == method]


def test_every_method_changes_the_first_images_to_the_other_class(tables):
    rows, first = tables.rows("counterfactuals"), [row["image_id"] for row in tables.rows("images")[:2]]
    assert [(row["method"], row["image_id"]) for row in rows] == [(name, each) for name in METHODS for each in first]
    decided = {row["source_row_id"]: row["predicted"] for row in tables.rows("predictions")}
    assert all(row["target"] == 1 - decided[row["image_id"]] and row["sample"] == 0 for row in rows)


def test_what_is_said_of_a_counterfactual_is_said_of_the_stored_image(tables, brightness):
    classifier = load_classifier("bright", brightness)
    for row in tables.rows("counterfactuals"):
        image = decode_png(row["image"]["bytes"])
        with torch.inference_mode():
            logits = classifier(to_tensor([image]))[0]
        assert row["logits"] == pytest.approx(logits.tolist(), abs=1e-6)
        assert row["content"] == content(image) and row["image"]["path"] == f"{row['row_id']}.png"
        assert row["predicted"] == int(logits.argmax()) and row["flipped"] == (row["predicted"] == row["target"])
        assert row["confidence_target"] == pytest.approx(float(logits.softmax(0)[row["target"]]), abs=1e-6)


def test_images_have_the_size_of_the_generator_and_without_one_their_own(tables):
    sizes = {row["method"]: decode_png(row["image"]["bytes"]).shape for row in tables.rows("counterfactuals")}
    assert sizes == {"dvce": (16, 16, 3), "svce": (32, 32, 3)}


def test_evaluations_are_told_by_row_and_counted_with_the_judgement(tables):
    # Three steps, of which two are guided; the start and four steps of Frank-Wolfe.
    taken = {row["method"]: row["network_evaluations"] for row in tables.rows("counterfactuals")}
    assert taken == {"dvce": 3 + 2, "svce": 5}
    assert tables.cost("counterfactuals")["network_evaluations"] == 2 * (3 + 2 + 1) + 2 * (5 + 1)


def test_the_second_time_nothing_is_made(made):
    tables = made({"dvce": DVCE})
    assert tables.cost("counterfactuals")["rows_computed"] == 2
    written = tables.path("counterfactuals").read_bytes()
    tables.counterfactuals("bright")
    assert tables.cost("counterfactuals")["rows_computed"] == 0
    assert tables.path("counterfactuals").read_bytes() == written


def test_more_targets_samples_and_names_make_the_new_rows_alone(made):
    before = {row["image_id"]: row["image"]["bytes"] for row in rows_of(made({"dvce": DVCE}), "dvce")}
    more = made({"other": {**DVCE, "samples": 2, "target": "next"}})
    assert more.cost("counterfactuals")["rows_computed"] == 2  # of two classes the next is the second best
    for row in rows_of(more, "other"):
        assert (row["image"]["bytes"] == before[row["image_id"]]) == (row["sample"] == 0)


def test_another_option_makes_other_rows(made):
    made({"dvce": DVCE})
    for change in ({"skip": 2}, {"cone": {"helper": "bright"}}, {"immutable": ["hat"]}):
        assert made({"dvce": {**DVCE, **change}}).cost("counterfactuals")["rows_computed"] == 2, change


def test_a_generator_that_was_renamed_is_the_same_and_one_that_was_trained_on_is_not(made, tmp_path):
    made({"dvce": DVCE})
    (tmp_path / "moved.safetensors").write_bytes((tmp_path / "adm.safetensors").read_bytes())
    moved = {"other": {"file": str(tmp_path / "moved.safetensors")}}
    renamed = made({"dvce": {**DVCE, "generator": "other"}}, generators=moved)
    assert renamed.cost("counterfactuals")["rows_computed"] == 0
    write_generator(tmp_path / "moved.safetensors", seed=1)
    trained = made({"dvce": {**DVCE, "generator": "other"}}, generators=moved)
    assert trained.cost("counterfactuals")["rows_computed"] == 2


def test_only_so_many_rows_are_explained_as_a_method_says(made):
    tables = made({"dvce": {**DVCE, "rows": 1}, "svce": METHODS["svce"]})
    assert (len(rows_of(tables, "dvce")), len(rows_of(tables, "svce"))) == (1, 2)


def test_immutable_parts_stay_as_they_are(made):
    tables = made({"free": DVCE, "kept": {**DVCE, "immutable": ["background", "hair"]}})
    images = {row["image_id"]: row for row in tables.rows("images")}
    for free, kept in zip(rows_of(tables, "free"), rows_of(tables, "kept"), strict=True):
        source = images[kept["image_id"]]
        parts = {part["concept"]: decode_mask(part["mask"]) for part in source["parts"]}
        mask = fit_mask(parts["background"] | parts["hair"], 16)
        original = fit(decode_png(source["image"]["bytes"]), 16)
        with_mask, without = (decode_png(row["image"]["bytes"]) for row in (kept, free))
        assert 0 < mask.mean() < 1
        assert np.array_equal(with_mask[mask], original[mask]) and not np.array_equal(without[mask], original[mask])


def test_the_label_is_explained_where_the_study_says_so(made):
    tables = made(explained_class="label")
    labels = {row["source_row_id"]: row["label"] for row in tables.rows("predictions")}
    assert all(row["target"] == 1 - labels[row["image_id"]] for row in tables.rows("counterfactuals"))


def test_several_targets_and_a_fixed_one(made, colours):
    pairs = {"red": ["blue", "none"], "green": "red", "blue": ["green"], "none": "red"}
    pgd = {"method": "pgd", "iterations": 1}
    methods = {"pairs": {**pgd, "target": {"pairs": pairs}}, "fixed": {**pgd, "target": {"fixed": "none"}}}
    tables = made(methods, "colours", classifiers={"colours": colours}, explained_rows=3)
    decided = {row["source_row_id"]: row["predicted"] for row in tables.rows("predictions")}
    wanted = {0: [2, 3], 1: [0], 2: [1], 3: [0]}
    expected = [(image_id, target) for image_id, source in decided.items() for target in wanted[source]]
    assert [(row["image_id"], row["target"]) for row in rows_of(tables, "pairs")] == expected
    assert [row["target"] for row in rows_of(tables, "fixed")] == [3, 3, 3]


def test_the_most_confused_class_is_that_of_all_images(made, colours):
    methods = {"pgd": {"method": "pgd", "iterations": 1, "target": "most-confused"}}
    tables = made(methods, "colours", classifiers={"colours": colours}, explained_rows=1)
    predictions = tables.rows("predictions")
    (row,) = rows_of(tables, "pgd")
    (source,) = [each["predicted"] for each in predictions if each["source_row_id"] == row["image_id"]]
    alike = torch.tensor([each["logits"] for each in predictions if each["predicted"] == source])
    means = alike.softmax(1).mean(0)
    means[source] = -1
    assert row["target"] == int(means.argmax())


REFUSED = [
    ({"target": {"fixed": "presnet"}}, "counterfactuals.pgd.target: 'presnet' is none of the 2 classes; did you mean"),
    (
        {"target": {"pairs": {"absent": "present"}}},
        "counterfactuals.pgd.target: the class 'present' has no target, and",
    ),
    (
        {"target": "near"},
        "counterfactuals.pgd.target: near classes are known of the tasks look, and bright judges smile;",
    ),
]


@pytest.mark.parametrize(("change", "sentence"), REFUSED, ids=[str(change) for change, _ in REFUSED])
def test_a_target_that_cannot_be_is_refused_before_anything_is_made(made, change, sentence):
    with pytest.raises(UserError) as caught:
        made({"pgd": {"method": "pgd", **change}}, explained_rows=3)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("option", [{"immutable": ["hats"]}, {"region": {"parts": ["hair", "hats"]}}])
def test_a_part_that_an_image_does_not_have_is_refused(made, option):
    with pytest.raises(UserError, match=r"the image .* has no part 'hats'; did you mean 'hat'\?"):
        made({"dvce": {**DVCE, **option}})


def test_pixels_that_are_no_numbers_make_a_failed_row(made):
    tables = made({"dvce": {**DVCE, "classifier_weight": 1e38, "distance_weight": 1e38, "guidance_norm": "mu"}})
    for row in tables.rows("counterfactuals"):
        assert row["status"] == "failed" and row["image"] is None and "no numbers" in row["reason"]
