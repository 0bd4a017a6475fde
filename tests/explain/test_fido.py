"""FIDO's equations, one by one."""

from dataclasses import replace

import pytest
import torch

from pipeline.classifiers.wrap import log_odds
from pipeline.explain.descent import warm_up_weight
from pipeline.explain.fido import (
    PURPOSE,
    Loaded,
    Options,
    draw_logistic,
    loss_gradient,
    regulariser,
    sample_keep,
    spread_logits,
)
from pipeline.explain.upsampling import bilinear
from pipeline.infill import Infill, load_infill
from tests.explain.planted import (
    SIDE,
    conv_classifier,
    named_noise,
    random_images,
)


def noise(rows):
    return named_noise(rows, PURPOSE)


def upsampling_of(cells, pixels=SIDE, dtype=torch.float32):
    return bilinear((cells, cells), (pixels, pixels), like=torch.empty(0, dtype=dtype))


def random_logits(*shape, spread=2.0, dtype=torch.float32):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(8)) * spread).to(dtype)


# masks


def test_without_temperature_the_mean_mask_is_the_probability_to_keep():
    upsampling, logits = upsampling_of(4), random_logits(1, 4, 4)
    options = Options(masks=4000, temperature=1e-3, draws="independent")
    masks = sample_keep(logits, draw_logistic(noise(1), 0, options, upsampling), options, upsampling)
    keep = upsampling(torch.sigmoid(-logits))
    error = 4 * (keep * (1 - keep) / 4000).sqrt() + 1e-3
    assert ((masks.mean(1) - keep).abs() <= error).float().mean() > 0.99


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0, 5.0])
def test_a_pixel_is_mostly_kept_with_the_probability_to_keep_at_every_temperature(temperature):
    upsampling, logits = upsampling_of(4), random_logits(1, 4, 4)
    options = Options(masks=4000, temperature=temperature, draws="independent")
    masks = sample_keep(logits, draw_logistic(noise(1), 0, options, upsampling), options, upsampling)
    keep = upsampling(torch.sigmoid(-logits))
    error = 4 * (keep * (1 - keep) / 4000).sqrt() + 1e-3
    assert (((masks >= 0.5).float().mean(1) - keep).abs() <= error).float().mean() > 0.99


def test_noise_at_cells_is_shared_by_the_pixels_of_a_cell():
    upsampling = upsampling_of(4)
    options = Options(masks=6, noise_at="cell", temperature=1e-3)
    logistic = draw_logistic(noise(2), 3, options, upsampling)
    masks = sample_keep(torch.zeros(2, 4, 4), logistic, options, upsampling)
    assert logistic.shape == (2, 6, 4, 4) and masks.shape == (2, 6, SIDE, SIDE)
    spread = torch.nn.functional.interpolate((logistic < 0).float(), size=SIDE, mode="bilinear", align_corners=False)
    assert torch.allclose(masks, spread, atol=1e-5)


def test_probabilities_are_spread_and_their_logits_stay_exact_at_both_ends():
    upsampling = upsampling_of(4)
    logits = random_logits(3, 4, 4, spread=20.0)
    exact = upsampling_of(4, dtype=torch.float64)
    drop, keep = (exact(torch.sigmoid(sign * logits.double())) for sign in (1, -1))
    assert torch.allclose(spread_logits(logits, upsampling).double(), drop.log() - keep.log(), atol=1e-5)
    spread = torch.nn.functional.interpolate(torch.sigmoid(logits)[None], size=SIDE, mode="bilinear")[0]
    assert torch.allclose(torch.sigmoid(spread_logits(logits, upsampling)), spread, atol=1e-6)
    assert spread_logits(torch.full((1, 4, 4), -80.0), upsampling).mean().item() == pytest.approx(-80)
    ends = torch.tensor([-80.0, 80.0]).repeat(8).reshape(1, 4, 4).requires_grad_()
    spread_logits(ends, upsampling).sum().backward()
    assert ends.grad.isfinite().all()


def test_a_cell_for_each_pixel_is_not_spread():
    logits = random_logits(1, SIDE, SIDE)
    assert torch.equal(spread_logits(logits, upsampling_of(SIDE)), logits)


