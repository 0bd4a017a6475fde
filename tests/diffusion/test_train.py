"""Training of small diffusion models: the loss, what is kept, and going on where a training stopped."""

import math

import pytest
import torch

from pipeline.device import PRECISIONS
from pipeline.diffusion.autoencoder import DiffusionAutoencoder
from pipeline.diffusion.autoencoder_shape import AutoencoderShape
from pipeline.diffusion.schedule import full_schedule
from pipeline.diffusion.train import (
    Progress,
    Recipe,
    autoencoding,
    denoising,
    denoising_loss,
    discretised_log_likelihood,
    follow_recipe,
    guiding,
    spread_steps,
    variational_bits,
)
from pipeline.diffusion.unet import NoisyClassifier, UNet
from pipeline.errors import UserError
from pipeline.unet_shape import Shape
from tests.diffusion.conftest import SMALL

SCHEDULE = full_schedule("linear", 100)
IMAGES = torch.zeros(8, 3, 16, 16, dtype=torch.uint8)
IMAGES[::2, 0] = 255


def progress(**recipe) -> Progress:
    torch.manual_seed(0)
    network = UNet(Shape(16, **{**SMALL, "multipliers": (1, 1)}))
    return Progress(network, Recipe(**{"steps": 6, "batch_size": 4, **recipe}), seed=5)


def train(progress, **after):
    """Train a diffusion model from where it stands."""
    return follow_recipe(progress, IMAGES, denoising(progress.recipe, SCHEDULE), **after)


class Knows(torch.nn.Module):
    """Says the right answer for the clean images and the noise that it was given."""

    def __init__(self, clean, noise, predicts):
        super().__init__()
        self.clean, self.noise, self.predicts = clean, noise, predicts

    def forward(self, noised, timesteps):
        kept = torch.as_tensor(SCHEDULE.signal)[timesteps.long()].float().view(-1, 1, 1, 1)
        velocity = kept.sqrt() * self.noise - (1 - kept).sqrt() * self.clean
        return self.noise if self.predicts == "noise" else velocity


@pytest.mark.parametrize("predicts", ["noise", "velocity"])
def test_the_loss_of_the_right_answer_is_zero_and_of_silence_the_variance_of_the_target(predicts):
    torch.manual_seed(1)
    clean, noise = torch.randn(64, 3, 8, 8), torch.randn(64, 3, 8, 8)
    steps = torch.arange(64)
    recipe = Recipe(predicts=predicts)
    assert denoising_loss(Knows(clean, noise, predicts), clean, noise, steps, SCHEDULE, recipe) < 1e-10
    silent = denoising_loss(lambda noised, timesteps: torch.zeros_like(noised), clean, noise, steps, SCHEDULE, recipe)
    assert silent.item() == pytest.approx(1.0, abs=0.03)


def test_the_bound_is_the_divergence_of_two_gaussians_in_bits():
    clean, step = torch.full((1, 1, 1, 1), 0.3), torch.tensor([40])
    noised = SCHEDULE.noised(clean, torch.full_like(clean, 0.7), 40)
    guessed, fraction = torch.full_like(clean, 0.1), torch.full_like(clean, 0.5)
    true_mean = SCHEDULE.posterior_mean(clean, noised, 40).double().item()
    mean = SCHEDULE.posterior_mean(guessed, noised, 40).double().item()
    smallest, largest = (float(bound[40]) for bound in SCHEDULE.log_variance_range)
    true, said = torch.distributions.Normal, 0.25 * smallest + 0.75 * largest
    divergence = torch.distributions.kl_divergence(
        true(torch.tensor(true_mean), torch.tensor(math.exp(smallest / 2))),
        true(torch.tensor(mean), torch.tensor(math.exp(said / 2))),
    )
    found = variational_bits(guessed, fraction, clean, noised, step, SCHEDULE)
    assert found.item() == pytest.approx(divergence.item() / math.log(2), rel=1e-4)


def test_the_likelihoods_of_all_grey_levels_add_up_to_one():
    levels = torch.linspace(-1, 1, 256)
    for mean, deviation in ((0.2, 0.05), (-1.1, 0.3), (0.0, 2.0)):
        log = discretised_log_likelihood(levels, torch.tensor(mean), torch.tensor(deviation).log())
        assert log.exp().sum().item() == pytest.approx(1.0, abs=1e-4)


