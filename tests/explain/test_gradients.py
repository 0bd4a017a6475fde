"""Gradients and integrated gradients, on scores whose gradient one can write down."""

import pytest
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError
from pipeline.explain.gradients import gradient, integrated_gradients
from pipeline.infill import load_infill
from pipeline.noise import Noise

METHODS = pytest.mark.parametrize("method", [gradient, integrated_gradients])


class Linear(torch.nn.Module):
    """Logits 0 and (weights * image).sum(), so that the log-odds of class 1 are linear."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, images):
        score = (images * self.weights).sum((1, 2, 3))
        return torch.stack([score * 0, score], dim=1)


def classifier_of(network, **options):
    return Classifier(network, name="tiny", heads={"look": ("no", "yes")}, **options)


def convolutions():
    torch.manual_seed(0)
    return classifier_of(
        torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1),
            torch.nn.Softplus(),
            torch.nn.Conv2d(8, 8, 3, stride=2),
            torch.nn.Softplus(),
            torch.nn.Flatten(),
            torch.nn.Linear(8 * 7 * 7, 2),
        )
    )


def noise_for(count, seed=1):
    return Noise(seed, [f"image-{index}" for index in range(count)], "gradients")


@pytest.fixture
def images():
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def targets():
    return torch.tensor([0, 1, 1, 0, 1])


@pytest.fixture
def weights():
    return torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("channels", "expected"),
    [("max", lambda weights: weights.abs().amax(0)), ("sum", lambda weights: weights.abs().sum(0))],
)
def test_the_gradient_of_a_linear_score_is_its_weights(images, targets, weights, channels, expected):
    maps = gradient(classifier_of(Linear(weights)), images, targets, noise=noise_for(5), channels=channels)
    assert torch.allclose(maps.map, expected(weights).expand(5, 16, 16), atol=1e-6)


def test_log_odds_count_what_speaks_for_the_other_classes_and_a_logit_does_not(images, weights):
    class TwoScores(torch.nn.Module):
        def forward(self, images):
            return torch.stack([(images * weights).sum((1, 2, 3)), 3 * (images * weights).sum((1, 2, 3))], dim=1)

    classifier, targets = classifier_of(TwoScores()), torch.zeros(5, dtype=torch.int64)
    by_logit = gradient(classifier, images, targets, noise=noise_for(5), score="logit").map
    by_log_odds = gradient(classifier, images, targets, noise=noise_for(5)).map
    assert torch.allclose(by_logit, weights.abs().amax(0).expand(5, 16, 16), atol=1e-5)
    assert torch.allclose(by_log_odds, 2 * weights.abs().amax(0).expand(5, 16, 16), atol=1e-5)


def test_integrated_gradients_of_a_linear_score_are_weight_times_difference(images, targets, weights):
    classifier = classifier_of(Linear(weights))
    signed = integrated_gradients(classifier, images, torch.ones_like(targets), noise=noise_for(5), sign="signed")
    assert torch.allclose(signed.map, (images * weights).sum(1), atol=1e-5)
    absolute = integrated_gradients(classifier, images, torch.ones_like(targets), noise=noise_for(5))
    assert torch.equal(absolute.map, signed.map.abs())


@pytest.mark.parametrize("infill", [None, "mean", "random"])
def test_signed_integrated_gradients_add_up_to_what_the_score_gains_from_the_baseline(images, targets, infill):
    classifier, score = convolutions(), convolutions().score(targets)
    filler = infill and load_infill(infill)
    noise = noise_for(5)
    maps = integrated_gradients(classifier, images, targets, noise=noise, infill=filler, sign="signed").map
    baseline = torch.zeros_like(images)
    if filler:
        baseline = filler(images, baseline[:, :1], noise=noise.for_purpose("gradients: in-fill"), step=0)
    assert torch.allclose(maps.sum((1, 2)), score(images) - score(baseline), atol=1e-4)


@METHODS
@pytest.mark.parametrize("batch_size", [1, 7, 40])
def test_batch_size_changes_rounding_only(images, targets, method, batch_size):
    usual = method(convolutions(), images, targets, noise=noise_for(5)).map
    other = method(convolutions(), images, targets, noise=noise_for(5), batch_size=batch_size).map
    assert torch.allclose(usual, other, atol=1e-5)


@pytest.mark.parametrize(("method", "expected"), [(gradient, 1), (integrated_gradients, 32)])
def test_the_network_is_asked_as_often_as_is_reported(targets, method, expected):
    rows, classifier, images = [], convolutions(), torch.rand(4, 3, 16, 16)
    handle = classifier.network.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    maps = method(classifier, images, targets[:4], noise=noise_for(4), batch_size=4 if expected == 1 else 64)
    handle.remove()
    assert maps.network_evaluations.tolist() == [expected] * 4
    assert sum(rows) == 4 * expected


@METHODS
def test_images_are_left_as_they_were(images, targets, method):
    before, classifier = images.clone(), convolutions()
    maps = method(classifier, images, targets, noise=noise_for(5)).map
    assert torch.equal(images, before) and not images.requires_grad and images.grad is None
    assert not maps.requires_grad
    assert not any(module._forward_hooks or module._backward_hooks for module in classifier.modules())


@METHODS
def test_a_black_box_is_refused_in_one_sentence(images, targets, method, weights):
    with pytest.raises(UserError, match=r"needs gradients and classifier 'tiny' gives none") as refused:
        method(classifier_of(Linear(weights), differentiable=False), images, targets, noise=noise_for(5))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("method", "options", "hint"),
    [
        (gradient, {"channels": "maxx"}, "use max"),
        (gradient, {"score": "logits"}, "use logit"),
        (integrated_gradients, {"sign": "absolut"}, "use absolute"),
        (integrated_gradients, {"steps": 0}, "use 1 or more"),
    ],
)
def test_a_misspelt_option_is_answered_with_the_nearest_valid_word(images, targets, method, options, hint):
    with pytest.raises(UserError, match=hint):
        method(convolutions(), images, targets, noise=noise_for(5), **options)


def test_progress_counts_images(images, targets):
    seen = []
    integrated_gradients(convolutions(), images, targets, noise=noise_for(5), progress=seen.append)
    assert sum(seen) == 5
