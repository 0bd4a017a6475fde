import numpy as np
import pytest

from pipeline.metrics.similarity import feature_similarity, same_face


def test_similarity_is_the_cosine_whatever_the_lengths():
    first = np.array([[1.0, 0], [1, 0], [1, 0], [3, 4]])
    second = np.array([[5.0, 0], [0, 2], [-1, 0], [4, 3]])
    assert feature_similarity(first, second) == pytest.approx([1, 0, -1, 24 / 25])


def test_features_of_zeros_are_similar_to_nothing():
    assert feature_similarity(np.zeros((1, 3)), np.ones((1, 3))).tolist() == [0]


def test_the_same_face_is_above_the_threshold():
    assert same_face(np.array([0.5, 0.51, -1])).tolist() == [0, 1, 0]


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="same shapes"):
        feature_similarity(np.ones((2, 3)), np.ones((1, 3)))
