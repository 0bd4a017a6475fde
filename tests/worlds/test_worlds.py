"""Properties that hold for every world."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.worlds import WORLDS, Concept, Scene, draw_scene, intervene, load_world
from pipeline.worlds.prior import Prior

SEED = 2026
SIZES = st.sampled_from([32, 48, 64, 100, 128])
INDICES = st.integers(0, 10**6)

every_world = pytest.mark.parametrize("world", [load_world(name) for name in sorted(WORLDS)], ids=sorted(WORLDS))
few_examples = settings(max_examples=8, deadline=None, derandomize=True)


def scene_of(world, index, prior=None):
    return draw_scene(world, SEED, f"{world.name}-test-{index:06d}", prior)


def interventions(world, scene):
    """Every scene that differs in one concept, with the name of that concept."""
    for concept in world.concepts:
        for value in range(len(concept.values)):
            if value != scene.concepts[concept.name]:
                yield concept.name, intervene(world, scene, concept.name, value)


def differ(first, second):
    return (first != second).any(axis=-1)


@every_world
@given(index=INDICES, size=SIZES)
@few_examples
def test_a_scene_always_gives_the_same_picture(world, index, size):
    scene = scene_of(world, index)
    image = world.render(scene, size)
    assert image.shape == (size, size, 3) and image.dtype == np.uint8
    world.render(scene_of(world, index + 1), size)
    shuffled = Scene(dict(reversed(scene.concepts.items())), dict(reversed(scene.nuisance.items())))
    assert (world.render(shuffled, size) == image).all()


@every_world
def test_changing_a_returned_picture_changes_no_later_one(world):
    scene = scene_of(world, 0)
    image, masks = world.render(scene, 64), world.parts(scene, 64)
    kept = image.copy(), {name: mask.copy() for name, mask in masks.items()}
    image[:] = 0
    for mask in masks.values():
        mask[:] = True
    assert (world.render(scene, 64) == kept[0]).all()
    assert all((mask == kept[1][name]).all() for name, mask in world.parts(scene, 64).items())


@every_world
@given(index=INDICES, size=SIZES)
@few_examples
def test_a_part_is_exactly_the_pixels_that_interventions_on_its_concept_change(world, index, size):
    scene = scene_of(world, index)
    original = world.render(scene, size)
    changed = {concept.name: np.zeros((size, size), bool) for concept in world.concepts}
    for concept, other in interventions(world, scene):
        changed[concept] |= differ(world.render(other, size), original)
    parts = world.parts(scene, size)
    assert list(parts) == list(changed)
    for concept, mask in parts.items():
        assert mask.dtype == bool and (mask == changed[concept]).all(), concept


@every_world
@given(index=INDICES, size=SIZES)
@few_examples
def test_an_intervention_leaves_the_pixels_outside_the_part_untouched(world, index, size):
    scene = scene_of(world, index)
    original, parts = world.render(scene, size), world.parts(scene, size)
    for concept, other in interventions(world, scene):
        assert (world.render(other, size)[~parts[concept]] == original[~parts[concept]]).all(), concept


@every_world
@pytest.mark.parametrize("index", [0, 1])
def test_every_concept_is_visible_under_every_combination_of_the_others(world, index):
    nuisance = scene_of(world, index).nuisance
    counts = [len(concept.values) for concept in world.concepts]
    names = [concept.name for concept in world.concepts]
    images = np.stack(
        [world.render(Scene(dict(zip(names, v, strict=True)), nuisance), 64) for v in product(*map(range, counts))]
    ).reshape(*counts, 64, 64, 3)
    for axis, (name, count) in enumerate(zip(names, counts, strict=True)):
        by_value = np.moveaxis(images, axis, 0)
        for first, second in ((a, b) for a in range(count) for b in range(a)):
            difference = np.maximum(by_value[first], by_value[second]) - np.minimum(by_value[first], by_value[second])
            share = (difference >= 24).any(axis=-1).mean(axis=(-2, -1))
            assert share.min() >= 0.0015, (name, first, second)


@every_world
@given(index=INDICES)
@few_examples
def test_every_concept_is_visible_in_every_scene(world, index):
    scene = scene_of(world, index)
    original = world.render(scene, 64).astype(int)
    for concept, other in interventions(world, scene):
        visible = (abs(world.render(other, 64) - original) >= 24).any(axis=-1)
        assert visible.mean() >= 0.0015, concept


@every_world
@given(index=INDICES)
@few_examples
def test_labels_agree_with_the_concepts(world, index):
    scene = scene_of(world, index)
    labels = world.labels(scene.concepts)
    assert set(labels) == set(world.tasks)
    assert all(0 <= label < len(world.tasks[task]) for task, label in labels.items())
    for concept in world.concepts:
        assert labels[concept.name] == scene.concepts[concept.name]
        assert world.tasks[concept.name] == concept.values


@every_world
@given(index=INDICES)
@few_examples
def test_an_intervention_changes_the_caption(world, index):
    scene = scene_of(world, index)
    captions = [world.caption(scene), *(world.caption(other) for _, other in interventions(world, scene))]
    assert all(captions)
    assert len(set(captions)) == len(captions)


@every_world
def test_different_images_get_different_nuisance_and_look_different(world):
    present = {concept.name: len(concept.values) - 1 for concept in world.concepts}
    pictures = {world.render(Scene(present, scene_of(world, index).nuisance), 64).tobytes() for index in range(30)}
    assert len(pictures) == 30
    combinations = {tuple(scene_of(world, index).concepts.values()) for index in range(30)}
    assert len(combinations) > 10


@every_world
def test_a_draw_depends_on_seed_and_image_alone_and_not_on_the_order_of_drawing(world):
    forwards = [scene_of(world, index) for index in range(10)]
    backwards = [scene_of(world, index) for index in reversed(range(10))]
    assert forwards == backwards[::-1]
    assert draw_scene(world, SEED + 1, f"{world.name}-test-000000").nuisance != forwards[0].nuisance


@every_world
def test_nuisance_does_not_depend_on_the_prior(world):
    last = {concept.name: concept.values[-1] for concept in world.concepts}
    prior = Prior.from_options({"mixture": [{"weight": 1, "set": last}]}, world.concepts)
    for index in range(10):
        uniform, fixed = scene_of(world, index), scene_of(world, index, prior)
        assert fixed.nuisance == uniform.nuisance
        assert fixed.concepts == {concept.name: len(concept.values) - 1 for concept in world.concepts}


@every_world
def test_nuisance_is_plain_floats_and_concepts_are_plain_ints_in_order(world):
    scene = scene_of(world, 0)
    assert all(type(number) is float for number in scene.nuisance.values())
    assert all(type(value) is int for value in scene.concepts.values())
    assert list(scene.concepts) == [concept.name for concept in world.concepts]


@every_world
def test_interventions_accept_index_or_name_and_keep_everything_else(world):
    scene = scene_of(world, 0)
    before = Scene(dict(scene.concepts), dict(scene.nuisance))
    for concept in world.concepts:
        for index, value in enumerate(concept.values):
            other = intervene(world, scene, concept.name, value)
            assert other == intervene(world, scene, concept.name, index)
            assert other == Scene({**scene.concepts, concept.name: index}, scene.nuisance)
        assert intervene(world, scene, concept.name, scene.concepts[concept.name]) == scene
    assert scene == before


@every_world
def test_an_unknown_concept_or_value_is_answered_with_the_nearest_valid_one(world):
    scene, concept = scene_of(world, 0), world.concepts[0]
    with pytest.raises(UserError, match=f'did you mean "{concept.name}"'):
        intervene(world, scene, concept.name + "x", 0)
    with pytest.raises(UserError, match=f'"{concept.name}".*did you mean "{concept.values[1]}"'):
        intervene(world, scene, concept.name, concept.values[1] + "x")
    for value in (len(concept.values), -1, 0.0, None):
        with pytest.raises(UserError, match=concept.values[0]):
            intervene(world, scene, concept.name, value)


def test_an_unknown_world_is_answered_with_the_nearest_valid_one():
    with pytest.raises(UserError, match=r'"shape".*did you mean "shapes"'):
        load_world("shape")


def test_a_prior_over_other_concepts_is_refused():
    prior = Prior.from_options(None, (Concept("hat", ("no", "yes")),))
    with pytest.raises(UserError, match=r'hat.*"shapes"'):
        draw_scene(load_world("shapes"), SEED, "shapes-test-000000", prior)
