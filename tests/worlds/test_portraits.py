import numpy as np
import pytest

from pipeline.worlds import draw_scene, intervene, load_world

WORLD = load_world("portraits")
SCENES = [draw_scene(WORLD, 0, f"face-{index}") for index in range(20)]


def test_a_caption_names_the_value_of_every_concept():
    scene = SCENES[0]
    captions = {WORLD.caption(scene)}
    for concept in WORLD.concepts:
        for value in range(len(concept.values)):
            captions.add(WORLD.caption(intervene(WORLD, scene, concept.name, value)))
    # Every intervention changes the caption: 7 concepts with 13 other values in all.
    assert len(captions) == 1 + sum(len(concept.values) - 1 for concept in WORLD.concepts)


def test_the_look_is_smile_times_glasses_times_hat():
    assert len(WORLD.tasks["look"]) == 8
    for scene in SCENES:
        label = WORLD.labels(scene.concepts)["look"]
        named = WORLD.tasks["look"][label]
        for concept in ("smile", "glasses", "hat"):
            assert (concept in named) == bool(scene.concepts[concept])


@pytest.mark.parametrize("size", [32, 64, 256])
def test_the_same_face_is_drawn_at_every_size(size):
    drawn = WORLD.render(SCENES[1], size)
    assert drawn.shape == (size, size, 3) and drawn.dtype == np.uint8
    coarse = WORLD.render(SCENES[1], 32).astype(float)
    shrunk = drawn.reshape(32, size // 32, 32, size // 32, 3).mean((1, 3))
    assert np.abs(shrunk - coarse).mean() < 6


def test_edges_are_anti_aliased():
    face = SCENES[2]
    hatless, hat = (WORLD.render(intervene(WORLD, face, "hat", value), 64).astype(int) for value in (0, 1))
    changes = np.abs(hat - hatless).max(-1)
    partly = (changes > 0) & (changes < 0.5 * changes.max())
    assert partly.sum() > 20


def test_the_smile_is_at_the_mouth_and_the_hat_on_top():
    for scene in SCENES:
        parts = WORLD.parts(scene, 64)
        middle = {concept: np.argwhere(mask).mean(0)[0] for concept, mask in parts.items()}
        assert middle["hat"] < middle["glasses"] < middle["smile"]
