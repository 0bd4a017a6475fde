"""ACE on a tiny real U-Net: against its equations written out plainly, and its passes counted."""

import pytest
import torch

from pipeline.classifiers.wrap import Classifier, log_odds
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.schedule import full_schedule, respaced
from pipeline.errors import UserError
from pipeline.explain.ace import ITERATION, Options, attack, distance_slope, explain, unchanged
from tests.explain.guiding import shallow_unet
from tests.explain.planted import conv_classifier, named_noise, random_images

TINY = {"steps": 10, "start": 3, "iterations": 3, "dilation": 3, "batch_size": 3}
START = 2**32


def denoiser():
    """A U-Net that says little, so that x0-hat is seldom cut and gradients pass."""
    network = shallow_unet()
    for parameter in network.out.parameters():
        parameter.data.mul_(0.1)
    return Denoiser(network, full_schedule("linear", 100))


def tiny_model():
    full = denoiser()
    return Denoiser(full.network, respaced(full.schedule, TINY["steps"]))


def options(**changed):
    usual = {"start": 3, "iterations": 3, "distance": "l1", "distance_weight": 0.001, "step_size": 1 / 255}
    rest = {"epsilon": None, "threshold": 0.15, "dilation": 3, "recompute": "nothing"}
    return Options(**{**usual, **rest, **changed})


def make(classifier, images, targets, **changed):
    settings = {"denoiser": denoiser(), "noise": named_noise(len(images), "ace"), **TINY, **changed}
    return explain(classifier, images, targets, **settings)


class Blind(torch.nn.Module):
    """Decides the same whatever it sees."""

    def forward(self, images):
        return images.new_zeros(len(images), 2) + 0 * images.mean()


def blind_classifier(**changed):
    return Classifier(Blind(), name="blind", heads={"kind": ("a", "b")}, **changed)


