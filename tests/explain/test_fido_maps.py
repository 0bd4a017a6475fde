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


# rows and batches

SHORT = {"grid": 4, "masks": 4, "steps": 6, "warm_up": 2, "sparsity": 0.01}


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
    ):
        with pytest.raises(UserError, match=answer):
            explain(conv_classifier(), random_images(1), torch.tensor([0]), noise=noise(1), **{**SHORT, **options})
    classifier = conv_classifier()
    classifier.differentiable = False
    with pytest.raises(UserError, match="needs gradients"):
        explain(classifier, random_images(1), torch.tensor([0]), noise=noise(1), **SHORT)
