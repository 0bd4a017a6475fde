"""Masks to train in-fillers on."""

import pytest
import torch

from pipeline.infill.masks import KINDS, draw_keep


def random(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_every_mask_keeps_something_and_hides_something_of_its_own(kind):
    holes = KINDS[kind](16, 24, 20, random())
    shares = holes.float().mean((1, 2))
    assert holes.shape == (16, 24, 20) and shares.min() > 0 and shares.max() < 1
    assert len({tuple(mask.flatten().tolist()) for mask in holes}) == 16
    assert torch.equal(holes, KINDS[kind](16, 24, 20, random()))


def neighbours_alike(holes: torch.Tensor) -> float:
    return float((holes[:, 1:] == holes[:, :-1]).float().mean())


def test_single_pixels_stand_alone_and_the_other_kinds_hang_together():
    alike = {kind: neighbours_alike(draw(16, 32, 32, random())) for kind, draw in KINDS.items()}
    assert alike["pixels"] < 0.75 < 0.85 < min(alike[kind] for kind in ("boxes", "strokes", "regions"))


def test_a_batch_has_masks_of_all_kinds():
    keep = draw_keep(64, 16, 16, random())
    alike = [neighbours_alike(1 - mask) for mask in keep]
    assert keep.shape == (64, 1, 16, 16) and set(keep.unique().tolist()) == {0.0, 1.0}
    assert min(alike) < 0.7 and sum(each > 0.85 for each in alike) > 24
