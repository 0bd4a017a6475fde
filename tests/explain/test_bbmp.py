"""BBMP as published and as re-implemented in FIDO: equations, start, jitter, and maps where the evidence is known."""

import pytest
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError
from pipeline.explain.bbmp import (
    PURPOSE,
    Loaded,
    Options,
    crop,
    draw_corners,
    explain,
    explain_in_fido,
    jitter_pixels,
    loss_gradient,
    smooth,
    variation,
)
from pipeline.explain.disc import disc_masks, keeping_all_but_discs
from pipeline.explain.upsampling import nearest
from pipeline.infill import Infill, load_infill
from pipeline.infill.heuristics import gaussian_blur
from tests.explain.planted import (
    SIDE,
    PatchReader,
    around,
    conv_classifier,
    in_patch,
    named_noise,
    patch_classifier,
    random_images,
    white_images,
)

BLACK = load_infill("mean", colour=[0, 0, 0])
SHORT = {"grid": 5, "steps": 6}
BOTH = [explain, explain_in_fido]


def noise(rows):
    return named_noise(rows, PURPOSE)


class CentredReader(PatchReader):
    """Log-odds are +4 for a white patch and -4 for a black one."""

    def forward(self, images):
        return super().forward(images) - torch.tensor([-2.0, 2.0])


def centred_classifier():
    return Classifier(CentredReader(8.0), name="patch", heads={"patch": ["black", "white"]})


def test_the_only_patch_that_matters_is_deleted():
    maps = explain(
        centred_classifier(), white_images(), torch.tensor([1, 1]), noise=noise(2), infill=BLACK, grid=8, batch_size=2,
        steps=80, sparsity=5e-3, mask_blur=0,
    )  # fmt: skip
    evidence = in_patch(8)
    assert maps.map.shape == (2, 8, 8) and maps.map[:, evidence].min() > 0.6
    assert maps.map[:, ~around(evidence)].max() < 0.1
    assert maps.network_evaluations.tolist() == [80 + 36] * 2 and maps.steps.tolist() == [80, 80]


@pytest.mark.parametrize("objective", ["ssr", "sdr"])
def test_in_fido_the_only_patch_that_matters_is_found(objective):
    maps = explain_in_fido(
        patch_classifier(), white_images(), torch.tensor([1, 1]), noise=noise(2), infill=BLACK, objective=objective,
        grid=8, batch_size=2, steps=60, sparsity=0.02,
    )  # fmt: skip
    evidence = in_patch(8)
    assert maps.map[:, evidence].min() > 0.9 and maps.map[:, ~around(evidence)].max() < 0.1
    assert maps.network_evaluations.tolist() == [60, 60]


def test_the_loss_and_its_gradient_are_those_of_the_paper():
    images, masks = random_images(2), torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(2))
    nulls, targets, upsampling = 1 - images, torch.tensor([2, 0]), nearest((5, 5), (SIDE, SIDE), like=images)
    options = Options(sparsity=0.01, total_variation=0.1, through_blur=True)
    loaded = Loaded(images, nulls, targets, noise(2))
    gradient, loss = loss_gradient(conv_classifier(), None, loaded, masks, 0, options, upsampling)
    network = conv_classifier().network.double()
    cell = torch.arange(SIDE) * 5 // SIDE
    for row in range(2):
        leaf = masks[row].double().requires_grad_()
        spread = gaussian_blur(leaf[cell][:, cell], 5 * SIDE / 224, border="edge")
        blend = images[row].double() * spread + nulls[row].double() * (1 - spread)
        expected = network(blend[None]).softmax(1)[0, targets[row]] + 0.01 * (1 - leaf).abs().sum()
        for i in range(5):
            for j in range(5):
                down = leaf[i + 1, j] - leaf[i, j] if i < 4 else 0
                right = leaf[i, j + 1] - leaf[i, j] if j < 4 else 0
                expected = expected + 0.1 * torch.as_tensor(down**2 + right**2 + 1e-30) ** 1.5
        expected.backward()
        assert loss[row].item() == pytest.approx(expected.item(), abs=1e-5)
        assert torch.allclose(gradient[row].double(), leaf.grad, atol=1e-5)


def test_as_published_the_gradient_knows_nothing_of_the_blur_of_the_mask():
    masks = torch.rand(1, SIDE, SIDE, generator=torch.Generator().manual_seed(2)).requires_grad_()
    weights = random_images(1)[:, 0]
    ignored, known = (
        torch.autograd.grad((smooth(masks, 20.0, through) * weights).sum(), masks)[0] for through in (False, True)
    )
    assert torch.equal(ignored, weights) and not torch.allclose(known, weights, atol=0.05)
    assert torch.allclose(smooth(masks, 20.0, False), smooth(masks, 20.0, True), atol=1e-6)
    assert torch.equal(smooth(masks, 0, False), masks)


def test_variation_of_a_flat_mask_is_nothing_and_has_a_gradient_at_every_power():
    for exponent in (1.0, 2.0, 3.0):
        flat = torch.full((1, 4, 4), 0.5).requires_grad_()
        total = variation(flat, exponent).sum()
        total.backward()
        assert total.item() < 1e-3 and flat.grad.abs().max() == 0


