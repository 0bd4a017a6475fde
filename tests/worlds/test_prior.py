import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.worlds import Concept
from pipeline.worlds.prior import Prior

SMILE = Concept("smile", ("absent", "present"))
GLASSES = Concept("glasses", ("absent", "present"))
HAIR = Concept("hair", ("black", "red", "grey"))
CONCEPTS = (SMILE, GLASSES, HAIR)


def draws(prior, count=4000):
    generator = np.random.default_rng(0)
    drawn = [prior.draw(generator) for _ in range(count)]
    return {concept.name: np.array([row[concept.name] for row in drawn]) for concept in prior.concepts}


def shares(counts):
    """Probabilities in proportion to whole numbers."""
    return [count / sum(counts) for count in counts]


def test_without_options_every_value_is_equally_likely_and_concepts_are_independent():
    prior = Prior.from_options(None, CONCEPTS)
    drawn = draws(prior)
    assert np.allclose(np.bincount(drawn["hair"]) / 4000, 1 / 3, atol=0.03)
    assert np.mean((drawn["smile"] == 1) & (drawn["glasses"] == 1)) == pytest.approx(1 / 4, abs=0.03)
    assert prior.probability({"smile": 1, "glasses": 0, "hair": 2}) == pytest.approx(1 / 12)


@given(st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any))
@settings(max_examples=10, deadline=None)
def test_values_occur_as_often_as_their_marginal_says(counts):
    probabilities = shares(counts)
    prior = Prior.from_options({"marginals": {"hair": dict(zip(HAIR.values, probabilities, strict=True))}}, CONCEPTS)
    observed = np.bincount(draws(prior, 2000)["hair"], minlength=3) / 2000
    assert np.allclose(observed, probabilities, atol=0.05)
    assert all(observed[index] == 0 for index in range(3) if probabilities[index] == 0)


@given(st.lists(st.integers(0, 5), min_size=4, max_size=4).filter(any))
@settings(max_examples=10, deadline=None)
def test_any_joint_distribution_of_two_binary_concepts_is_a_mixture_of_assignments(counts):
    joint = np.reshape(shares(counts), (2, 2))
    mixture = [
        {"weight": joint[smile, glasses], "set": {"smile": SMILE.values[smile], "glasses": GLASSES.values[glasses]}}
        for smile in (0, 1)
        for glasses in (0, 1)
    ]
    prior = Prior.from_options({"mixture": mixture}, CONCEPTS)
    drawn = draws(prior, 2000)
    for smile in (0, 1):
        for glasses in (0, 1):
            assert prior.probability({"smile": smile, "glasses": glasses}) == pytest.approx(joint[smile, glasses])
            observed = np.mean((drawn["smile"] == smile) & (drawn["glasses"] == glasses))
            assert observed == pytest.approx(joint[smile, glasses], abs=0.05)


def test_a_partial_component_leaves_the_other_concepts_to_their_marginals():
    prior = Prior.from_options(
        {
            "marginals": {"smile": {"absent": 0.9, "present": 0.1}},
            "mixture": [{"weight": 0.25, "set": {"hair": "red"}}, {"weight": 0.75}],
        },
        CONCEPTS,
    )
    assert prior.probability({"hair": "red"}) == pytest.approx(0.25 + 0.75 / 3)
    assert prior.probability({"smile": "present", "hair": "red"}) == pytest.approx(0.1 * (0.25 + 0.75 / 3))
    drawn = draws(prior)
    assert np.mean(drawn["hair"] == 1) == pytest.approx(0.5, abs=0.03)
    assert np.mean(drawn["smile"][drawn["hair"] == 1]) == pytest.approx(0.1, abs=0.03)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=2), st.lists(st.integers(1, 9), min_size=3, max_size=3))
@settings(max_examples=20, deadline=None)
def test_the_probabilities_of_all_assignments_sum_to_one(weights, hair):
    first, second = shares(weights)
    prior = Prior.from_options(
        {
            "marginals": {"hair": dict(zip(HAIR.values, shares(hair), strict=True))},
            "mixture": [{"weight": first, "set": {"smile": "present"}}, {"weight": second, "set": {"hair": "grey"}}],
        },
        CONCEPTS,
    )
    total = sum(
        prior.probability({"smile": s, "glasses": g, "hair": h}) for s in (0, 1) for g in (0, 1) for h in range(3)
    )
    assert total == pytest.approx(1)


def test_a_prior_on_one_concept_leaves_the_draws_of_the_others_as_they_were():
    often = Prior.from_options({"marginals": {"smile": {"present": 1.0}}}, CONCEPTS)
    before, after = draws(Prior.from_options(None, CONCEPTS), 50), draws(often, 50)
    assert (after["smile"] == 1).all()
    assert (before["hair"] == after["hair"]).all() and (before["glasses"] == after["glasses"]).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"marginals": {"smlie": {"present": 1}}}, '"smlie".*"smile"'),
        ({"marginals": {"hair": {"rad": 1}}}, '"hair".*"rad".*"red"'),
        ({"marginls": {}}, '"marginls".*"marginals"'),
        ({"mixture": [{"weight": 1, "set": {"glases": "present"}}]}, '"glases".*"glasses"'),
        ({"mixture": [{"weight": 1, "set": {"glasses": "presnt"}}]}, '"presnt".*"present"'),
        ({"mixture": [{"wieght": 1}]}, '"wieght".*"weight"'),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest_valid_one(options, sentence):
    with pytest.raises(UserError, match=sentence):
        Prior.from_options(options, CONCEPTS)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"marginals": {"smile": {"absent": 0.5, "present": 0.4}}}, '"smile".*sum to 0.9'),
        ({"marginals": {"smile": {"absent": -0.5, "present": 1.5}}}, "not -0.5"),
        ({"marginals": {"smile": {"present": "often"}}}, "not 'often'"),
        ({"marginals": {"smile": {"present": True}}}, "not True"),
        ({"marginals": {"smile": {"present": float("nan")}}}, "not nan"),
        ({"marginals": {"smile": 0.5}}, "mapping.*0.5"),
        ({"mixture": [{"weight": 0.5}, {"weight": 0.6}]}, "mixture sum to 1.1"),
        ({"mixture": [{"set": {"smile": "present"}}]}, "no weight"),
        ({"mixture": {"weight": 1}}, "list"),
    ],
)
def test_wrong_probabilities_are_explained(options, sentence):
    with pytest.raises(UserError, match=sentence):
        Prior.from_options(options, CONCEPTS)


def test_probabilities_may_be_off_by_rounding():
    prior = Prior.from_options(
        {"marginals": {"hair": {"black": 0.333333, "red": 0.333333, "grey": 0.333334}}}, CONCEPTS
    )
    assert prior.probability({"hair": "red"}) == pytest.approx(1 / 3, abs=1e-5)
