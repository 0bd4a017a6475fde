import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.source import in_order
from pipeline.errors import UserError
from pipeline.images import decode_png


@pytest.fixture
def pets(tmp_path):
    """A folder of six images of two classes and several sizes."""
    noise = np.random.default_rng(0)
    for index in range(6):
        path = tmp_path / "pets" / ("cats" if index % 2 else "dogs") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = noise.integers(0, 256, (8 + index // 2, 12, 3), np.uint8) // (1 + index % 2)
        Image.fromarray(pixels).save(path)
    return tmp_path / "pets"


def folder_of(pets, **options):
    return {"folder": str(pets), "size": 16, "shares": {"test": 1}, "task": "smile", "rows": 6, **options}


def test_logits_are_those_of_the_classifier(study):
    tables = study({"rows": 3})
    images = tables.sample()
    for row, image in zip(tables.predict(), images, strict=True):
        brightness = decode_png(image["image"]["bytes"]).mean() / 255
        assert row["logits"] == pytest.approx([0.5 - brightness, brightness - 0.5], abs=1e-5)
        assert row["predicted"] == (brightness > 0.5)
        assert row["confidence"] == pytest.approx(1 / (1 + np.exp(-2 * abs(brightness - 0.5))), abs=1e-5)
        assert row["label"] == dict(image["attributes"])["smile"]


def test_the_second_time_nothing_is_computed(study):
    tables = study({"rows": 3})
    tables.sample()
    first = tables.predict()
    assert (tables.cost("predictions")["rows_computed"], tables.cost("predictions")["network_evaluations"]) == (3, 3)
    written = tables.path("predictions").read_bytes()
    assert tables.predict() == first
    assert (tables.cost("predictions")["rows_computed"], tables.cost("predictions")["network_evaluations"]) == (0, 0)
    assert tables.path("predictions").read_bytes() == written


def test_more_images_cost_only_what_is_new_in_another_study_too(study):
    small = study({"rows": 3})
    small.sample()
    small.predict()
    larger = study({"rows": 5}, name="larger")
    larger.sample()
    assert larger.predict()[:3] == small.rows("predictions")
    assert larger.cost("predictions")["rows_computed"] == 2


def test_another_classifier_has_rows_of_its_own(study, brightness):
    tables = study({"rows": 3})
    tables.sample()
    plain = tables.predict()
    calibrated = study({"rows": 3}, classifiers={"bright": {**brightness, "temperature": 2.0}})
    halved = calibrated.predict()
    assert calibrated.cost("predictions")["rows_computed"] == 3
    for before, after in zip(plain, halved, strict=True):
        assert after["logits"] == pytest.approx([logit / 2 for logit in before["logits"]])


def test_an_intervention_changes_the_label_that_it_is_about(study):
    tables = study({"rows": 2, "per_class": "smile"})
    images = {row["image_id"]: dict(row["attributes"])["smile"] for row in tables.sample()}
    changed = {row["row_id"]: row for row in tables.intervene()}
    rows = [row for row in tables.predict() if row["source"] == "interventions"]
    assert len(rows) == len(changed) == 26
    for row in rows:
        change = changed[row["source_row_id"]]
        original = images[row["image_id"]]
        assert row["label"] == (1 - original if change["concept"] == "smile" else original)


def test_images_of_several_sizes_are_judged_as_they_are(study, pets):
    tables = study(folder_of(pets, size=None, resize="none", crop="none", classes=["cats", "dogs"]))
    images = tables.sample()
    assert len({row["height"] for row in images}) == 3
    for row, image in zip(tables.predict(), images, strict=True):
        assert row["logits"][1] == pytest.approx(decode_png(image["image"]["bytes"]).mean() / 255 - 0.5, abs=1e-5)


def test_a_broken_image_is_kept_among_the_images_and_not_judged(study, pets):
    names = [path.relative_to(pets) for path in pets.rglob("*.png")]
    first = in_order(["--".join(name.parts) for name in names], seed=2026)[0]
    (pets / first.replace("--", "/")).write_bytes(b"")
    tables = study(folder_of(pets, rows=5))
    assert [row["image_id"] for row in tables.sample() if row["status"] == "failed"] == [first]
    judged = [row["image_id"] for row in tables.predict()]
    assert len(judged) == 5 and first not in judged


def test_a_label_that_the_classifier_does_not_know_is_one_sentence(study, pets, brightness):
    tables = study(folder_of(pets), classifiers={"bright": {**brightness, "classes": ["cats", "foxes"]}})
    tables.sample()
    with pytest.raises(UserError, match="'dogs' of the task smile is none of the 2 classes of bright") as error:
        tables.predict()
    assert "\n" not in str(error.value) and not tables.path("predictions").exists()