def test_the_steps_of_a_batch_cover_the_schedule_evenly():
    steps = spread_steps(10, 100, torch.Generator().manual_seed(0))
    assert sorted((steps // 10).tolist()) == list(range(10))
    assert steps.tolist() != sorted(steps.tolist())


def test_a_training_learns_and_keeps_the_averaged_weights():
    losses = []
    running = progress(steps=40, average=0.9)
    averaged = train(running, after_step=lambda _, loss: losses.append(loss))
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    name = "out.2.weight"
    assert not torch.equal(averaged[name], running.network.state_dict()[name])
    assert averaged[name].abs().sum() > 0


def test_a_training_that_was_stopped_ends_in_the_same_weights(tmp_path):
    whole = train(progress())

    class Stop(Exception):
        pass

    def stop(running, loss):
        if running.step == 3:
            running.save(tmp_path / "progress.pt")
            raise Stop

    with pytest.raises(Stop):
        train(progress(), after_step=stop)
    later = progress()
    later.load(tmp_path / "progress.pt")
    assert later.step == 3
    again = train(later)
    assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_progress_of_another_training_is_not_gone_on_from(tmp_path):
    done = progress(steps=2)
    train(done)
    done.save(tmp_path / "progress.pt")
    other = progress(steps=2)
    other.identity = "another recipe"
    assert not other.load(tmp_path / "progress.pt") and other.step == 0
    assert torch.equal(other.averaged["time_embed.0.weight"], progress().averaged["time_embed.0.weight"])


def test_what_is_left_out_in_training_follows_from_the_step(tmp_path):
    def trained(stop_after=None):
        torch.manual_seed(0)
        running = Progress(UNet(Shape(16, **{**SMALL, "dropout": 0.5})), Recipe(steps=3, batch_size=4), seed=5)
        if stop_after:
            running.load(tmp_path / "progress.pt")

        def save(running, loss):
            if running.step == 2 and not stop_after:
                running.save(tmp_path / "progress.pt")

        return train(running, after_step=save)

    whole = trained()
    torch.rand(7)  # whatever else was drawn meanwhile
    again = trained(stop_after=2)
    assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_in_bfloat16_products_are_computed_and_weights_stay_float32(monkeypatch):
    def first_loss(precision):
        losses, running = [], progress(steps=1, precision=precision)
        running.network.out[2].register_forward_hook(lambda layer, inputs, said: computed.append(said.dtype))
        averaged = train(running, after_step=lambda _, loss: losses.append(loss))
        assert {value.dtype for value in averaged.values()} == {torch.float32}
        return losses[0]

    computed = []
    exact = first_loss("bfloat16")  # a CPU computes in float32 whatever is asked for
    monkeypatch.setattr("pipeline.diffusion.train.precision", lambda device, name: PRECISIONS[name])
    assert first_loss("bfloat16") == pytest.approx(exact, rel=0.02)
    assert computed == [torch.float32, torch.bfloat16]


def test_a_guide_learns_to_tell_noised_images_apart():
    torch.manual_seed(0)
    network = NoisyClassifier(Shape(16, **{**SMALL, "multipliers": (1, 1), "out_channels": 2}))
    classes, losses = torch.tensor([1, 0] * 4), []
    running = Progress(network, Recipe(steps=40, batch_size=8, average=0.5, learning_rate=3e-3), seed=5)
    averaged = follow_recipe(
        running, IMAGES, guiding(SCHEDULE, classes), after_step=lambda _, loss: losses.append(loss)
    )
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    network.load_state_dict(averaged)
    network.eval()
    clean = IMAGES.float() / 127.5 - 1
    noised = SCHEDULE.noised(clean, torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)), 20)
    assert torch.equal(network(noised, torch.full((8,), 20.0)).argmax(1), classes)


def test_an_autoencoder_learns_to_tell_images_apart_by_their_codes():
    """At the noisiest step nothing of an image is left, so that only its code can say which way its stripes run."""
    across = torch.zeros(3, 8, 8, dtype=torch.uint8)
    across[:, ::2] = 255
    images = torch.stack([across, across.transpose(1, 2)])
    torch.manual_seed(0)
    network = DiffusionAutoencoder(AutoencoderShape(8, 32, (1,), (1,), blocks=1, semantic=8, dropout=0.0))
    begun = Progress(network, Recipe(steps=60, batch_size=8, learning_rate=4e-3, average=0.8), seed=5)
    network.load_state_dict(follow_recipe(begun, images, autoencoding(begun.recipe, SCHEDULE)))
    clean = images.float() / 127.5 - 1
    with torch.no_grad():
        velocity = network.eval()(torch.randn(2, 3, 8, 8), torch.full((2,), 99.0), network.encoder(clean))
    assert ((velocity + clean) ** 2).mean() < 0.8 * ((velocity + clean.flip(0)) ** 2).mean()


def test_a_loss_that_is_no_number_ends_the_training_with_advice():
    with pytest.raises(UserError, match=r"the loss of step 1 is nan; set a lower learning_rate than 1e\+20"):
        train(progress(learning_rate=1e20))


def test_the_rate_rises_and_then_falls_to_nothing():
    recipe = Recipe(steps=100, learning_rate=1.0)
    rates = [recipe.rate(step) for step in range(100)]
    assert rates[0] == 0.5 and max(rates) > 0.97 and rates[-1] == pytest.approx(0.01)