@pytest.mark.parametrize("masks", [1, 5, 8])
@pytest.mark.parametrize("draws", ["independent", "antithetic", "stratified"])
def test_every_draw_gives_each_mask_logistic_noise(draws, masks):
    options = Options(masks=masks, draws=draws)
    logistic = draw_logistic(noise(40), 7, options, upsampling_of(4))
    assert logistic.shape == (40, masks, SIDE, SIDE) and logistic.isfinite().all()
    uniform = torch.sigmoid(logistic).transpose(0, 1).flatten(1).sort(dim=1).values
    steps = (torch.arange(uniform.shape[1]) + 0.5) / uniform.shape[1]
    assert (uniform - steps).abs().max() < 1.95 * uniform.shape[1] ** -0.5  # Kolmogorov-Smirnov, p = 0.001


def test_antithetic_masks_are_mirrored_and_stratified_ones_share_no_stratum():
    upsampling = upsampling_of(4)
    mirrored = draw_logistic(noise(2), 0, Options(masks=6, draws="antithetic"), upsampling)
    assert torch.equal(mirrored[:, :3], -mirrored[:, 3:])
    even = draw_logistic(noise(2), 0, Options(masks=6, draws="stratified"), upsampling)
    strata = (torch.sigmoid(even) * 6).floor().sort(dim=1).values
    share = (strata == torch.arange(6.0)[None, :, None, None]).float().mean()
    assert share > 0.999  # rounding may move a draw over the edge of its stratum


# losses


def test_log_odds_are_exact_and_stay_finite_for_huge_logits():
    logits = random_logits(50, 4, spread=3.0, dtype=torch.float64)
    targets = torch.arange(50) % 4
    probability = logits.softmax(1).gather(1, targets[:, None])[:, 0]
    assert torch.allclose(log_odds(logits, targets), probability.log() - torch.log1p(-probability), atol=1e-12)
    huge = torch.tensor([[0.0, 500.0, -500.0], [500.0, 0.0, -500.0], [300.0, 0.0, 0.0]])
    assert log_odds(huge, torch.tensor([2, 0, 1])).tolist() == [-1000.0, 500.0, -300.0]


@pytest.mark.parametrize("objective", ["ssr", "sdr"])
def test_the_gradient_of_the_sparsity_is_sixteen_pixels_for_an_interior_cell_of_56_in_224(objective):
    logits = random_logits(1, 56, 56).requires_grad_()
    regulariser(logits, Options(objective, sparsity=1e-3), upsampling_of(56, 224)).sum().backward()
    drop = torch.sigmoid(logits.detach())
    expected = (-1 if objective == "ssr" else 1) * 1e-3 * 16 * drop * (1 - drop)
    assert torch.allclose(logits.grad[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], rtol=1e-4)


@pytest.mark.parametrize(("cells", "pixels"), [(4, 16), (5, 16), (16, 16), (56, 224)])
@pytest.mark.parametrize("objective", ["ssr", "sdr"])
def test_the_regulariser_on_the_grid_is_the_sum_at_full_resolution(objective, cells, pixels):
    logits = random_logits(2, cells, cells)
    drop = torch.nn.functional.interpolate(torch.sigmoid(logits.double())[:, None], size=pixels, mode="bilinear")[:, 0]
    counted = 1 - drop if objective == "ssr" else drop
    variation = sum((drop.diff(dim=side) ** 2).sum(dim=(1, 2)) for side in (1, 2))
    expected = 0.5 * counted.sum(dim=(1, 2)) + 2 * variation
    options = Options(objective, sparsity=0.5, total_variation=2.0)
    assert torch.allclose(regulariser(logits, options, upsampling_of(cells, pixels)).double(), expected, rtol=1e-5)


