"""Directions by every method, in a world of codes whose true direction is known."""

from functools import partial

import pytest
import torch

from pipeline.errors import UserError
from pipeline.explain import gcd, linear_direction, mean_difference, random_direction
from pipeline.explain.directions import Around, NoDirection
from pipeline.explain.probes import look_around
from pipeline.noise import Noise
from tests.explain.latent import LENGTH, cosine, far_from, paint, reader, source

TRUE = torch.nn.functional.normalize(torch.randn(LENGTH, generator=torch.Generator().manual_seed(8)), dim=0)
AXIS = torch.nn.functional.normalize(torch.linalg.qr(torch.stack([TRUE, torch.ones(LENGTH)], 1)).Q[:, 1], dim=0)
CODES = torch.cat([source().semantic, torch.randn(400, LENGTH, generator=torch.Generator().manual_seed(4))])


def straight(codes):
    return 4 * codes @ TRUE - 2


def bent(codes):
    return 4 * codes @ TRUE + 3 * (codes @ AXIS).square() - 2


def around(score=straight, target=1, labels=None):
    """Images whose codes are known, and the first as the source."""
    start, looked = source(), []

    def look(offsets, numbers):
        looked.extend(numbers)
        return look_around(paint, reader(score), start, far_from(paint(start)[0]), offsets)

    evidence = score(CODES)
    return Around(look, CODES, torch.stack([-evidence, evidence], 1) / 2, 0, target, labels), looked


def noise(purpose):
    return lambda numbers: Noise(3, ["source"] * len(numbers), purpose, list(numbers))


find = partial(gcd.find, noise=noise("gcd"))


def test_the_gradient_is_found_within_the_decodes_and_leads_to_the_target():
    for target, sign in ((1, 1), (0, -1)):
        there, looked = around(target=target)
        (found,) = find(there, decodes=65, agreement=1)
        assert found.kind == "g" and len(looked) == 65 and looked == list(range(65))
        assert cosine(found.vector, sign * TRUE) > 0.95


def test_a_proxy_finds_it_too_with_more_decodes():
    there, looked = around()
    first, second = find(there, estimator="proxy", decodes=300, round=160, radius=4.0)
    assert looked == list(range(300)) and (first.rank, second.rank) == (0, 1)
    assert cosine(first.vector, TRUE) > 0.7


def test_both_ways_along_the_axis_of_curvature_are_found():
    there, _ = around(bent)
    found = find(there, kind="h", axes=1, decodes=129, agreement=1)
    assert [(each.kind, each.rank, each.sign) for each in found] == [("h", 0, 1), ("h", 0, -1)]
    assert abs(cosine(found[0].vector, AXIS)) > 0.9 and found[0].eigenvalue > 0
    assert torch.equal(found[0].vector, -found[1].vector)


def test_a_search_ends_once_halves_agree():
    there, looked = around()
    find(there, decodes=1001, agreement=0.9)
    assert len(looked) < 1001


def test_the_difference_of_means_and_the_line_between_labels_point_to_the_target():
    there, looked = around()
    (found,) = mean_difference.find(there, noise=noise("mean-difference"))
    assert cosine(found.vector, TRUE) > 0.7 and not looked
    labels = (CODES @ AXIS > 0).long()  # not what the classifier looks at
    there, looked = around(labels=labels)
    (found,) = linear_direction.find(there, noise=noise("linear-direction"))
    assert cosine(found.vector, AXIS) > 0.8 > abs(cosine(found.vector, TRUE)) and not looked


def test_a_random_direction_is_that_of_the_seed_and_source_and_varies_as_codes_do():
    there, looked = around()
    flat = Around(there.look, there.semantic * torch.tensor([9.0] + [0.01] * (LENGTH - 1)), there.logits, 0, 1)
    (found,) = random_direction.find(flat, noise=noise("random-direction"))
    assert abs(found.vector[0]) > 0.95 and not looked
    assert torch.equal(found.vector, random_direction.find(flat, noise=noise("random-direction"))[0].vector)
    assert not torch.equal(found.vector, random_direction.find(flat, noise=noise("other"))[0].vector)


def test_where_there_is_no_direction_a_sentence_says_what_to_do():
    there, _ = around(lambda codes: codes[:, 0] * 0 + 1)
    with pytest.raises(NoDirection, match="use another source image"):
        find(there, decodes=17)
    with pytest.raises(NoDirection, match=r"none of the 401 images .* is decided for class 0"):
        mean_difference.find(Around(there.look, there.semantic, there.logits, 0, 0), noise=noise("mean-difference"))
    with pytest.raises(NoDirection, match="needs images of the split search with the label 1 and with others"):
        linear_direction.find(there, noise=noise("linear-direction"))
    assert issubclass(NoDirection, UserError)
