import numpy as np
import pytest
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.metrics.cout import Transitions, change_ranks, cout, transitions


class FirstPixel(torch.nn.Module):
    """Decides for class 1, and nearly surely, by whether the first pixel is bright; counts the images it saw."""

    seen = 0

    def forward(self, images):
        self.seen += len(images)
        score = 40 * (images[:, 0, 0, 0] - 0.5)
        return torch.stack([-score, score], dim=1)


class Brightness(torch.nn.Module):
    def forward(self, images):
        score = 4 * (images.mean((1, 2, 3)) - 0.5)
        return torch.stack([-score, score], dim=1)


def classifier_of(network):
    return Classifier(network, name="tiny", heads={"look": ("dark", "bright")})


def run(network, images, counterfactuals, **options):
    count = len(images)
    zeros, ones = torch.zeros(count, dtype=torch.int64), torch.ones(count, dtype=torch.int64)
    return transitions(classifier_of(network), images, counterfactuals, zeros, ones, **options)


def test_a_change_that_begins_where_the_decision_lies_scores_almost_one():
    images = torch.zeros(1, 3, 10, 10)
    counterfactuals = images + 0.1
    counterfactuals[:, :, 0, 0] = 1
    curves = run(FirstPixel(), images, counterfactuals, slices=50)
    assert curves.replaced.tolist() == list(range(0, 101, 2))
    assert cout(curves) == pytest.approx([0.98], abs=1e-6)  # -1 at the start, 1 from the first of 50 slices on


def test_a_change_that_ends_where_the_decision_lies_scores_almost_minus_one():
    images = torch.zeros(1, 3, 10, 10)
    images[:, :, 0, 0] = 0.3
    counterfactuals = torch.ones_like(images)
    assert cout(run(FirstPixel(), images, counterfactuals)) == pytest.approx([-0.98], abs=1e-5)


def test_an_unchanged_counterfactual_has_the_gap_of_its_source_throughout():
    images = torch.stack([torch.full((3, 6, 6), 0.5), torch.full((3, 6, 6), 0.25)])
    curves = run(Brightness(), images, images)
    gap = np.tanh(4 * (0.25 - 0.5))  # the difference of two probabilities with logits -1 and 1
    assert cout(curves) == pytest.approx([0, gap], abs=1e-6)


def test_the_published_weights_sum_to_more_than_one_where_pixels_are_left_over():
    replaced = np.array([*range(0, 65536, 1310), 65536])
    curves = Transitions(replaced, 65536, np.ones((1, 52)), np.zeros((1, 52)), 52)
    assert cout(curves, "corrected") == pytest.approx([1])
    assert cout(curves, "paper") == pytest.approx([1.0194], abs=1e-4)


def test_both_definitions_agree_where_the_slices_are_equal():
    generator = torch.Generator().manual_seed(0)
    images, counterfactuals = torch.rand(2, 3, 3, 10, 10, generator=generator)
    curves = run(Brightness(), images, counterfactuals)
    assert cout(curves, "paper") == pytest.approx(cout(curves, "corrected"))


def test_pixels_that_change_equally_keep_their_order():
    images = torch.zeros(1, 3, 2, 3)
    counterfactuals = images + 0.5
    counterfactuals[:, :, 1, 1] = 1
    assert change_ranks(images, counterfactuals).tolist() == [[[1, 2, 3], [4, 0, 5]]]


def test_each_image_costs_one_pass_per_stage_and_never_depends_on_others():
    generator = torch.Generator().manual_seed(1)
    images, counterfactuals = torch.rand(2, 3, 3, 8, 8, generator=generator)
    network = FirstPixel()
    together = run(network, images, counterfactuals, slices=8, batch_size=9)
    assert together.network_evaluations == 9 and network.seen == 27
    for row in range(3):
        alone = run(FirstPixel(), images[row : row + 1], counterfactuals[row : row + 1], slices=8, batch_size=9)
        assert (alone.target == together.target[row]).all()


def test_an_unknown_definition_is_refused():
    curves = Transitions(np.array([0, 4]), 4, np.ones((1, 2)), np.ones((1, 2)), 2)
    with pytest.raises(ValueError, match="'corrected' or 'paper'"):
        cout(curves, "published")
