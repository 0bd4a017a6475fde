import numpy as np
import pytest
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.infill import Infill, load_infill
from pipeline.metrics.flipping import (
    PURPOSE,
    SHARES,
    Curves,
    flipping_curves,
    keeping_auc,
    ranked,
    removal_auc,
    share_until_change,
)
from pipeline.noise import Noise

BLACK = load_infill("mean", colour=[0, 0, 0])
NOISE = Noise(1, [f"image-{index}" for index in range(3)], PURPOSE)
TENTHS = tuple(tenth / 10 for tenth in range(11))


class TopRows(torch.nn.Module):
    """Logits 0 and, for a 10 x 10 image, the number of bright pixels in the two top rows, less ten."""

    def forward(self, images):
        score = images[:, :, :2].mean(1).sum((1, 2)) - 10
        return torch.stack([score * 0, score], dim=1)


def classifier_of(network, **options):
    return Classifier(network, name="tiny", heads={"look": ("dark", "bright")}, **options)


def curves_of(removal, keeping=None, shares=(0.0, 0.5, 1.0)):
    removal = np.array(removal, np.float32)
    decided = np.zeros(removal.shape, np.int64)
    return Curves(np.array(shares), removal, np.array(keeping or removal, np.float32), decided, decided, 4)


@pytest.fixture
def downwards():
    """Maps that rank pixels in reading order, the top row first."""
    return torch.arange(100.0, 0, -1).view(1, 10, 10).expand(3, 10, 10)


def test_the_shares_are_those_of_the_protocol():
    assert SHARES == (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


def test_curves_by_hand_for_a_map_that_is_right(downwards):
    images, targets = torch.ones(3, 3, 10, 10), torch.ones(3, dtype=torch.int64)
    curves = flipping_curves(
        classifier_of(TopRows(), differentiable=False),
        images,
        targets,
        downwards,
        infill=BLACK,
        noise=NOISE,
        shares=TENTHS,
    )
    # 20 pixels matter: removal takes them first, keeping takes them last
    assert curves.removal[0].tolist() == pytest.approx([10, 0, -10, -10, -10, -10, -10, -10, -10, -10, -10])
    assert curves.keeping[0].tolist() == pytest.approx([10, 10, 10, 10, 10, 10, 10, 10, 10, 0, -10])
    assert removal_auc(curves).values == pytest.approx([0.1] * 3)  # 0.1 * (1 + 0.5) / 2 + 0.1 * 0.5 / 2
    assert keeping_auc(curves).values == pytest.approx([0.9] * 3)
    assert curves.network_evaluations == 20


def test_a_map_that_is_wrong_swaps_the_two_areas(downwards):
    images, targets = torch.ones(3, 3, 10, 10), torch.ones(3, dtype=torch.int64)
    curves = flipping_curves(
        classifier_of(TopRows()), images, targets, -downwards, infill=BLACK, noise=NOISE, shares=TENTHS
    )
    assert removal_auc(curves).values == pytest.approx([0.9] * 3)
    assert keeping_auc(curves).values == pytest.approx([0.1] * 3)


def test_the_share_until_the_decision_changes(downwards):
    images, targets = torch.ones(3, 3, 10, 10), torch.ones(3, dtype=torch.int64)
    curves = flipping_curves(
        classifier_of(TopRows()), images, targets, downwards, infill=BLACK, noise=NOISE, shares=TENTHS
    )
    # ten bright pixels leave two equal logits, of which argmax takes the first: the decision changes there
    assert share_until_change(curves.removal_decided, curves.shares).values == pytest.approx([0.1] * 3)
    assert share_until_change(curves.keeping_decided, curves.shares).values == pytest.approx([0.9] * 3)


def test_an_image_whose_decision_never_changes_is_not_scored():
    values, scored = share_until_change(np.array([[1, 1, 1], [1, 0, 1], [0, 0, 2]]), np.array([0, 0.5, 1]))
    assert scored.tolist() == [False, True, True]
    assert values.tolist() == [0, 0.5, 1]


def test_equal_pixels_are_ranked_in_reading_order():
    assert ranked(torch.tensor([[1.0, 5, 1], [5, 1, 0]]), (2, 3)).tolist() == [[2, 0, 3], [1, 4, 5]]
    assert ranked(torch.zeros(64, 64), (64, 64)).flatten().tolist() == list(range(64 * 64))


def test_areas_are_normalised_by_the_two_ends_of_each_image():
    curves = curves_of([[8, 4, 4], [800, 600, 400], [5, -1, 3]])
    assert removal_auc(curves).values == pytest.approx([0.25, 0.5, 0.5 * (1 - 2) / 2 + 0.5 * (-2 + 0) / 2])


@pytest.mark.parametrize("empty", [3.0, 2.1, 7.0])
def test_an_image_that_says_no_more_than_its_filled_self_is_not_scored(empty):
    curves = curves_of([[3, 1, empty], [3, 1, 1]])
    for auc in (removal_auc, keeping_auc):
        values, scored = auc(curves)
        assert scored.tolist() == [False, True]
        assert values.tolist() == [0, 0.25]


def test_both_curves_share_their_ends_and_one_shape_of_batch(downwards):
    rows = []
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.Flatten(), torch.nn.Linear(4 * 16, 2))
    network.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    images, targets = torch.rand(3, 3, 10, 10), torch.tensor([0, 1, 1])
    options = {"infill": load_infill("random"), "batch_size": 24}
    curves = flipping_curves(classifier_of(network), images, targets, downwards, noise=NOISE, **options)
    assert rows == [24] * 3 and curves.network_evaluations * 3 == 72
    assert (curves.removal[:, [0, -1]] == curves.keeping[:, [0, -1]]).all()
    alone = flipping_curves(
        classifier_of(network), images[2:], targets[2:], downwards[2:], noise=NOISE.select([2]), **options
    )
    assert (alone.removal == curves.removal[2:]).all() and (alone.keeping == curves.keeping[2:]).all()


def test_every_method_and_share_sees_the_same_draw_of_the_in_filler(downwards):
    seen = []

    def record(images, keep, *, noise, step):
        seen.append(noise.uniform(step, (2,)))
        return torch.zeros_like(images)

    images, targets = torch.ones(3, 3, 10, 10), torch.ones(3, dtype=torch.int64)
    for maps in (downwards, -downwards):
        flipping_curves(
            classifier_of(TopRows()),
            images,
            targets,
            maps,
            infill=Infill("record", record, per_step=True),
            noise=NOISE,
            batch_size=72,
        )
    first, second = (drawn.view(3, 24, 2) for drawn in seen)
    assert (first == first[:, :1]).all() and torch.equal(first, second)


def test_a_coarse_map_ranks_the_pixels_of_the_image():
    ranks = ranked(torch.tensor([[0.0, 1.0]]), (1, 4))
    assert ranks.tolist() == [[3, 2, 1, 0]]


@pytest.mark.parametrize("shares", [(0, 0.5), (0.1, 1), (0, 0.5, 0.5, 1), (0,)])
def test_shares_must_rise_from_nothing_to_everything(downwards, shares):
    with pytest.raises(ValueError, match="must rise from 0 to 1"):
        flipping_curves(
            classifier_of(TopRows()),
            torch.ones(3, 3, 10, 10),
            torch.ones(3, dtype=torch.int64),
            downwards,
            infill=BLACK,
            noise=NOISE,
            shares=shares,
        )
