from itertools import islice

import numpy as np
import pytest

from pipeline.datasets import open_dataset
from pipeline.datasets.sampling import sample
from pipeline.errors import UserError
from pipeline.worlds import WORLDS, Scene, intervene, load_world


def first(source, count=3):
    return [source.read(image_id) for image_id in islice(source.ids, count)]


def opened(world="shapes", split="test", seed=1, **options):
    return open_dataset({"world": world, "size": 32, **options}, split, seed)


@pytest.mark.parametrize("world", WORLDS)
def test_images_are_numbered_by_world_and_split_without_end(world):
    source = opened(world)
    assert list(islice(source.ids, 12, 14)) == [f"{world}-test-000012", f"{world}-test-000013"]
    assert next(iter(source.ids)) == f"{world}-test-000000" and source.endless


@pytest.mark.parametrize("world", WORLDS)
def test_a_sample_knows_all_that_its_world_knows(world):
    known = load_world(world)
    image = first(opened(world), 1)[0]
    scene = Scene(image.concepts, image.nuisance)
    assert image.image.dtype == np.uint8 and np.array_equal(image.image, known.render(scene, 32))
    assert image.caption == known.caption(scene) and image.seed == 1
    assert image.attributes == known.labels(image.concepts) and set(image.attributes) == set(known.tasks)
    parts = known.parts(scene, 32)
    assert set(image.parts) == set(parts) and all((image.parts[name] == parts[name]).all() for name in parts)


@pytest.mark.parametrize("world", WORLDS)
def test_parts_hold_all_that_changing_their_concept_changes(world):
    known = load_world(world)
    for image in first(opened(world)):
        scene = Scene(image.concepts, image.nuisance)
        for concept in known.concepts:
            other = (image.concepts[concept.name] + 1) % len(concept.values)
            changed = known.render(intervene(known, scene, concept.name, other), 32) != image.image
            assert not (changed.any(axis=2) & ~image.parts[concept.name]).any()


@pytest.mark.parametrize("world", WORLDS)
def test_every_visible_part_has_its_tight_box(world):
    for image in first(opened(world)):
        boxes = {label: (x0, y0, x1, y1) for x0, y0, x1, y1, label in image.boxes}
        assert set(boxes) == {concept for concept, mask in image.parts.items() if mask.any()}
        for concept, (x0, y0, x1, y1) in boxes.items():
            mask = image.parts[concept]
            inside = mask[int(y0) : int(y1), int(x0) : int(x1)]
            assert inside.sum() == mask.sum() and inside[0].any() and inside[-1].any()
            assert inside[:, 0].any() and inside[:, -1].any()


def test_labels_are_known_without_rendering():
    source = opened("portraits")
    assert [source.labels(image.image_id) for image in first(source)] == [image.attributes for image in first(source)]


def test_an_image_depends_on_seed_and_id_alone():
    image, again = first(opened(), 1)[0], opened().read("shapes-test-000000")
    assert np.array_equal(image.image, again.image)
    others = [first(opened(seed=2), 1)[0], first(opened(split="train"), 1)[0]]
    assert all(not np.array_equal(image.image, other.image) for other in others)


def test_a_prior_decides_which_concepts_occur():
    prior = {"marginals": {"smile": {"present": 1.0}}, "mixture": []}
    images = first(opened("portraits", prior=prior), 5)
    assert all(image.attributes["smile"] == 1 for image in images)


def test_classes_of_a_world_are_balanced():
    chosen = sample(opened("portraits"), 6, per_class="smile")
    assert sorted(image.attributes["smile"] for image in chosen) == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("size", [31, 64])
def test_odd_and_even_sizes_are_drawn(size):
    assert first(opened(size=size), 1)[0].image.shape == (size, size, 3)


@pytest.mark.parametrize(
    ("options", "split", "sentence"),
    [
        ({"world": "portrait"}, "test", 'did you mean "portraits"|portraits'),
        ({"world": "shapes", "size": 0}, "test", "dataset.size is 0; a world is drawn at 8 to 1024 pixels a side"),
        ({"world": "shapes"}, "tests", r'no split "tests" \(did you mean "test"\?\)'),
        ({"world": "shapes", "prior": {"marginals": {"hat": {}}}}, "test", "hat"),
    ],
)
def test_a_wrong_option_is_one_sentence(options, split, sentence):
    with pytest.raises(UserError, match=sentence):
        open_dataset(options, split, 1)
