"""Many masks of every image in full batches: what a classifier sees, and when an image is finished."""

import pytest
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.infill import load_infill
from pipeline.infill.masked import masked_logits
from pipeline.noise import Noise

IMAGES = torch.stack([torch.full((3, 4, 4), value) for value in (0.2, 0.8)])
IMAGES[:, :, :2] += 0.1
NOISE = Noise(1, ["a", "b"], "masked")


class Brightness(torch.nn.Module):
    """Logits of the mean of the upper half, and of the lower one."""

    def forward(self, images):
        return torch.stack([images[:, :, :2].mean((1, 2, 3)), images[:, :, 2:].mean((1, 2, 3))], 1)


HALVES = Classifier(Brightness(), name="tiny", heads={"half": ("upper", "lower")})


def upper_half(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mask 0 keeps all, mask 1 the upper half."""
    keep = torch.ones(len(mask), 1, 4, 4)
    keep[mask == 1, :, 2:] = 0
    return keep


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_holes_show_the_mean_colour_of_their_own_image_where_no_in_filler_is_given(batch_size):
    logits = masked_logits(HALVES, IMAGES, upper_half, 2, infill=None, noise=NOISE, batch_size=batch_size)
    assert logits[0].flatten().tolist() == pytest.approx([0.3, 0.2, 0.3, 0.25])
    assert logits[1].flatten().tolist() == pytest.approx([0.9, 0.8, 0.9, 0.85])


def test_all_masks_of_an_image_see_the_same_draw_of_a_random_in_filler():
    logits = masked_logits(
        HALVES,
        IMAGES,
        lambda image, mask: torch.zeros(len(mask), 1, 4, 4),
        3,
        infill=load_infill("random"),
        noise=NOISE,
        batch_size=4,
    )
    assert torch.allclose(logits, logits[:, :1].expand_as(logits))
    assert not torch.equal(logits[0], logits[1])


def test_progress_counts_images_that_are_finished():
    finished = []
    masked_logits(
        HALVES,
        IMAGES,
        upper_half,
        2,
        infill=None,
        noise=NOISE,
        batch_size=3,
        progress=finished.append,
    )
    assert finished == [1, 1]