def test_jitter_takes_windows_at_whole_pixels_for_each_image_by_itself():
    images = torch.arange(2 * 3 * 6 * 6).reshape(2, 3, 6, 6).float()
    corners = torch.tensor([[0, 1], [1, 0]])
    cropped = crop(images, corners, (5, 5))
    assert torch.equal(cropped[0], images[0, :, 0:5, 1:6]) and torch.equal(cropped[1], images[1, :, 1:6, 0:5])
    drawn = torch.stack([draw_corners(noise(5), step, 4) for step in range(100)])
    assert set(drawn.flatten().tolist()) == {0, 1, 2, 3}
    assert drawn.float().mean().item() == pytest.approx(1.5, abs=0.15)
    sides = (224, 112, 64, 32)
    assert [jitter_pixels(torch.zeros(1, 3, side, side), 4.0) for side in sides] == [4, 2, 2, 2]
    assert jitter_pixels(images, 0) == 0 and draw_corners(noise(3), 0, 0).tolist() == [[0, 0]] * 3


def test_discs_grow_from_nothing_to_everything():
    keeps = keeping_all_but_discs(64, 64)
    assert torch.equal(keeps[0], torch.ones(64, 64)) and keeps[-1].max() < 0.35 and keeps.shape[0] == 35
    assert (keeps.diff(dim=0) <= 1e-6).all()
    assert keeps[10, 32, 32] < 0.01 and keeps[10, 0, 0] > 0.99  # radius 50 of 224


def test_the_start_is_the_smallest_disc_that_deletes_enough():
    class Middle(torch.nn.Module):
        """Sure of class 1 as long as any white is left within eight pixels of the middle of 32."""

        def forward(self, images):
            rows = torch.arange(32) + 0.5 - 16
            inside = (rows[:, None] ** 2 + rows**2).sqrt() < 8
            seen = images[:, 0][:, inside].amax(dim=1)
            return torch.stack([torch.zeros_like(seen), 40 * (seen - 0.5)], dim=1)

    classifier = Classifier(Middle(), name="middle", heads={"middle": ["black", "white"]})
    images, upsampling = torch.ones(2, 3, 32, 32), nearest((8, 8), (32, 32), like=torch.zeros(1))
    images[1] = 0  # deleting changes nothing here, so that no disc is good enough
    otherwise = torch.full((2, 8, 8), 0.25)
    masks, evaluations = disc_masks(
        classifier, images, torch.tensor([1, 1]), noise(2), BLACK, upsampling, otherwise, batch_size=16
    )
    assert evaluations == 36
    keeps = keeping_all_but_discs(32, 32)
    left = torch.sigmoid(classifier(keeps[:, None].expand(-1, 3, -1, -1)).diff(dim=1)[:, 0])
    chosen = int((left < 0.01).int().argmax())
    assert 5 < chosen < 25
    assert torch.allclose(masks[0], torch.nn.functional.avg_pool2d(keeps[chosen][None], 4)[0], atol=1e-5)
    assert torch.equal(masks[1], otherwise[1])


@pytest.mark.parametrize("method", BOTH)
def test_every_forward_has_one_shape_and_evaluations_are_counted(method):
    shapes, classifier = [], conv_classifier()
    classifier.network.register_forward_hook(lambda module, inputs, outputs: shapes.append(tuple(inputs[0].shape)))
    maps = method(classifier, random_images(4), torch.zeros(4).long(), noise=noise(4), batch_size=4, **SHORT)
    assert set(shapes) == {(4, 3, SIDE, SIDE)}
    assert sum(shape[0] for shape in shapes) == maps.network_evaluations.sum()


@pytest.mark.parametrize(("kept_from", "holes"), [(1.0, True), (0.5, False)])
def test_in_fido_every_pixel_whose_mask_has_moved_is_a_hole(kept_from, holes):
    seen = []

    def watch(images, keep, *, noise, step):
        seen.append(keep)
        return 1 - images

    explain_in_fido(
        conv_classifier(), random_images(1), torch.tensor([0]), noise=noise(1), infill=Infill("watch", watch, True),
        batch_size=1, grid=4, steps=3, kept_from=kept_from, sparsity=1.0,
    )  # fmt: skip
    assert seen[0].min() == 1  # the first mask keeps everything
    assert bool((seen[-1] == 0).all()) is holes


def test_a_random_start_is_each_image_s_own_noise_and_costs_no_evaluations():
    maps = explain(
        conv_classifier(), random_images(2), torch.tensor([0, 1]), noise=noise(2), grid=4, steps=1, start="random",
        learning_rate=1e-9, batch_size=2,
    )  # fmt: skip
    assert maps.network_evaluations.tolist() == [1, 1]
    expected = 1 - noise(2).for_purpose("bbmp: start").uniform(0, (4, 4))
    assert torch.allclose(maps.map, expected, atol=1e-6)


@pytest.mark.parametrize("method", BOTH)
def test_no_image_gives_no_map_and_wrong_options_valid_ones(method):
    nothing = method(conv_classifier(), random_images(0), torch.zeros(0).long(), noise=noise(0), **SHORT)
    assert nothing.map.shape == (0, 5, 5)
    wrong = {explain: ({"start": "disk"}, "use disc"), explain_in_fido: ({"objective": "srr"}, "use ssr")}[method]
    for options, answer in (wrong, ({"grid": 99}, "use 1 to 16"), ({"steps": 0}, "such as 300")):
        with pytest.raises(UserError, match=answer):
            method(conv_classifier(), random_images(1), torch.tensor([0]), noise=noise(1), **{**SHORT, **options})
    blind = conv_classifier()
    blind.differentiable = False
    with pytest.raises(UserError, match="needs gradients"):
        method(blind, random_images(1), torch.tensor([0]), noise=noise(1), **SHORT)
