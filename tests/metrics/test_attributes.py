import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from pipeline.metrics.attributes import attributes_changed, correlation_difference, label_correlations, label_variation

BEFORE = np.array([[0, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]])


def test_changed_attributes_are_counted_per_image():
    after = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 0, 1]])
    assert attributes_changed(BEFORE, after).tolist() == [3, 0, 1, 1]


def test_attributes_that_change_as_the_labels_go_together_differ_by_nothing():
    after = BEFORE.copy()
    after[[0, 2], 0] = 1  # the query changes on two of four images
    after[[0, 2], 1] = 1  # and the second attribute with it; the third never does
    assert correlation_difference(BEFORE, after, 0, np.array([1, 1, 0])) == pytest.approx(0)
    assert correlation_difference(BEFORE, after, 0, np.array([1, 0.25, -0.5])) == pytest.approx(1.25)


def test_correlations_are_those_of_the_signed_changes():
    generator = np.random.default_rng(1)
    before, after = generator.integers(0, 2, (2, 50, 4))
    change = after - before
    expected = sum(abs(np.corrcoef(change[:, each], change[:, 2])[0, 1] - 0.3) for each in range(4))
    assert correlation_difference(before, after, 2, np.full(4, 0.3)) == pytest.approx(expected)


def test_nothing_changed_has_the_labels_own_correlations_as_difference():
    assert correlation_difference(BEFORE, BEFORE, 0, np.array([1, 0.5, -0.25])) == pytest.approx(1.75)


def test_label_variation_is_the_jensen_shannon_divergence_in_bits():
    before = {"hat": np.log([[0.9, 0.1], [0.5, 0.5]]), "hair": np.array([[1000.0, 0, 0], [0, 0, 0]])}
    after = {"hat": np.log([[0.2, 0.8], [0.5, 0.5]]), "hair": np.array([[0, 1000.0, 0], [0, 0, 0]])}
    found = label_variation(before, after)
    assert found["hat"] == pytest.approx([jensenshannon([0.9, 0.1], [0.2, 0.8], base=2) ** 2, 0])
    assert found["hair"] == pytest.approx([1, 0])


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="same images and attributes"):
        attributes_changed(BEFORE, BEFORE[:2])


def test_labels_go_together_as_far_as_the_images_with_both_say():
    labels = [{"smile": 0, "hat": 1, "beard": 0}, {"smile": 1, "hat": 0, "beard": 0}, {"smile": 1, "hat": None}]
    assert label_correlations(labels, "smile") == pytest.approx({"smile": 1.0, "hat": -1.0, "beard": 0.0})