def test_the_regulariser_grows_from_exactly_nothing():
    assert [warm_up_weight(step, 4) for step in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert warm_up_weight(0, 0) == 1
    first = {}
    for sparsity in (0.0, 100.0):
        options = Options(sparsity=sparsity, total_variation=sparsity, masks=4)
        first[sparsity] = one_step(conv_classifier(), options, step=0)[0]
    assert torch.equal(first[0.0], first[100.0]) and first[0.0].abs().max() > 0


def one_step(classifier, options, step, dtype=torch.float32):
    """Gradient and objective of one step on two images, with what they were computed from."""
    images, upsampling = random_images(2).to(dtype), upsampling_of(4, dtype=dtype)
    logits, targets = random_logits(2, 4, 4, dtype=dtype), torch.tensor([2, 0])
    logistic = draw_logistic(noise(2), step, options, upsampling).to(dtype)
    backgrounds = load_infill("blur")(images, images[:, :1])
    loaded = Loaded(images[:, None], backgrounds[:, None], targets.repeat_interleave(options.masks), noise(2))
    found = loss_gradient(classifier, loaded, None, logits, logistic, step, options, upsampling)
    return *found, images, backgrounds, logits, logistic, targets


def published_loss(network, image, background, target, drop_logit, uniform, step, options):
    """The loss of one image as the released code computes it, in its order (its own upsampling, three times)."""
    epsilon = 2.2e-16

    def spread(values):
        return torch.nn.functional.interpolate(values[None, None], size=SIDE, mode="bilinear", align_corners=False)[
            0, 0
        ]

    drop = spread(torch.sigmoid(drop_logit))
    keep = 1 - torch.sigmoid(
        (
            torch.log(drop + epsilon)
            - torch.log(1 - drop + epsilon)
            + torch.log(uniform + epsilon)
            - torch.log(1 - uniform + epsilon)
        )
        / options.temperature
    )
    blended = keep[:, None] * image + (1 - keep[:, None]) * background
    log_probabilities = network(blended).log_softmax(1)
    others = [label for label in range(3) if label != target]
    score = log_probabilities[:, target] - log_probabilities[:, others].logsumexp(1)
    sparse = (1 - drop).sum() if options.objective == "ssr" else drop.sum()
    variation = (drop[1:] - drop[:-1]).pow(2).sum() + (drop[:, 1:] - drop[:, :-1]).pow(2).sum()
    weight = step / options.warm_up if step <= options.warm_up else 1
    sign = -1 if options.objective == "ssr" else 1
    return sign * score.mean(), options.sparsity * sparse + options.total_variation * variation, weight


@pytest.mark.parametrize("objective", ["ssr", "sdr"])
@pytest.mark.parametrize(("draws", "step"), [("independent", 12), ("stratified", 40)])
def test_loss_and_gradient_are_those_of_the_published_code_with_the_same_noise(objective, draws, step):
    options = Options(objective, masks=5, sparsity=0.02, total_variation=0.05, warm_up=30, draws=draws)
    gradient, value, images, backgrounds, logits, logistic, targets = one_step(conv_classifier(), options, step)
    reference = conv_classifier().network.double()
    for row in range(2):
        leaf = logits[row].double().requires_grad_()
        data, penalty, weight = published_loss(
            reference,
            images[row].double(),
            backgrounds[row].double(),
            int(targets[row]),
            leaf,
            torch.sigmoid(logistic[row].double()),
            step,
            options,
        )
        (data + weight * penalty).backward()
        assert torch.allclose(gradient[row].double(), leaf.grad, rtol=1e-4, atol=1e-5)
        assert value[row].item() == pytest.approx((data + penalty).item(), abs=1e-5)


def test_the_in_filler_sees_which_pixels_are_mostly_kept_and_gets_no_gradient():
    seen = []

    def invert(images, keep, *, noise, step):
        seen.append((keep, noise))
        return 1 - images

    options = Options(masks=4)
    images, upsampling, logits = random_images(2), upsampling_of(4), random_logits(2, 4, 4)
    logistic = draw_logistic(noise(2), 3, options, upsampling)
    targets = torch.tensor([2, 0]).repeat_interleave(4)
    asked = Loaded(images[:, None], None, targets, noise(2))
    given = replace(asked, backgrounds=1 - images[:, None])
    classifier, arguments = conv_classifier(), (logits, logistic, 3, options, upsampling)
    by_infill = loss_gradient(classifier, asked, Infill("invert", invert, True), *arguments)
    by_background = loss_gradient(classifier, given, None, *arguments)
    assert torch.allclose(by_infill[0], by_background[0], rtol=1e-4, atol=1e-6)
    [(keep, its_noise)] = seen
    assert torch.equal(keep.view(2, 4, SIDE, SIDE), (sample_keep(logits, logistic, options, upsampling) >= 0.5).float())
    assert its_noise.image_ids == ("image-0",) * 4 + ("image-1",) * 4 and len(set(its_noise.samples)) == 4
