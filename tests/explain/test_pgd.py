"""Plain attacks: on a linear classifier their answers are known in closed form."""

import pytest
import torch

from pipeline.classifiers.wrap import Classifier, log_odds
from pipeline.errors import UserError
from pipeline.explain.pgd import explain
from tests.explain.planted import conv_classifier, named_noise, random_images


class Linear(torch.nn.Module):
    """Log-odds of class 1 are (weights * image).sum()."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, images):
        score = (images * self.weights).sum((1, 2, 3))
        return torch.stack([-score / 2, score / 2], dim=1)


@pytest.fixture
def weights():
    return torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(2))


def linear_classifier(weights, **options):
    return Classifier(Linear(weights), name="linear", heads={"look": ("no", "yes")}, **options)


def attack(classifier, images, targets, **options):
    return explain(classifier, images, targets, noise=named_noise(len(images), "pgd"), **{"batch_size": 4, **options})


def test_in_the_l2_ball_a_linear_classifier_is_attacked_along_its_weights(weights):
    images, targets = random_images(4) * 0.2 + 0.4, torch.tensor([1, 0, 1, 0])
    made = attack(linear_classifier(weights), images, targets, ball="l2", radius=1.5, iterations=10).images
    along = (2 * targets - 1).view(-1, 1, 1, 1) * weights / weights.norm()
    assert torch.allclose(made, images + 1.5 * along, atol=1e-5)


def test_in_the_linf_ball_every_pixel_goes_as_far_as_ball_and_box_allow(weights):
    images, targets = random_images(4), torch.tensor([1, 0, 1, 0])
    made = attack(linear_classifier(weights), images, targets, radius=0.1, iterations=7).images
    along = (2 * targets - 1).view(-1, 1, 1, 1) * weights.sign()
    assert torch.allclose(made, (images + 0.1 * along).clamp(0, 1), atol=1e-6)


@pytest.mark.parametrize(("ball", "radius", "order"), [("l2", 2.0, 2), ("linf", 0.05, torch.inf)])
def test_ball_and_box_hold_and_the_target_gains(ball, radius, order):
    classifier, images, targets = conv_classifier(), random_images(6), torch.tensor([0, 1, 2, 0, 1, 2])
    made = attack(classifier, images, targets, ball=ball, radius=radius).images
    assert made.min() >= 0 and made.max() <= 1
    assert (torch.linalg.vector_norm((made - images).flatten(1), order, dim=1) <= radius * (1 + 1e-5)).all()
    assert (log_odds(classifier(made), targets) > log_odds(classifier(images), targets) + 0.1).all()


def test_an_image_decided_beyond_rounding_is_attacked_all_the_same(weights):
    """Its probability is 1 in float32, where cross-entropy has no gradient left."""
    images = (weights > 0).float()[None]
    classifier = linear_classifier(weights)
    assert classifier(images).softmax(1)[0, 1] == 1
    made = attack(classifier, images, torch.tensor([0]), radius=0.1).images
    assert torch.allclose(made, (images - 0.1 * weights.sign()).clamp(0, 1), atol=1e-6)


@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_the_classifier_is_asked_as_often_as_is_reported(ball):
    seen, classifier, images = [], conv_classifier(), random_images(4)
    classifier.network.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    made = attack(classifier, images, torch.tensor([0, 1, 2, 0]), ball=ball, iterations=6)
    assert made.classifier_evaluations.tolist() == [6] * 4 and sum(seen) == 4 * 6
    assert made.denoiser_evaluations.tolist() == made.denoiser_gradients.tolist() == [0] * 4


def test_it_works_where_gradients_are_switched_off_and_leaves_the_images_alone():
    images = random_images(2)
    before = images.clone()
    with torch.no_grad():
        made = attack(conv_classifier(), images, torch.tensor([1, 2])).images
    assert torch.equal(images, before) and not made.requires_grad and not torch.equal(made, images)


@pytest.mark.parametrize(
    ("options", "hint"),
    [({"ball": "l-inf"}, "use linf"), ({"radius": 0.0}, "such as 0.0314"), ({"iterations": 0}, "use 1 or more")],
)
def test_a_wrong_option_is_answered_with_a_valid_one(options, hint):
    with pytest.raises(UserError, match=hint):
        attack(conv_classifier(), random_images(1), torch.tensor([1]), **options)


def test_a_black_box_is_refused(weights):
    with pytest.raises(UserError, match="needs gradients"):
        attack(linear_classifier(weights, differentiable=False), random_images(1), torch.tensor([1]))
