"""The networks of guided diffusion: names and numbers of parameters as published, and what they compute."""

import pytest
import torch

from pipeline.diffusion.blocks import attend, timestep_embedding
from pipeline.diffusion.unet import NoisyClassifier, UNet
from pipeline.errors import UserError
from pipeline.unet_shape import SHAPES, Shape
from tests.diffusion.conftest import SMALL, small_unet

# Tensors and parameters of the official checkpoints.
PUBLISHED = {
    "imagenet-256": (566, 552_814_086),
    "imagenet-256-conditional": (567, 553_838_086),
    "imagenet-128-conditional": (493, 421_529_606),
    "imagenet-64-conditional": (541, 295_904_454),
    "imagenet-512-conditional": (645, 558_997_638),
    "lsun-256": (566, 552_814_086),
    "celeba-128": (492, 105_198_598),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_networks_have_the_published_number_of_parameters(name):
    with torch.device("meta"):
        network = UNet(SHAPES[name])
    assert (len(network.state_dict()), sum(each.numel() for each in network.parameters())) == PUBLISHED[name]


def test_every_published_shape_can_be_built():
    with torch.device("meta"):
        for name, shape in SHAPES.items():
            (NoisyClassifier if "classifier" in name else UNet)(shape)


def test_parameters_have_the_names_and_sizes_of_the_official_code():
    with torch.device("meta"):
        state = UNet(SHAPES["imagenet-256-conditional"]).state_dict()
    expected = {
        "time_embed.0.weight": (1024, 256),
        "time_embed.2.weight": (1024, 1024),
        "label_emb.weight": (1000, 1024),
        "input_blocks.0.0.weight": (256, 3, 3, 3),
        "input_blocks.1.0.in_layers.0.weight": (256,),
        "input_blocks.1.0.in_layers.2.weight": (256, 256, 3, 3),
        "input_blocks.1.0.emb_layers.1.weight": (512, 1024),
        "input_blocks.1.0.out_layers.3.weight": (256, 256, 3, 3),
        "input_blocks.3.0.in_layers.2.weight": (256, 256, 3, 3),  # a block that halves the side is an entry of its own
        "input_blocks.7.0.skip_connection.weight": (512, 256, 1, 1),
        "input_blocks.10.1.qkv.weight": (1536, 512, 1),
        "input_blocks.10.1.proj_out.weight": (512, 512, 1),
        "middle_block.1.norm.weight": (1024,),
        "middle_block.2.out_layers.0.weight": (1024,),
        "output_blocks.2.2.in_layers.2.weight": (1024, 1024, 3, 3),  # with attention, doubling comes last
        "output_blocks.17.0.skip_connection.weight": (256, 512, 1, 1),
        "out.0.weight": (256,),
        "out.2.weight": (6, 256, 3, 3),
    }
    assert {name: tuple(state[name].shape) for name in expected} == expected


def test_the_noisy_classifier_has_the_names_of_the_official_one():
    with torch.device("meta"):
        state = NoisyClassifier(SHAPES["imagenet-256-classifier"]).state_dict()
    assert tuple(state["out.2.positional_embedding"].shape) == (512, 65)
    assert tuple(state["out.2.qkv_proj.weight"].shape) == (1536, 512, 1)
    assert tuple(state["out.2.c_proj.weight"].shape) == (1000, 512, 1)
    assert not any(name.startswith("output_blocks") for name in state)


def test_the_two_orders_of_attention_are_permutations_of_each_other():
    torch.manual_seed(0)
    heads, channels, length = 3, 4, 5
    new = torch.randn(2, 3 * heads * channels, length)
    legacy = new.view(2, 3, heads, channels, length).transpose(1, 2).reshape_as(new)
    assert torch.allclose(attend(new, heads, "new"), attend(legacy, heads, "legacy"))
    assert not torch.allclose(attend(new, heads, "new"), attend(new, heads, "legacy"))


def test_attention_is_the_softmax_of_scaled_products():
    torch.manual_seed(1)
    query, key, value = torch.randn(3, 1, 4, 6)
    weights = torch.softmax(query[0].T @ key[0] / 2, dim=-1)  # sqrt(4 channels)
    attended = attend(torch.cat([query, key, value], dim=1), 1, "new")
    assert torch.allclose(attended[0], value[0] @ weights.T, atol=1e-6)


def test_the_embedding_of_a_timestep_holds_cosines_then_sines():
    embedding = timestep_embedding(torch.tensor([0.0, 2.5]), 6)
    assert embedding[0].tolist() == [1, 1, 1, 0, 0, 0]
    angles = 2.5 * 10000 ** (-torch.arange(3) / 3)
    assert torch.allclose(embedding[1], torch.cat([angles.cos(), angles.sin()]), atol=1e-6)


def test_images_are_predicted_one_by_one(unet):
    torch.manual_seed(2)
    images, timesteps = torch.randn(3, 3, 16, 16), torch.tensor([10.0, 500.0, 3.0])
    together = unet(images, timesteps)
    assert together.shape == (3, 6, 16, 16)
    for row in range(3):
        assert torch.allclose(unet(images[row : row + 1], timesteps[row : row + 1])[0], together[row], atol=1e-5)


def test_timestep_and_class_both_matter():
    network = small_unet(classes=4)
    images, at = torch.randn(1, 3, 16, 16), torch.tensor([100.0])
    first = network(images, at, torch.tensor([1]))
    assert not torch.allclose(first, network(images, at, torch.tensor([2])))
    assert not torch.allclose(first, network(images, at + 400, torch.tensor([1])))
    with pytest.raises(ValueError, match="missing for one that needs them"):
        network(images, at)


@pytest.mark.parametrize("where", ["attention", "blocks"])
def test_recomputation_saves_memory_and_changes_no_gradient(where):
    network = small_unet()
    images, at = torch.randn(2, 3, 16, 16, requires_grad=True), torch.tensor([100.0, 7.0])

    def gradient_and_kept():
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: kept.append(tensor.numel()) or tensor, lambda t: t
        ):
            loss = network(images, at).square().mean()
        return torch.autograd.grad(loss, images)[0], sum(kept)

    plain, kept = gradient_and_kept()
    network.recompute(where)
    again, kept_less = gradient_and_kept()
    assert torch.allclose(plain, again, atol=1e-7) and kept_less < kept
    with pytest.raises(UserError, match="recompute is 'blok'; use blocks"):
        network.recompute("blok")