def ace_by_the_book(classifier, model, image, target, noise, distance, weight, threshold, dilation, epsilon):
    """One image (1, 3, H, W), with TINY's iterations and steps and its gradient taken of one sum."""
    schedule, shape, last = model.schedule, image.shape[1:], TINY["start"] - 1

    def f(x, iteration):
        z = schedule.noised(2 * x - 1, noise.normal(iteration * ITERATION + START, shape), last)
        for t in range(last, -1, -1):
            said = model(z, t, clip=True)
            z = said.mean
            if t > 0:
                z = z + said.variance**0.5 * noise.normal(iteration * ITERATION + t, shape)
        return (z + 1) / 2

    found = image.clone()
    for iteration in range(TINY["iterations"]):
        at = found.clone().requires_grad_()
        loss = -classifier(f(at, iteration)).log_softmax(1)[0, target]
        if iteration:  # before, there is no distance, and the norm has no derivative
            loss = loss + weight * ((at - image).abs().sum() if distance == "l1" else (at - image).norm())
        (slope,) = torch.autograd.grad(loss, at)
        found = found - slope.sign() / 255
        found = torch.max(torch.min(found, image + epsilon), image - epsilon).clamp(0, 1)

    change = (found - image).abs().sum(1)[0]
    change = change / change.max()
    wide = torch.empty_like(change)
    reach = dilation // 2
    for row in range(wide.shape[0]):
        for column in range(wide.shape[1]):
            around = change[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
            wide[row, column] = around.max()
    kept = (wide < threshold).float()

    walk, known = noise.for_purpose("ace: refinement"), noise.for_purpose("ace: original")
    with torch.no_grad():
        z = schedule.noised(2 * found - 1, walk.normal(START, shape), last)
        for t in range(last, -1, -1):
            z = z * (1 - kept) + schedule.noised(2 * image - 1, known.normal(t, shape), t) * kept
            said = model(z, t, clip=True)
            z = said.mean
            if t > 0:
                z = z + said.variance**0.5 * walk.normal(t, shape)
    return (((z + 1) / 2) * (1 - kept) + image * kept).clamp(0, 1), kept


@pytest.mark.parametrize(
    ("distance", "weight", "epsilon", "threshold"),
    [("l1", 0.01, None, 0.9), ("l2", 0.2, 0.01, 0.9), ("l1", 0.0, None, 0.0)],
)
def test_attack_and_in_painting_are_those_of_the_equations(distance, weight, epsilon, threshold):
    classifier, images, targets, noise = (
        conv_classifier(),
        random_images(2),
        torch.tensor([2, 0]),
        named_noise(2, "ace"),
    )
    settings = {"distance": distance, "distance_weight": weight, "epsilon": epsilon, "threshold": threshold}
    made = make(classifier, images, targets, noise=noise, dilation=1, **settings).images
    for row in range(2):
        exact, kept = ace_by_the_book(
            classifier,
            tiny_model(),
            images[[row]],
            targets[row],
            noise.select([row]),
            distance,
            weight,
            threshold,
            1,
            epsilon or 1.0,
        )
        assert (kept.mean() == 0) if threshold == 0 else (0 < kept.mean() < 1)
        # A slope that is zero but for rounding may have either sign, and moves its value by a step of 1 / 255.
        assert ((made[[row]] - exact).abs() < 1e-4).float().mean() > 0.99


def test_the_attack_gains_evidence_behind_the_diffusion_model():
    classifier, images, targets = conv_classifier(), random_images(3), torch.tensor([0, 1, 2])
    model, noise = tiny_model(), named_noise(3, "ace")
    found = attack(classifier, model, images, targets, noise, options(iterations=6, distance_weight=0.0))
    assert (log_odds(classifier(found), targets) > log_odds(classifier(images), targets)).all()
    assert (found - images).abs().max() <= 6 / 255 + 1e-6


def test_the_attack_stays_within_epsilon():
    classifier, images, targets = conv_classifier(), random_images(3), torch.tensor([0, 1, 2])
    found = attack(classifier, tiny_model(), images, targets, named_noise(3, "ace"), options(epsilon=0.005))
    assert (found - images).abs().max() <= 0.005 + 1e-6 and (found - images).abs().max() > 0.0049


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_the_slope_of_the_distance_is_its_gradient_and_zero_where_nothing_changed(distance):
    change = torch.randn(2, 3, 4, 4, requires_grad=True)
    total = change.abs().sum() if distance == "l1" else change.square().sum((1, 2, 3)).sqrt().sum()
    (exact,) = torch.autograd.grad(total, change)
    assert torch.allclose(distance_slope(change.detach(), distance), exact, atol=1e-6)
    assert torch.equal(distance_slope(torch.zeros(1, 3, 2, 2), distance), torch.zeros(1, 3, 2, 2))


def test_pixels_around_a_large_change_are_painted_and_those_around_small_ones_stay():
    images = torch.full((1, 3, 16, 16), 0.5)
    attacked = images.clone()
    attacked[0, :, 5, 6] += 0.2
    attacked[0, 0, 12, 12] += 0.05  # a twelfth of the largest, summed over channels
    stay = unchanged(attacked, images, options(threshold=0.15, dilation=5))[0, 0]
    painted = torch.zeros(16, 16, dtype=torch.bool)
    painted[3:8, 4:9] = True
    assert torch.equal(stay, ~painted)


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_an_image_that_the_attack_leaves_alone_comes_back_as_it_is(distance):
    images = random_images(2)
    made = make(blind_classifier(), images, torch.tensor([0, 1]), distance=distance, batch_size=2)
    assert torch.equal(made.images, images)


def test_what_is_kept_is_the_original_to_the_last_bit():
    images, targets, noise = random_images(3), torch.tensor([0, 1, 2]), named_noise(3, "ace")
    made = make(conv_classifier(), images, targets, noise=noise, threshold=0.8, dilation=1).images
    settings = options(threshold=0.8, dilation=1)
    found = attack(conv_classifier(), tiny_model(), images, targets, noise, settings)
    stay = unchanged(found, images, settings).expand_as(images)
    assert 0 < stay.float().mean() < 1
    assert torch.equal(made[stay], images[stay]) and not torch.equal(made[~stay], images[~stay])


@pytest.mark.parametrize(("recompute", "again"), [("nothing", 0), ("steps", 1)])
def test_passes_are_as_many_as_reported(recompute, again):
    forward, backward, asked, full, classifier = [], [], [], denoiser(), conv_classifier()
    full.network.register_forward_hook(lambda module, inputs, output: forward.append(len(output)))
    full.network.out.register_full_backward_hook(lambda module, inside, outside: backward.append(len(outside[0])))
    classifier.network.register_forward_hook(lambda module, inputs, output: asked.append(len(output)))
    made = make(classifier, random_images(2), torch.tensor([1, 0]), denoiser=full, batch_size=2, recompute=recompute)
    assert made.denoiser_evaluations.tolist() == [3 * 3 * (1 + again) + 3] * 2
    assert sum(forward) == 2 * (3 * 3 * (1 + again) + 3)
    assert made.denoiser_gradients.tolist() == [3 * 3] * 2 and sum(backward) == 2 * 3 * 3
    assert made.classifier_evaluations.tolist() == [3] * 2 and sum(asked) == 2 * 3
    assert all(parameter.grad is None for parameter in full.network.parameters())


def test_recomputing_steps_changes_no_result():
    images, targets = random_images(2), torch.tensor([0, 1])
    kept, again = (
        make(conv_classifier(), images, targets, recompute=recompute).images for recompute in ("nothing", "steps")
    )
    assert torch.allclose(kept, again, atol=1e-5)


def test_frozen_networks_are_fine_also_where_gradients_are_switched_off():
    full = denoiser()
    full.network.requires_grad_(False)
    images = random_images(2)
    before = images.clone()
    with torch.no_grad():
        made = make(conv_classifier(), images, torch.tensor([1, 2]), denoiser=full, recompute="steps").images
    assert torch.equal(images, before) and not torch.equal(made, images) and not made.requires_grad


@pytest.mark.parametrize(
    ("changed", "hint"),
    [
        ({"distance": "l3"}, "use l1"),
        ({"recompute": "step"}, "use steps"),
        ({"start": 11}, "use 1 to 10"),
        ({"iterations": 0}, "such as 50"),
        ({"distance_weight": -1}, "such as 0.001"),
        ({"step_size": 0}, "1 / 255"),
        ({"epsilon": 0.0}, "null for none"),
        ({"threshold": 1.5}, "such as 0.15"),
        ({"dilation": 4}, "such as 15"),
    ],
)
def test_a_wrong_option_is_answered_with_a_valid_one(changed, hint):
    with pytest.raises(UserError, match=hint):
        make(conv_classifier(), random_images(1), torch.tensor([1]), **changed)


def test_a_black_box_is_refused():
    with pytest.raises(UserError, match="needs gradients"):
        make(blind_classifier(differentiable=False), random_images(1), torch.tensor([1]))
