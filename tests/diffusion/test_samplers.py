"""Samplers, on a denoiser whose answer is known: all images are one and the same."""

import pytest
import torch

from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.samplers import encode_ddim, noised_start, pure_noise, sample_ancestral, sample_ddim
from pipeline.diffusion.schedule import full_schedule, respaced
from pipeline.errors import UserError
from pipeline.noise import Noise
from tests.diffusion.conftest import small_unet

SCHEDULE = respaced(full_schedule("linear", 1000), 20)
NOISE = Noise(1, ["a", "b", "c"], "test")
SAMPLERS = [sample_ancestral, sample_ddim]


class OneImage(torch.nn.Module):
    """Knows that every clean image is `image`, and says so in the way that it is asked."""

    def __init__(self, image: torch.Tensor, predicts: str = "noise"):
        super().__init__()
        self.image, self.predicts = image, predicts
        self.full = full_schedule("linear", 1000)
        self.evaluations = 0

    def forward(self, noised, timesteps):
        self.evaluations += len(noised)
        step = int(timesteps[0])
        noise = self.full.noise(noised, self.image, step)
        if self.predicts == "noise":
            return noise
        kept = float(self.full.signal[step])
        return kept**0.5 * noise - (1 - kept) ** 0.5 * self.image


IMAGE = torch.linspace(-0.9, 0.9, 48).view(1, 3, 4, 4)


@pytest.mark.parametrize("predicts", ["noise", "velocity"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_perfect_denoiser_is_followed_to_its_image(sampler, predicts):
    denoiser = Denoiser(OneImage(IMAGE, predicts), SCHEDULE, predicts)
    found = sampler(denoiser, pure_noise(NOISE, (3, 4, 4)), NOISE)
    assert torch.allclose(found, IMAGE.expand(3, -1, -1, -1), atol=1e-3)
    assert denoiser.network.evaluations == 3 * len(SCHEDULE)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_walk_may_begin_anywhere(sampler):
    denoiser = Denoiser(OneImage(IMAGE), SCHEDULE)
    start = noised_start(denoiser, IMAGE.expand(3, -1, -1, -1), NOISE, first=7)
    assert start.std() < 1.1 and not torch.allclose(start, IMAGE.expand_as(start), atol=0.05)
    sampler(denoiser, start, NOISE, first=7)
    assert denoiser.network.evaluations == 3 * 8
    with pytest.raises(ValueError, match="first is 20 of a schedule of 20 steps"):
        sampler(denoiser, start, NOISE, first=20)


def test_the_way_up_and_down_again_leads_back():
    denoiser = Denoiser(small_unet(), respaced(full_schedule("linear", 1000), 100))
    for parameter in denoiser.network.parameters():
        parameter.data *= 0.3
    images = torch.tanh(torch.randn(2, 3, 16, 16))
    code = encode_ddim(denoiser, images, first=48)
    back = sample_ddim(denoiser, code, first=48, clip=False)
    assert (back - images).abs().mean() < 0.05 * (code - images).abs().mean()


def test_the_way_up_asks_at_every_step_and_ends_at_the_noise_predicted_at_the_last():
    """Of a model that knows its image, x_k = sqrt(abar) image + sqrt(1 - abar) noise with one and the same noise."""
    denoiser = Denoiser(OneImage(IMAGE), SCHEDULE)
    noise = torch.linspace(1, -1, 48).view(1, 3, 4, 4)
    code = encode_ddim(denoiser, SCHEDULE.noised(IMAGE, noise, 0))
    assert torch.allclose(code, noise, atol=1e-3)
    assert denoiser.network.evaluations == len(SCHEDULE)
    stopped = encode_ddim(denoiser, SCHEDULE.noised(IMAGE, noise, 0), first=7)
    assert torch.allclose(stopped, SCHEDULE.noised(IMAGE, noise, 7), atol=1e-3)
    assert denoiser.network.evaluations == len(SCHEDULE) + 7


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sample_does_not_depend_on_what_is_sampled_beside_it(sampler):
    denoiser = Denoiser(small_unet(), SCHEDULE)
    start = pure_noise(NOISE, (3, 16, 16))
    together = sampler(denoiser, start, NOISE)
    turned = sampler(denoiser, start[[2, 0, 1]], NOISE.select([2, 0, 1]))
    assert torch.allclose(turned, together[[2, 0, 1]], atol=1e-4)


def test_an_ancestral_step_draws_with_the_predicted_variance():
    denoiser = Denoiser(OneImage(IMAGE), SCHEDULE)
    many = Noise(3, [str(index) for index in range(4000)], "test")
    noised = SCHEDULE.noised(IMAGE, torch.zeros_like(IMAGE), 1).expand(4000, -1, -1, -1)

    class Once(Denoiser):
        def __call__(self, noised, step, **options):
            predicted = super().__call__(noised, step, **options)
            return predicted if step == 1 else predicted._replace(mean=noised)

    drawn = sample_ancestral(Once(denoiser.network, SCHEDULE), noised, many, first=1)
    deviation = denoiser(noised[:1], 1).variance ** 0.5
    assert drawn.std(0).mean().item() == pytest.approx(deviation, rel=0.02)


def test_clipping_keeps_the_clean_image_in_range_and_the_noise_in_step():
    denoiser = Denoiser(OneImage(3 * IMAGE), SCHEDULE)
    noised = SCHEDULE.noised(IMAGE, torch.randn_like(IMAGE), 10)
    plain, clipped = denoiser(noised, 10), denoiser(noised, 10, clip=True)
    assert plain.clean.abs().max() > 2 and clipped.clean.abs().max() == 1
    assert torch.allclose(SCHEDULE.noised(clipped.clean, clipped.noise, 10), noised, atol=1e-5)


def test_an_unknown_kind_of_prediction_is_refused():
    with pytest.raises(UserError, match="a diffusion model predicts 'epsilon'; use noise"):
        Denoiser(small_unet(), SCHEDULE, "epsilon")
