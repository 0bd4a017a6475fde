"""Maps of a direction, against what two pixels on a straight way give by hand."""

import pytest
import torch

from pipeline.diffusion.autoencoder import Codes
from pipeline.errors import UserError
from pipeline.explain.bb_lig import attribute, complete, published

FAST, SLOW = (0, 2, 2), (1, 5, 5)  # the pixels that move, by 4 and by 1 levels of grey for a step of a tenth


def decode(codes: Codes) -> torch.Tensor:
    """Grey images in which the code's one number lifts two pixels, one four times as far."""
    images = torch.full((len(codes.semantic), 3, 8, 8), 0.2)
    images[:, *FAST] += codes.semantic[:, 0] * 40 / 255
    images[:, *SLOW] += codes.semantic[:, 0] * 10 / 255
    return images


def score(images: torch.Tensor, target: int) -> torch.Tensor:
    """Log-odds that fall as the first pixel rises: from 5 by 6 for each unit of the code."""
    evidence = 5 - 6 * (images[:, *FAST] - 0.2) * 255 / 40
    return evidence if target == 1 else -evidence


def explained(formula: str, rows: int = 1, **options):
    codes = Codes(torch.zeros(rows, 1), torch.zeros(rows, 3, 8, 8))
    targets, moves = torch.ones(rows, dtype=torch.int64), torch.ones(rows, 1)
    asked = {"decode": decode, "score": score, "steps": 31, "points": 17, "formula": formula, **options}
    return attribute(codes=codes, explained=targets, moves=moves, **asked)


def test_the_baseline_is_the_first_image_without_the_class():
    found = explained("published")
    # log-odds below log(0.01 / 0.99) = -4.595, so a code of 1.6 (log-odds -4.6)
    assert found.strength.tolist() == pytest.approx([1.6]) and found.reached.all()
    assert found.decodes.tolist() == [31 + 17]


def test_the_published_formula_gives_each_pixel_that_moves_evenly_the_whole_change():
    found = explained("published")
    change = 6 * 1.6
    assert found.map[0, 2, 2].item() == pytest.approx(change, rel=1e-3)
    assert found.map[0, 5, 5].item() == pytest.approx(change, rel=1e-3)
    assert found.map[0].abs().sum().item() == pytest.approx(2 * change, rel=1e-3)
    assert found.completeness_error.item() == pytest.approx(change, rel=1e-3)


def test_the_complete_formula_shares_the_change_by_how_far_pixels_move():
    found = explained("complete")
    change = 6 * 1.6
    assert found.map[0, 2, 2].item() == pytest.approx(0.8 * change, rel=1e-3)
    assert found.map[0, 5, 5].item() == pytest.approx(0.2 * change, rel=1e-3)
    assert abs(found.completeness_error.item()) < 1e-4


@pytest.mark.parametrize("formula", [published, complete])
def test_pixels_that_stay_have_no_part(formula):
    images = torch.rand(9, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    images[:, :, 0] = 0.5
    scores = torch.randn(9, generator=torch.Generator().manual_seed(1)).double()
    map = formula(images, scores)
    assert (map[:, 0] == 0).all() and (map[:, 1:] != 0).all()


def test_the_complete_formula_adds_up_on_any_way():
    images = torch.rand(9, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    scores = torch.randn(9, generator=torch.Generator().manual_seed(1)).double()
    assert complete(images, scores).sum().item() == pytest.approx((scores[0] - scores[-1]).item())
    assert published(images, scores).sum().item() != pytest.approx((scores[0] - scores[-1]).item(), rel=0.1)


def test_a_change_that_no_level_of_grey_shows_counts_for_nothing():
    def hardly(codes):
        images = decode(codes)
        images[:, 2, 7, 7] += codes.semantic[:, 0] * 0.2 / 255  # below half a level over the whole way
        return images

    found = explained("published", decode=hardly)
    assert found.map[0, 7, 7] == 0 and found.map[0, 2, 2] > 1


def test_a_class_that_never_goes_has_an_empty_map_and_says_so():
    found = explained("published", score=lambda images, target: torch.full((len(images),), 5.0))
    assert found.reached.tolist() == [False] and found.map.abs().sum() == 0 and found.decodes.tolist() == [31]


@pytest.mark.parametrize("from_code", [0.5, 2.0])
def test_a_way_that_leads_to_no_images_is_no_way_on_which_the_class_stays(from_code):
    def broken(codes):
        return torch.where(codes.semantic[:, :, None, None] > from_code, torch.nan, decode(codes))

    map = explained("complete", decode=broken).map
    assert map.isnan().all() if from_code < 1.6 else map.isfinite().all() and map.any()  # the class is gone at 1.6


def test_batches_of_any_size_give_the_same_maps_and_are_counted():
    decoded, finished = [], []

    def counted(images, target):
        decoded.append(len(images))
        return score(images, target)

    whole = explained("complete", rows=2, batch_size=31)
    chunked = explained("complete", rows=2, batch_size=1, score=counted, progress=finished.append)
    assert torch.allclose(whole.map, chunked.map, atol=1e-5)
    assert sum(decoded) == chunked.decodes.sum() == 96 and finished == [1, 1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"formula": "completed"}, "formula is 'completed'; use complete"),
        ({"points": 1}, "points is 1; use 2 or more of each"),
        ({"threshold": 0}, "threshold is 0; use a probability between 0 and 1"),
        ({"longest": -1}, "longest is -1; use a number of standard deviations"),
    ],
)
def test_a_path_that_cannot_be_is_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        explained(**{"formula": "published", **options})
