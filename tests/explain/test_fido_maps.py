"""FIDO's maps where the evidence is known, and what an image's map does not depend on."""

import pytest
import torch

from pipeline.errors import UserError
from pipeline.explain.fido import PURPOSE, explain
from pipeline.infill import load_infill
from tests.explain.planted import (
    SIDE,
    around,
    conv_classifier,
    in_patch,
    named_noise,
    patch_classifier,
    random_images,
    white_images,
)

BLACK = load_infill("mean", colour=[0, 0, 0])
QUICK = {"grid": 8, "masks": 4, "steps": 40, "learning_rate": 0.3, "sparsity": 0.02, "warm_up": 5, "batch_size": 8}


def noise(rows):
    return named_noise(rows, PURPOSE)


@pytest.mark.parametrize("noise_at", ["pixel", "cell"])
@pytest.mark.parametrize("objective", ["ssr", "sdr"])
def test_the_only_patch_that_matters_is_found(objective, noise_at):
    maps = explain(
        patch_classifier(),
        white_images(),
        torch.tensor([1, 1]),
        noise=noise(2),
        infill=BLACK,
        objective=objective,
        noise_at=noise_at,
        **QUICK,
    )
    assert maps.map.shape == (2, 8, 8) and maps.map.dtype == torch.float32
    evidence = in_patch(8)
    assert maps.map[:, evidence].min() > 0.9
    assert maps.map[:, ~around(evidence)].max() < 0.1


def test_negating_the_score_turns_what_suffices_into_what_destroys():
    arguments = {**QUICK, "sparsity": 0.0, "infill": BLACK, "noise": noise(2)}
    kept = explain(patch_classifier(), white_images(), torch.tensor([0, 0]), objective="ssr", **arguments)
    dropped = explain(patch_classifier(), white_images(), torch.tensor([1, 1]), objective="sdr", **arguments)
    assert torch.allclose(kept.map, 1 - dropped.map, atol=1e-6)
    assert kept.map[:, in_patch(8)].max() < 0.2
    assert torch.allclose(kept.objective, dropped.objective, atol=1e-6)


@pytest.mark.parametrize("objective", ["ssr", "sdr"])
def test_if_pixels_are_too_dear_none_is_kept_and_none_dropped(objective):
    arguments = {**QUICK, "sparsity": 100.0, "infill": BLACK, "noise": noise(1)}
    maps = explain(patch_classifier(), white_images(1), torch.tensor([1]), objective=objective, **arguments)
    assert maps.map.max() < 0.05


def test_total_variation_makes_smoother_maps():
    arguments = {**QUICK, "infill": BLACK, "noise": noise(1), "objective": "sdr"}
    roughness = [
        explain(patch_classifier(), white_images(1), torch.tensor([1]), total_variation=weight, **arguments)
        .map.diff(dim=2)
        .square()
        .sum()
        for weight in (0.0, 1.0)
    ]
    assert roughness[1] < 0.5 * roughness[0]


# rows and slots

SHORT = {"grid": 4, "masks": 4, "steps": 6, "warm_up": 2, "sparsity": 0.01}


@pytest.mark.parametrize("infill", ["blur", "random", "local-mean"])
@pytest.mark.parametrize("options", [{}, {"noise_at": "cell", "objective": "sdr"}, {"grid": 5, "total_variation": 0.1}])
def test_a_map_is_the_same_to_the_last_bit_whatever_shares_its_batch(infill, options):
    images, targets = random_images(7), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    arguments = {"infill": load_infill(infill), "batch_size": 12, **SHORT, **options}
    together = explain(conv_classifier(), images, targets, noise=noise(7), **arguments)
    for order in ([4], [6, 2], [5, 0, 3, 1]):
        alone = explain(conv_classifier(), images[order], targets[order], noise=noise(7).select(order), **arguments)
        assert torch.equal(alone.map, together.map[order])
        assert torch.equal(alone.objective, together.objective[order])


def test_batch_sizes_agree_to_rounding():
    images, targets = random_images(3), torch.tensor([0, 1, 2])
    maps = [
        explain(conv_classifier(), images, targets, noise=noise(3), batch_size=rows, **SHORT).map for rows in (1, 8, 64)
    ]
    assert torch.allclose(maps[0], maps[1], atol=1e-4) and torch.allclose(maps[0], maps[2], atol=1e-4)


