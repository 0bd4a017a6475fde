"""Our U-Net and diffusers' UNet2DModel: the same function, and the same weights after there and back."""

import pytest
import torch
from diffusers import UNet2DModel

from pipeline.diffusion.diffusers_unet import from_diffusers, split_packed, to_diffusers
from pipeline.diffusion.unet import UNet
from pipeline.errors import UserError
from pipeline.unet_shape import SHAPES
from tests.diffusion.conftest import small_unet

KINDS = {
    "legacy": {"order": "legacy"},
    "new": {"order": "new"},
    "classes": {"classes": 3},
    "one-head": {"head_channels": None, "heads": 1, "multipliers": (1, 2, 3), "attention": (8, 4)},
    "two-blocks": {"blocks": 2, "attention": (16, 8)},
    "no-attention-but-in-the-middle": {"attention": ()},
}


@pytest.mark.parametrize("changed", KINDS.values(), ids=KINDS)
def test_both_compute_the_same_and_the_way_back_restores_every_bit(changed, tmp_path):
    network = small_unet(**changed)
    to_diffusers(network).save_pretrained(tmp_path)
    model = UNet2DModel.from_pretrained(tmp_path)
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


def test_a_fixed_number_of_heads_is_refused_where_levels_differ_in_width():
    """One number of UNet2DModel says how wide every head is; here they are 16 at one level and 24 at another."""
    network = small_unet(head_channels=None, heads=4, multipliers=(1, 2, 3), attention=(8,))
    with pytest.raises(UserError, match="the attention heads have 16 and 24 channels at different levels"):
        to_diffusers(network)


def test_a_fixed_number_of_heads_survives_where_all_attention_is_equally_wide(tmp_path):
    network = small_unet(head_channels=None, heads=4)
    to_diffusers(network).save_pretrained(tmp_path)
    back = from_diffusers(UNet2DModel.from_pretrained(tmp_path))
    images, timesteps = torch.randn(1, 3, 16, 16), torch.tensor([5.0])
    assert torch.allclose(back(images, timesteps), network(images, timesteps), atol=1e-6)


OFFICIAL = {
    "sample_size": 16,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
    "resnet_time_scale_shift": "scale_shift",
    "downsample_type": "resnet",
    "upsample_type": "resnet",
    "attention_head_dim": 16,
    "attn_norm_num_groups": 32,
}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"norm_num_groups": 16}, "norm_num_groups of the diffusers model is 16; only those with 32 convert"),
        ({"act_fn": "relu"}, "act_fn of the diffusers model is 'relu'; only those with 'silu' or 'swish' convert"),
        ({"flip_sin_to_cos": False}, "flip_sin_to_cos of the diffusers model is False; only those with True convert"),
        ({"freq_shift": 1}, "freq_shift of the diffusers model is 1; only those with 0 convert"),
        ({"norm_eps": 1e-6}, "norm_eps of the diffusers model is 1e-06; only those with 1e-05 convert"),
        ({"mid_block_scale_factor": 2}, "mid_block_scale_factor of the diffusers model is 2; only those with 1"),
        ({"upsample_type": "conv"}, "upsample_type of the diffusers model is 'conv'; only those with 'resnet' convert"),
        ({"sample_size": None}, "sample_size of the diffusers model is None; only those with one whole number"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type of the diffusers model is 'fourier'; only those"),
        ({"time_embedding_dim": 64}, "time_embedding_dim of the diffusers model is 64; only those with 128"),
        ({"attention_head_dim": 48}, "makes of 64 channels 1 heads with 48 in all; only those convert whose heads"),
        ({"class_embed_type": "timestep"}, "class_embed_type of the diffusers model is 'timestep'; only those"),
        ({"center_input_sample": True}, "center_input_sample of the diffusers model is True; only those with False"),
        ({"add_attention": False}, "add_attention of the diffusers model is False; only those with True convert"),
        ({"resnet_time_scale_shift": "default"}, "resnet_time_scale_shift of the diffusers model is 'default'"),
        ({"up_block_types": ("AttnUpBlock2D", "UpBlock2D")}, "and up again AttnUpBlock2D, UpBlock2D; only those with"),
    ],
)
def test_a_model_that_computes_something_else_is_refused_in_one_sentence(changed, sentence):
    with pytest.raises(UserError) as caught:
        from_diffusers(UNet2DModel(**{**OFFICIAL, **changed}))
    assert sentence in str(caught.value)


def test_a_head_for_all_channels_converts():
    model = UNet2DModel(**{**OFFICIAL, "attention_head_dim": None}).eval()
    images, timesteps = torch.randn(1, 3, 16, 16), torch.tensor([5.0])
    assert torch.allclose(from_diffusers(model)(images, timesteps), model(images, timesteps).sample, atol=1e-5)
