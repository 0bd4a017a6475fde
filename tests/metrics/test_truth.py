import numpy as np
import pytest

from pipeline.metrics.truth import causal_effects, intervention_effect, probabilities


def test_probabilities_of_large_logits_are_finite():
    assert probabilities(np.array([1000.0, 0.0])).tolist() == [1.0, 0.0]


def test_a_concept_flips_when_any_of_its_other_values_changes_the_decision():
    before = np.log([0.8, 0.2])
    after = np.log([[0.7, 0.3], [0.4, 0.6]])
    effect = intervention_effect(before, after)
    assert effect.flips
    assert effect.effect == pytest.approx(0.4)


def test_a_concept_that_only_weakens_the_decision_does_not_flip_it():
    effect = intervention_effect(np.log([0.8, 0.2]), np.log([[0.6, 0.4]]))
    assert not effect.flips
    assert effect.effect == pytest.approx(0.2)


def test_a_concept_that_strengthens_the_decision_has_an_effect_too():
    assert intervention_effect(np.log([0.6, 0.4]), np.log([[0.9, 0.1]])).effect == pytest.approx(0.3)


def test_causal_effects_are_signed_and_add_up_to_nothing():
    effects = causal_effects(absent=np.log([0.9, 0.1]), present=np.log([0.3, 0.7]))
    assert effects.tolist() == pytest.approx([-0.6, 0.6])
