import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.metrics.controls import nearest_real

REAL = np.array([[0.0, 0], [1, 0], [2, 0], [1.5, 0]])
CLASSES = np.array([0, 1, 1, 2])


def test_the_nearest_image_is_one_of_the_target_class_even_if_others_are_nearer():
    features = np.array([[0.1, 0], [0.1, 0], [1.9, 0], [1.5, 0]])
    assert nearest_real(features, REAL, CLASSES, np.array([0, 1, 1, 1])).tolist() == [0, 1, 2, 1]


def test_a_class_without_a_real_image_is_an_error():
    with pytest.raises(UserError, match="none of the 4 images is of class 7"):
        nearest_real(REAL[:1], REAL, CLASSES, np.array([7]))