def test_an_image_that_converges_early_leaves_its_slot_and_disturbs_no_neighbour():
    images, targets = random_images(5), torch.tensor([0, 1, 2, 0, 1])
    images[1], images[3] = 0.5, 0.25  # equal to their in-fill, so that their masks never move
    arguments = {**SHORT, "steps": 24, "sparsity": 0.0, "batch_size": 8, "infill": load_infill("mean")}
    finished = []
    maps = explain(
        conv_classifier(), images, targets, noise=noise(5), tolerance=1e-6, progress=finished.append, **arguments
    )
    assert maps.steps.tolist() == [24, 10, 24, 10, 24] and sum(finished) == 5
    assert maps.network_evaluations.tolist() == [96, 40, 96, 40, 96]
    undisturbed = explain(conv_classifier(), images, targets, noise=noise(5), **arguments)
    assert torch.equal(maps.map, undisturbed.map)
    assert torch.equal(maps.map[1], torch.full((4, 4), 0.5))


def test_noise_for_the_in_filler_follows_the_step_of_each_slot():
    images, targets = random_images(4), torch.tensor([0, 1, 2, 0])
    arguments = {**SHORT, "steps": 14, "batch_size": 8, "infill": load_infill("random"), "tolerance": 0.04}
    together = explain(conv_classifier(), images, targets, noise=noise(4), **arguments)
    for row in range(4):
        alone = explain(conv_classifier(), images[[row]], targets[[row]], noise=noise(4).select([row]), **arguments)
        assert torch.equal(alone.map[0], together.map[row]) and alone.steps[0] == together.steps[row]


def test_every_forward_has_one_shape_and_evaluations_are_counted():
    shapes, classifier = [], conv_classifier()
    classifier.network.register_forward_hook(lambda module, inputs, outputs: shapes.append(tuple(inputs[0].shape)))
    maps = explain(classifier, random_images(4), torch.zeros(4).long(), noise=noise(4), batch_size=9, **SHORT)
    assert set(shapes) == {(8, 3, SIDE, SIDE)} and len(shapes) == 12
    assert maps.network_evaluations.tolist() == [24] * 4 and maps.network_evaluations.dtype == torch.int64
    assert sum(shape[0] for shape in shapes) == maps.network_evaluations.sum()


def test_it_works_where_gradients_are_off_and_changes_nothing():
    images = random_images(2)
    before = images.clone()
    with torch.no_grad():
        quiet = explain(conv_classifier(), images, torch.tensor([0, 1]), noise=noise(2), **SHORT)
    loud = explain(conv_classifier(), images, torch.tensor([0, 1]), noise=noise(2), **SHORT)
    assert torch.equal(quiet.map, loud.map) and torch.equal(images, before) and not loud.map.requires_grad


def test_oblong_images_have_square_cells_and_no_image_gives_no_map():
    images = torch.rand(1, 3, 16, 24)
    maps = explain(conv_classifier(), images, torch.tensor([1]), noise=noise(1), **{**SHORT, "grid": None, "steps": 1})
    assert maps.map.shape == (1, 4, 6)
    nothing = explain(conv_classifier(), random_images(0), torch.zeros(0).long(), noise=noise(0), **SHORT)
    assert nothing.map.shape == (0, 4, 4) and nothing.network_evaluations.shape == (0,)


def test_wrong_options_are_answered_with_valid_ones():
    for options, answer in (
        ({"objective": "srr"}, "use ssr"),
        ({"noise_at": "pixels"}, "use pixel"),
        ({"draws": "antithetical"}, "use antithetic"),
        ({"grid": 17}, "use 1 to 16"),
        ({"masks": 0}, "such as 8"),
        ({"steps": 0}, "such as 300"),
        ({"temperature": 0}, "such as 0.1"),
        ({"learning_rate": 0}, "such as 0.05"),
        ({"warm_up": -1}, "such as 30"),
        ({"tolerance": -1}, "such as 0.01"),
    ):
        with pytest.raises(UserError, match=answer):
            explain(conv_classifier(), random_images(1), torch.tensor([0]), noise=noise(1), **{**SHORT, **options})
    classifier = conv_classifier()
    classifier.differentiable = False
    with pytest.raises(UserError, match="needs gradients"):
        explain(classifier, random_images(1), torch.tensor([0]), noise=noise(1), **SHORT)
