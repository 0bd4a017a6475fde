"""Our U-Net and diffusers' UNet2DModel: the same function, and the same weights after there and back."""

import pytest
import torch

from pipeline.diffusion.diffusers_unet import from_diffusers, split_packed, to_diffusers
from pipeline.diffusion.unet import UNet
from pipeline.errors import UserError
from pipeline.unet_shape import SHAPES
from tests.diffusion.conftest import small_unet

KINDS = {
    "legacy": {"order": "legacy"},
    "new": {"order": "new"},
    "classes": {"classes": 3},
    "constant-heads": {"head_channels": None, "heads": 4, "multipliers": (1, 2, 3), "attention": (8, 4)},
    "two-blocks": {"blocks": 2, "attention": (16, 8)},
    "no-attention-but-in-the-middle": {"attention": ()},
}


@pytest.mark.parametrize("changed", KINDS.values(), ids=KINDS)
def test_both_compute_the_same_and_the_way_back_restores_every_bit(changed):
    network = small_unet(**changed)
    model = to_diffusers(network)
    torch.manual_seed(1)
    images, timesteps = torch.randn(2, 3, 16, 16), torch.tensor([3.0, 731.5])
    classes = torch.tensor([0, 2]) if "classes" in changed else None
    theirs = model(images, timesteps, class_labels=classes).sample
    ours = network(images, timesteps, classes)
    assert (theirs - ours).abs().max() < 1e-4 * ours.abs().max()
    back = from_diffusers(model, order=network.shape.order)
    assert back.shape == network.shape
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in back.state_dict().items())


def test_a_plain_split_of_legacy_attention_is_another_function():
    network = small_unet(order="legacy", head_channels=8)
    wrong = small_unet(order="new", head_channels=8)
    wrong.load_state_dict(network.state_dict())
    images, timesteps = torch.randn(1, 3, 16, 16), torch.tensor([5.0])
    right = to_diffusers(network)(images, timesteps).sample
    assert (to_diffusers(wrong)(images, timesteps).sample - right).abs().max() > 1e-3


def test_legacy_rows_are_queries_keys_and_values_head_by_head():
    packed = torch.tensor([11, 12, 21, 22, 31, 32, 13, 14, 23, 24, 33, 34])  # two heads of two channels
    assert [part.tolist() for part in split_packed(packed, 2, "legacy")] == [
        [11, 12, 13, 14],
        [21, 22, 23, 24],
        [31, 32, 33, 34],
    ]


def test_the_network_of_512_pixels_is_refused_with_the_reason():
    with torch.device("meta"):
        network = UNet(SHAPES["imagenet-512-conditional"])
    with pytest.raises(UserError, match="the first level has 128 channels and the time embedding is made for 256"):
        to_diffusers(network)


def test_a_model_of_another_kind_is_refused():
    from diffusers import UNet2DModel

    model = UNet2DModel(
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        norm_num_groups=32,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    with pytest.raises(UserError, match="resnet_time_scale_shift of the diffusers model is 'default'"):
        from_diffusers(model)
