"""LIME: a linear model of the classifier around one image, in which parts of the image are present or absent."""

import math
from collections.abc import Callable, Iterator

import torch

from pipeline.classifiers.wrap import Classifier, log_odds
from pipeline.errors import UserError
from pipeline.explain.maps import Maps
from pipeline.infill import Infill
from pipeline.infill.masked import masked_logits
from pipeline.noise import Noise

PURPOSE = "lime"


def explain(
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    *,
    noise: Noise,
    infill: Infill | None = None,
    batch_size: int = 64,
    progress: Callable[[int], object] | None = None,
    segments: int = 49,
    samples: int = 256,
    kernel_width: float = 0.25,
    penalty: float = 1.0,
) -> Maps:
    """Weights of a ridge regression of the log-odds on which segments are present (Ribeiro et al. 2016, section 3.4).

    Images x samples are scored in batches of one shape; captum's LimeBase then fits each image. It is handed the
    samples, drawn from the stream of the image, so torch's global generator decides nothing. The segments are the cells
    of a square grid: the same for every image, they follow no colour and need no further library.
    images: (N, 3, H, W) in [0, 1]; targets: (N,) indices of classes.
    infill: what absent segments show; the mean colour of the image without one.
    segments: a square number. samples: the image itself, and others in which each segment is present with chance 1/2.
    kernel_width: of the weight exp(-d^2 / (2 width^2)), d the cosine distance to "all present". penalty: of the ridge.
    kernel_width and penalty are those of the authors' package, which takes 1000 samples and explains the probability.

    Returns maps (N, side, side), side^2 segments, above 0 where they speak for the target; `samples` evaluations.
    """
    side = math.isqrt(max(segments, 0))
    if segments < 1 or side**2 != segments:
        close = max(1, round(math.sqrt(max(segments, 0)))) ** 2
        raise UserError(f"method 'lime': segments is {segments}; use a square number of cells, such as {close}")
    if samples < 2 or kernel_width <= 0 or penalty < 0:
        raise UserError(
            f"method 'lime': samples is {samples}, kernel_width {kernel_width} and penalty {penalty}; use 2 samples or"
            " more, a width above 0 and a penalty of 0 or more, such as 256, 0.25 and 1."
        )
    present = noise.to("cpu").uniform(0, (samples, segments)) < 0.5  # (N, S, F)
    present[:, 0] = True
    cells = segment_numbers(images.shape[-2:], side)
    logits = masked_logits(
        classifier,
        images,
        lambda image, mask: present[image, mask][:, cells][:, None],
        samples,
        infill=infill,
        noise=noise.for_purpose(f"{noise.purpose}: in-fill"),
        batch_size=batch_size,
        progress=progress,
    )
    scores = log_odds(logits.flatten(0, 1), targets.cpu().repeat_interleave(samples)).view(len(images), -1)
    weights = [surrogate(*rows, kernel_width, penalty) for rows in zip(present.float(), scores, strict=True)]
    maps = torch.stack(weights).view(-1, side, side)
    return Maps(maps.to(images.device), None, torch.full((len(images),), samples), None)


def segment_numbers(size: tuple[int, int], side: int) -> torch.Tensor:
    """The segment (H, W) that each pixel belongs to, 0 .. side^2 - 1, row by row."""
    rows, columns = (torch.arange(length) * side // length for length in size)
    return rows[:, None] * side + columns


def surrogate(present: torch.Tensor, scores: torch.Tensor, kernel_width: float, penalty: float) -> torch.Tensor:
    """Weight (F,) of each segment, from samples (S, F) of 0 and 1 and their scores (S,)."""
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import LimeBase
    from captum.attr._core.lime import get_exp_kernel_similarity_function

    def drawn(original: torch.Tensor, **options: object) -> Iterator[torch.Tensor]:
        yield from present[:, None]

    lime = LimeBase(
        lambda rows: scores,
        SkLearnRidge(alpha=penalty),
        similarity_func=get_exp_kernel_similarity_function("cosine", kernel_width),
        perturb_func=drawn,
        perturb_interpretable_space=True,
        from_interp_rep_transform=lambda sample, original, **options: sample,
        to_interp_rep_transform=None,
    )
    everything = torch.ones(1, present.shape[1])
    with torch.random.fork_rng(devices=[]):  # captum's DataLoader draws a seed for workers it does not have
        weights = lime.attribute(everything, n_samples=len(present), perturbations_per_eval=len(present))
    return weights.flatten()
