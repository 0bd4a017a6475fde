import math

import numpy as np
import pytest
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.metrics.saliency_metric import crop_resized, saliency_metric


class Brightness(torch.nn.Module):
    """Logits 0 and twice the mean brightness."""

    def forward(self, images):
        score = 2 * images.mean((1, 2, 3))
        return torch.stack([score * 0, score], dim=1)


CLASSIFIER = Classifier(Brightness(), name="tiny", heads={"look": ("dark", "bright")})
BRIGHT = 1 / (1 + math.exp(-2.0))  # probability of "bright" for a white image


def half_white():
    images = torch.zeros(3, 3, 20, 20)
    images[:, :, :10, :10] = 1
    return images


def test_the_full_image_has_minus_log_p():
    images = torch.ones(1, 3, 20, 20)
    value = saliency_metric(CLASSIFIER, images, torch.tensor([1]), np.array([[0, 0, 20, 20]]))
    assert value.tolist() == pytest.approx([-math.log(BRIGHT)])


def test_a_crop_that_shows_the_class_alone_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 2, 2], [10, 10, 20, 20]])
    values = saliency_metric(CLASSIFIER, half_white(), torch.tensor([1, 1, 1]), boxes)
    expected = [
        math.log(0.25) - math.log(BRIGHT),
        math.log(0.05) - math.log(BRIGHT),  # 1 % of the image, counted as 5 %
        math.log(0.25) - math.log(0.5),
    ]
    assert values.tolist() == pytest.approx(expected, abs=1e-5)


def test_the_target_decides_whose_probability_counts():
    value = saliency_metric(CLASSIFIER, torch.ones(1, 3, 20, 20), torch.tensor([0]), np.array([[0, 0, 20, 20]]))
    assert value.tolist() == pytest.approx([-math.log(1 - BRIGHT)], abs=1e-5)


def test_crops_have_the_size_of_the_image_and_stay_in_range():
    crop = crop_resized(half_white()[0], np.array([4, 6, 15, 13]))
    assert crop.shape == (3, 20, 20)
    assert crop.min() == 0 and crop.max() == 1  # bicubic overshoots at the edge; a classifier takes [0, 1]
    image = torch.rand(3, 20, 20)
    assert torch.equal(crop_resized(image, np.array([0, 0, 20, 20])), image)


def test_rows_run_at_one_shape_and_depend_on_themselves_alone():
    shapes, boxes = [], np.array([[0, 0, 10, 10], [3, 2, 9, 20], [10, 10, 20, 20]])
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.Flatten(), torch.nn.Linear(4 * 81, 2))
    network.register_forward_hook(lambda module, inputs, output: shapes.append(len(output)))
    classifier = Classifier(network, name="tiny", heads={"look": ("dark", "bright")})
    images, targets = torch.rand(3, 3, 20, 20), torch.tensor([0, 1, 1])
    together = saliency_metric(classifier, images, targets, boxes, batch_size=2)
    alone = saliency_metric(classifier, images[1:2], targets[1:2], boxes[1:2], batch_size=2)
    assert set(shapes) == {2}
    assert together[1] == alone[0]


def test_a_box_that_leaves_the_image_is_an_error():
    with pytest.raises(ValueError, match="empty or leaves the image"):
        saliency_metric(CLASSIFIER, torch.ones(1, 3, 20, 20), torch.tensor([0]), np.array([[0, 0, 21, 20]]))
