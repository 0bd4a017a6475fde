"""Following a direction over many images, against the strengths at which it is known that they flip."""

import pytest
import torch

from pipeline.diffusion.autoencoder import Codes
from pipeline.errors import UserError
from pipeline.explain.transfer import Way, moves_along, transfer
from tests.explain.latent import LENGTH, SIDE, codes_of, paint, reader

VECTOR = torch.eye(LENGTH)[0]


def codes(values, noise: float = 0.0) -> Codes:
    """Codes whose first number is given; the others are of any kind."""
    generator = torch.Generator().manual_seed(0)
    semantic = torch.randn(len(values), LENGTH, generator=generator)
    semantic[:, 0] = torch.tensor(values)
    return Codes(semantic, noise * torch.randn(len(values), 3, SIDE, SIDE, generator=generator))


def first_number(codes):
    return 3 * codes[:, 0]


WAY = Way()


def moved(start: Codes, targets, way=WAY, query=None, decode=paint, unit=1.0, **options):
    targets = torch.tensor(targets)
    moves = moves_along(VECTOR, unit, 2 * targets - 1)
    return transfer(decode, query or reader(first_number), start, targets, moves, way, **options)


def test_the_smallest_flipping_step_is_found_to_the_last_halving_in_both_directions():
    start, targets = codes([-0.4, -1.7, -2.95, 0.4, 1.7]), [1, 1, 1, 0, 0]
    found = moved(start, targets)
    exact, finest = torch.tensor([0.4, 1.7, 2.95, 0.4, 1.7]), 3.0 / 5 / 2**6
    assert found.flipped.all() and found.monotone.all()
    assert (found.strength >= exact - 1e-5).all() and (found.strength <= exact + finest + 1e-5).all()
    assert found.decodes.tolist() == [12] * 5 and Way().decodes == 12
    assert torch.equal(found.logits.argmax(1), torch.tensor(targets))
    signs = 2 * torch.tensor(targets) - 1
    torch.testing.assert_close(
        codes_of(found.images)[:, 0], start.semantic[:, 0] + signs * found.strength, atol=1e-4, rtol=1e-4
    )


def test_strength_is_in_standard_deviations():
    assert moved(codes([-1.0]), [1], unit=0.5).strength.item() == pytest.approx(2.0, abs=0.02)


def test_an_image_that_never_flips_is_shown_at_the_end_of_the_way_and_costs_no_halvings():
    found = moved(codes([-5.0, -0.5]), [1, 1])
    assert found.flipped.tolist() == [False, True] and found.strength[0] == 3.0
    assert found.decodes.tolist() == [6, 12] and found.logits[0].argmax() == 0
    assert codes_of(found.images)[0, 0].item() == pytest.approx(-2.0, abs=1e-4)


def test_an_image_that_the_autoencoder_alone_flips_has_strength_0():
    found = moved(codes([0.2, -0.2]), [1, 1])
    assert found.strength[0] == 0 and found.decodes.tolist() == [6, 12] and found.flipped.all()
    assert codes_of(found.images)[0, 0].item() == pytest.approx(0.2, abs=1e-4)


def test_the_curve_holds_the_log_odds_of_the_target_at_every_mark():
    found = moved(codes([-1.0, 2.0]), [1, 0], Way(longest=4.0, marks=4, halvings=0))
    expected = torch.tensor([[-3.0, 0.0, 3.0, 6.0, 9.0], [-6.0, -3.0, 0.0, 3.0, 6.0]])
    torch.testing.assert_close(found.odds, expected, atol=1e-3, rtol=1e-3)
    assert found.decided[0].tolist()[2:] == [1, 1, 1] and found.decodes.tolist() == [5, 5]


def test_a_way_that_turns_back_is_told():
    found = moved(codes([-1.0, -1.0]), [1, 1], query=reader(lambda codes: torch.sin(2 * (codes[:, 0] + 1)) - 0.5))
    assert found.flipped.all() and not found.monotone.any()
    assert found.strength[0].item() == pytest.approx(torch.pi / 12, abs=0.02)  # where sin(2 t) is 0.5


def test_of_many_classes_the_one_with_the_highest_logit_is_decided_for():
    """Three classes along one number, each highest in a third of it: below -1, from -1 to 1, and above 1."""

    def query(images):
        value = codes_of(images)[:, 0]
        return torch.stack([-2 * value - 1, torch.ones_like(value), 2 * value - 1], dim=1)

    start = codes([-2.0, -2.0])
    moves = moves_along(VECTOR, 1.0, torch.ones(2))
    found = transfer(paint, query, start, torch.tensor([1, 2]), moves, Way(longest=4.0))
    assert found.strength.tolist() == pytest.approx([1.0, 3.0], abs=0.02)
    assert found.logits.argmax(1).tolist() == [1, 2]


def test_chunks_decode_as_everything_at_once_does_and_rows_do_not_mix():
    start, targets = codes([-0.4, -1.7, 0.9, 0.4, -5.0, -2.2, 0.1], noise=1.0), [1, 1, 0, 0, 1, 1, 1]
    together = moved(start, targets, batch_size=7)
    for size in (1, 2, 3):
        chunked = moved(start, targets, batch_size=size)
        assert torch.allclose(chunked.images, together.images, atol=1e-5)
        assert torch.allclose(chunked.strength, together.strength) and torch.equal(chunked.decodes, together.decodes)
    turned = moved(Codes(*(part.flip(0) for part in start)), targets[::-1], batch_size=7)
    assert torch.allclose(turned.strength.flip(0), together.strength)
    assert torch.allclose(turned.images.flip(0), together.images, atol=1e-6)


def test_what_is_decoded_and_queried_is_what_is_counted():
    decoded, queried, finished = [], [], []

    def decode(each):
        decoded.append(len(each.semantic))
        return paint(each)

    def query(images):
        queried.append(len(images))
        return reader(first_number)(images)

    found = moved(
        codes([-0.4, -5.0, 0.2]), [1, 1, 1], decode=decode, query=query, batch_size=1, progress=finished.append
    )
    assert sum(decoded) == sum(queried) == found.decodes.sum() == 12 + 6 + 6
    assert sum(finished) == 3


def test_a_direction_flips_all_images_and_one_at_right_angles_none():
    start = codes([-0.3, -0.9, -1.5, -2.1])
    across = torch.eye(LENGTH)[1]
    moves = moves_along(across, 1.0, torch.ones(4))
    none = transfer(paint, reader(first_number), start, torch.ones(4, dtype=torch.int64), moves, WAY)
    assert moved(start, [1] * 4).flipped.tolist() == [True] * 4 and none.flipped.tolist() == [False] * 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"longest": 0}, "longest is 0; use a number of standard deviations above 0"),
        ({"marks": 0}, "marks is 0 and halvings is 6; use 1 or more and 0 or more"),
        ({"halvings": -1}, "marks is 5 and halvings is -1"),
    ],
)
def test_a_way_that_cannot_be_is_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        Way(**options)