def test_gradients_flow_through_frozen_weights(unet):
    unet.requires_grad_(False)
    unet.recompute("blocks")
    images = torch.randn(1, 3, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(unet(images, torch.tensor([5.0])).sum(), images)
    assert gradient.abs().sum() > 0


def test_a_noisy_classifier_reads_an_image_at_its_timestep():
    torch.manual_seed(3)
    network = NoisyClassifier(Shape(16, **{**SMALL, "out_channels": 5})).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.08)  # zeroed layers would hide the timestep
    images = torch.randn(2, 3, 16, 16)
    logits = network(images, torch.tensor([0.0, 900.0]))
    assert logits.shape == (2, 5)
    assert not torch.allclose(network(images, torch.tensor([900.0, 900.0]))[0], logits[0])


def test_a_shape_survives_json_and_a_preset_can_be_changed():
    shape = Shape(16, **SMALL)
    assert Shape.from_options(shape.to_options()) == shape
    assert Shape.from_options({"preset": "imagenet-256", "channels": 32}).channels == 32


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"preset": "imagnet-256"}, "there is no network 'imagnet-256'; use imagenet-256"),
        ({"size": 16, **SMALL, "channels": 24}, "every level needs a multiple of 32"),
        ({"size": 18, **SMALL, "multipliers": [1, 2, 2]}, "use a size that can be halved 2 times, such as 16"),
        ({"size": 16, **SMALL, "heads": 4}, "give head_channels, such as 64, or heads, such as 4, and not both"),
        ({"size": 16, **SMALL, "order": "old"}, "order is 'old'; use legacy or new"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        Shape.from_options(options)
