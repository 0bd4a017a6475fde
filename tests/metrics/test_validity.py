import numpy as np
import pytest

from pipeline.metrics.validity import (
    confidence_gap,
    left_class,
    oracle_score,
    oracle_target_accuracy,
    original_accuracy,
    original_confidence,
    target_accuracy,
    target_confidence,
)

LOGITS = np.log([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5]])  # decides 0, 1, 2
ORIGINALS, TARGETS = np.array([0, 0, 0]), np.array([1, 1, 1])


def test_decisions_count_for_the_target_or_for_the_source_class():
    assert target_accuracy(LOGITS, TARGETS).tolist() == [0, 1, 0]
    assert original_accuracy(LOGITS, ORIGINALS).tolist() == [1, 0, 0]
    assert oracle_target_accuracy(LOGITS, TARGETS).tolist() == [0, 1, 0]


def test_confidences_are_probabilities_and_the_gap_is_what_the_target_lacks():
    assert target_confidence(LOGITS, TARGETS) == pytest.approx([0.2, 0.6, 0.3])
    assert original_confidence(LOGITS, ORIGINALS) == pytest.approx([0.7, 0.1, 0.2])
    assert confidence_gap(LOGITS, TARGETS) == pytest.approx([0.8, 0.4, 0.7])


def test_target_and_original_accuracy_are_never_both_one_where_the_classes_differ():
    generator = np.random.default_rng(0)
    logits, originals = generator.normal(size=(500, 4)), generator.integers(0, 4, 500)
    targets = (originals + generator.integers(1, 4, 500)) % 4
    together = target_accuracy(logits, targets) + original_accuracy(logits, originals)
    assert together.max() <= 1 and together.min() == 0


def test_an_oracle_agrees_always_with_itself_and_only_on_the_class_with_others():
    assert oracle_score(LOGITS, LOGITS).tolist() == [1, 1, 1]
    assert oracle_score(LOGITS, LOGITS[[0, 2, 2]]).tolist() == [1, 0, 1]


def test_the_class_is_left_whichever_the_new_one_is():
    assert left_class(LOGITS, LOGITS[[0, 0, 0]]).tolist() == [0, 1, 1]


def test_other_numbers_of_images_are_refused():
    with pytest.raises(ValueError, match="one class for each image"):
        target_accuracy(LOGITS, TARGETS[:2])
    with pytest.raises(ValueError, match="same images and classes"):
        oracle_score(LOGITS, LOGITS[:, :2])
