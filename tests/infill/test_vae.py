"""The in-filler that makes what holes hide: its own holes and code for each row, its loss, its file."""

import shutil

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pipeline.diffusion.train import Progress, Recipe, follow_recipe
from pipeline.errors import UserError
from pipeline.infill.declared.vae import VaeShape
from pipeline.infill.file import build_network, open_infill, save_filler
from pipeline.infill.identity import identify
from pipeline.infill.train import filling, loss_of_holes
from pipeline.infill.vae import VaeInfill
from pipeline.noise import Noise

IMAGES = torch.rand(4, 3, 18, 22, generator=torch.Generator().manual_seed(1))
KEEP = (torch.rand(4, 1, 18, 22, generator=torch.Generator().manual_seed(2)) < 0.6).float()
NOISE = Noise(1, ["a", "b", "c", "d"], "test")
SHAPE = VaeShape(channels=4)


def small(**shape) -> VaeInfill:
    torch.manual_seed(3)
    return build_network(VaeShape(channels=4, **shape)).eval()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("filler") / "small.safetensors"
    save_filler(small().state_dict(), path, SHAPE)
    return path


@pytest.mark.parametrize("variance", [True, False])
def test_each_row_is_filled_by_its_own_holes_and_code_at_any_size(variance):
    network = small(variance=variance)
    filled = network.fill(IMAGES, KEEP, noise=NOISE, step=0)
    assert filled.shape == IMAGES.shape and filled.min() >= 0 and filled.max() <= 1 and filled.std() > 0
    for row in range(4):
        rows = slice(row, row + 1)
        alone = network.fill(IMAGES[rows], KEEP[rows], noise=NOISE.select(rows), step=0)
        assert torch.allclose(alone, filled[rows], atol=1e-5)
    assert not torch.equal(network.fill(IMAGES, KEEP, noise=NOISE, step=1), filled)


def test_what_a_hole_hides_decides_nothing():
    network, hidden = small(), torch.where(KEEP > 0.5, IMAGES, 1 - IMAGES)
    filled = network.fill(IMAGES, KEEP, noise=NOISE, step=0)
    assert torch.equal(network.fill(hidden, KEEP, noise=NOISE, step=0), filled)


def test_kept_pixels_stay_where_the_entry_says_so_and_are_made_anew_otherwise(file):
    raw, composited = (open_infill("x", {"x": {"file": str(file), "composited": each}}) for each in (False, True))
    made, pasted = raw(IMAGES, KEEP, noise=NOISE), composited(IMAGES, KEEP, noise=NOISE)
    kept = KEEP.expand_as(IMAGES) > 0.5
    assert torch.equal(pasted[kept], IMAGES[kept]) and not torch.equal(made[kept], IMAGES[kept])
    assert torch.equal(pasted[~kept], made[~kept])


@pytest.mark.parametrize("variance", [True, False])
def test_the_loss_is_the_likelihood_of_what_is_hidden_and_the_divergence_of_the_code(variance):
    network, clean = small(variance=variance), IMAGES[:, :, :16, :16] * 2 - 1
    keep, fresh = KEEP[:, :, :16, :16], torch.zeros(4, *network.code_shape(16, 16))
    filled = network(clean, keep, fresh)
    deviation = (0.5 * filled.log_variance).exp() if variance else torch.ones_like(clean)
    constant = 0.5 * torch.log(torch.tensor(2 * torch.pi))
    hidden = ((-Normal(filled.image, deviation).log_prob(clean) - constant) * (1 - keep)).sum((1, 2, 3))
    code = Normal(filled.code_mean, (0.5 * filled.code_log_variance).exp())
    divergence = kl_divergence(code, Normal(0.0, 1.0)).sum((1, 2, 3))
    assert torch.allclose(loss_of_holes(filled, clean, keep, 0.3), hidden + 0.3 * divergence, rtol=1e-4)


def test_it_learns_to_fill_holes_as_the_image_is_around_them():
    images = torch.tensor([60, 200], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 16, 16)
    progress = Progress(small().train(), Recipe(steps=60, batch_size=16, learning_rate=1e-2, average=0.8), seed=1)
    network = small()
    network.load_state_dict(follow_recipe(progress, images, filling(1e-3)))
    clean, keep = images.float() / 255, torch.ones(2, 1, 16, 16)
    keep[:, :, 4:12, 4:12] = 0
    filled = network.fill(clean, keep, noise=NOISE.select([0, 1]), step=0)
    assert (filled - clean).abs()[:, :, 4:12, 4:12].mean() < 0.1  # grey would be 0.27 off


def test_what_an_in_filler_is_follows_the_content_of_its_file_and_what_it_returns(file, tmp_path):
    before = identify("a", {"file": str(file)})
    assert before["kind"] == "vae"
    assert identify("b", {"file": shutil.copy(file, tmp_path)}) == before
    assert identify("a", {"file": str(file), "composited": True}) != before
    save_filler(small(variance=False).state_dict(), tmp_path / "other", VaeShape(channels=4, variance=False))
    assert identify("a", {"file": str(tmp_path / "other")}) != before


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"file": "gone.safetensors"}, "in-filler 'x': gone.safetensors does not exist; correct the path"),
        ({"fil": "a"}, "in-filler 'x': unknown key 'fil'; did you mean 'file'?"),
        ({"trained": "a"}, "in-filler 'x' is the recipe a of a study"),
        ({"file": "data/classifiers/random.safetensors"}, "has weights but no description of an in-filler"),
    ],
)
def test_a_wrong_entry_is_told_in_one_sentence(entry, sentence):
    with pytest.raises(UserError) as caught:
        open_infill("x", {"x": entry})
    assert sentence in str(caught.value)
