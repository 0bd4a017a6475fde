"""LIME, on scores that are linear in the segments, so that the surrogate can be right."""

import pytest
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError
from pipeline.explain.lime import explain, segment_numbers, surrogate
from pipeline.infill import Infill, load_infill
from pipeline.noise import Noise

NOISE = Noise(1, [f"image-{index}" for index in range(5)], "lime")
BLACK = load_infill("mean", colour=[0, 0, 0])
FEW = {"segments": 16, "samples": 48}


class Segments(torch.nn.Module):
    """Logits 0 and the brightness of each 4 x 4 cell of 16 x 16 pixels, times its weight."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, images):
        score = (torch.nn.functional.avg_pool2d(images, 4).mean(1) * self.weights).sum((1, 2))
        return torch.stack([score * 0, score], dim=1)


def classifier_of(network, **options):
    return Classifier(network, name="tiny", heads={"look": ("no", "yes")}, **options)


def convolutions():
    torch.manual_seed(0)
    return classifier_of(
        torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2),
            torch.nn.ReLU(),
            torch.nn.Conv2d(8, 8, 3, stride=2),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(8 * 9, 2),
        )
    )


@pytest.fixture
def images():
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def targets():
    return torch.tensor([0, 1, 1, 0, 1])


def test_the_weights_of_a_linear_score_are_found(targets):
    weights = torch.randn(4, 4, generator=torch.Generator().manual_seed(2))
    images = torch.ones(5, 3, 16, 16)
    maps = explain(
        classifier_of(Segments(weights)), images, targets, noise=NOISE, infill=BLACK, penalty=1e-4, **FEW
    ).map
    sign = torch.where(targets == 1, 1.0, -1.0)[:, None, None]
    assert torch.allclose(maps, sign * weights, atol=1e-3)


def test_the_only_patch_that_matters_is_found_by_a_black_box(targets):
    weights = torch.zeros(4, 4)
    weights[2, 1] = 5
    classifier = classifier_of(Segments(weights), differentiable=False)
    maps = explain(classifier, torch.ones(5, 3, 16, 16), torch.ones_like(targets), noise=NOISE, infill=BLACK, **FEW).map
    assert (maps.flatten(1).argmax(1) == 2 * 4 + 1).all()
    assert (maps[:, 2, 1] > 5 * maps.flatten(1).abs().sort(1).values[:, -2]).all()


def test_samples_near_the_image_weigh_most():
    present = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
    near = surrogate(present, torch.tensor([1.0, 1, 0, 5, 9]), kernel_width=0.1, penalty=1e-3)
    assert near[2] > 0.9 and abs(near[3]) < 0.1  # segment 2 costs the near sample its score, segment 3 does not


def test_the_surrogate_is_the_weighted_ridge_regression_of_the_paper():
    generator = torch.Generator().manual_seed(4)
    present = (torch.rand(40, 5, generator=generator) < 0.5).float()
    present[0] = 1
    scores = torch.randn(40, generator=generator)
    distance = 1 - torch.cosine_similarity(present, torch.ones(1, 5), dim=1)
    weight = torch.exp(-(distance**2) / (2 * 0.25**2)).double()
    inputs = torch.cat([present, torch.ones(40, 1)], dim=1).double()
    shrink = torch.diag(torch.tensor([1.0, 1, 1, 1, 1, 0], dtype=torch.float64))  # the intercept is not penalised
    expected = torch.linalg.solve(inputs.T @ (weight[:, None] * inputs) + shrink, inputs.T @ (weight * scores))
    assert torch.allclose(surrogate(present, scores, 0.25, 1.0).double(), expected[:5], atol=1e-5)


def test_torchs_global_generator_is_neither_read_nor_moved(images, targets):
    classifier, maps = convolutions(), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.random.get_rng_state()
        maps.append(explain(classifier, images[:1], targets[:1], noise=NOISE.select([0]), **FEW).map)
        assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(*maps)


def test_the_first_sample_is_the_image_and_others_keep_about_half(images, targets):
    kept = []

    def record(images, keep, *, noise, step):
        kept.append(keep)
        return torch.zeros_like(images)

    filler = Infill("record", record, per_step=True)
    explain(convolutions(), images[:1], targets[:1], noise=NOISE.select([0]), infill=filler, samples=256, segments=16)
    samples = torch.cat(kept).mean((1, 2, 3))
    assert samples[0] == 1
    assert abs(samples[1:].mean() - 0.5) < 0.03 and samples[1:].std() == pytest.approx(0.5 / 4, abs=0.02)


def test_another_seed_draws_other_samples(images, targets):
    first = explain(convolutions(), images[:1], targets[:1], noise=NOISE.select([0]), **FEW).map
    other = explain(convolutions(), images[:1], targets[:1], noise=Noise(2, ["image-0"], "lime"), **FEW).map
    assert not torch.equal(first, other)


def test_segments_are_cells_of_a_grid_whatever_the_size():
    assert segment_numbers((4, 5), 2).tolist() == [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [2, 2, 2, 3, 3], [2, 2, 2, 3, 3]]
    assert segment_numbers((64, 64), 7).unique().tolist() == list(range(49))


def test_the_network_is_asked_as_often_as_is_reported(targets):
    rows, classifier = [], convolutions()
    handle = classifier.network.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    maps = explain(classifier, torch.rand(2, 3, 16, 16), targets[:2], noise=NOISE.select([0, 1]), batch_size=32, **FEW)
    handle.remove()
    assert maps.map.shape == (2, 4, 4)
    assert maps.network_evaluations.tolist() == [48, 48]
    assert rows == [32, 32, 32]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"segments": 50}, "such as 49"),
        ({"segments": 0}, "such as 1"),
        ({"samples": 1}, "such as 256"),
        ({"kernel_width": 0}, "such as 256, 0.25"),
    ],
)
def test_an_impossible_option_is_answered_with_a_valid_one(images, targets, options, hint):
    with pytest.raises(UserError, match=hint):
        explain(convolutions(), images, targets, noise=NOISE, **options)
