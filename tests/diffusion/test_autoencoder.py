"""The diffusion autoencoder: names and numbers of parameters as published, and what it computes."""

import math

import pytest
import torch
from torch.nn import functional

from pipeline.diffusion.autoencoder import (
    Codes,
    DiffusionAutoencoder,
    PlainBlock,
    Told,
    ToldBlock,
    conditioned,
    decode,
    encode,
)
from pipeline.diffusion.autoencoder_shape import AUTOENCODERS, AutoencoderShape, inferred_shape
from pipeline.diffusion.schedule import full_schedule, respaced_by_stride
from pipeline.errors import UserError

SMALL = AutoencoderShape(16, 32, (1, 2), (1, 2, 2), blocks=1, attention=(8,), semantic=24)
PUBLISHED = {  # tensors and parameters of the official checkpoints
    "ffhq-64": (506, 90_839_235),
    "celeba-64": (506, 90_839_235),
    "ffhq-128": (608, 128_545_155),
    "celeba-128": (608, 128_545_155),
    "ffhq-256": (706, 168_492_291),
    "chexpert-224": (664, 161_123_841),
}


@pytest.fixture
def network() -> DiffusionAutoencoder:
    """A small one; its zero-initialised layers get weights too, so that everything counts."""
    torch.manual_seed(0)
    network = DiffusionAutoencoder(SMALL)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.08)
    return network.eval()


def images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def schedule(steps: int = 5):
    return respaced_by_stride(full_schedule(), steps)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_networks_have_the_published_number_of_parameters(name):
    with torch.device("meta"):
        network = DiffusionAutoencoder(AUTOENCODERS[name])
    assert (len(network.state_dict()), sum(each.numel() for each in network.parameters())) == PUBLISHED[name]
    assert not list(network.buffers())


def test_parameters_have_the_names_and_sizes_of_the_official_code():
    with torch.device("meta"):
        state = DiffusionAutoencoder(AUTOENCODERS["celeba-128"]).state_dict()
    expected = {
        "time_embed.time_embed.0.weight": (512, 128),
        "time_embed.time_embed.2.weight": (512, 512),
        "input_blocks.0.0.weight": (128, 3, 3, 3),
        "input_blocks.1.0.in_layers.0.weight": (128,),
        "input_blocks.1.0.in_layers.2.weight": (128, 128, 3, 3),
        "input_blocks.1.0.emb_layers.1.weight": (256, 512),
        "input_blocks.1.0.cond_emb_layers.1.weight": (128, 512),
        "input_blocks.1.0.out_layers.3.weight": (128, 128, 3, 3),
        "input_blocks.3.0.cond_emb_layers.1.bias": (128,),
        "input_blocks.7.0.skip_connection.weight": (256, 128, 1, 1),
        "input_blocks.10.1.qkv.weight": (1152, 384, 1),
        "middle_block.1.norm.weight": (512,),
        "output_blocks.5.2.in_layers.2.weight": (384, 384, 3, 3),
        "output_blocks.8.1.in_layers.2.weight": (256, 256, 3, 3),  # without attention, doubling comes second
        "out.2.weight": (3, 128, 3, 3),
        "encoder.input_blocks.3.0.in_layers.2.weight": (128, 128, 3, 3),
        "encoder.input_blocks.10.1.proj_out.weight": (384, 384, 1),
        "encoder.out.0.weight": (512,),
        "encoder.out.3.weight": (512, 512, 1, 1),
    }
    assert {name: tuple(state[name].shape) for name in expected} == expected
    assert not [
        name for name in state if name.startswith("encoder.") and ("emb_layers" in name or "out_layers" in name)
    ]


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_the_shape_is_read_off_the_weights(name):
    with torch.device("meta"):
        state = DiffusionAutoencoder(AUTOENCODERS[name]).state_dict()
    sizes = {name: tuple(value.shape) for name, value in state.items()}
    assert inferred_shape(sizes, 224 if name == "chexpert-224" else None) == AUTOENCODERS[name]


def test_a_size_that_the_weights_do_not_tell_must_be_given():
    with torch.device("meta"):
        state = DiffusionAutoencoder(AUTOENCODERS["chexpert-224"]).state_dict()
    with pytest.raises(UserError, match=r"do not tell the size of the images.*give `size`, such as 224"):
        inferred_shape({name: tuple(value.shape) for name, value in state.items()})


def test_weights_of_another_network_have_no_shape():
    with pytest.raises(UserError, match="these are not the weights of a diffusion autoencoder"):
        inferred_shape({"conv1.weight": (64, 3, 7, 7)})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"size": 18}, "size is 18 with 3 levels; use a size that can be halved 2 times, such as 16"),
        ({"encoder_multipliers": (1,) * 7}, "encoder_multipliers has 7 levels; use fewer"),
        ({"channels": 24}, "gives 24; every level needs a multiple of 32"),
    ],
)
def test_a_shape_that_cannot_be_is_one_sentence(changed, sentence):
    options = {"size": 32, "channels": 32, "multipliers": (1, 1, 2), "encoder_multipliers": (1, 2), **changed}
    with pytest.raises(UserError, match=sentence):
        AutoencoderShape(**options)


def test_the_step_scales_and_shifts_a_feature_map_and_then_the_code_scales_it():
    torch.manual_seed(2)
    block = ToldBlock(32, 24, 0.0, 64, None, 0).eval()
    torch.nn.init.normal_(block.out_layers[3].weight, std=0.1)
    inputs, embedding, code = torch.randn(2, 32, 8, 8), torch.randn(2, 512), torch.randn(2, 24)
    a, b = block.emb_layers[1](functional.silu(embedding)).chunk(2, dim=1)
    s = block.cond_emb_layers[1](functional.silu(code))
    a, b, s = (each[:, :, None, None] for each in (a, b, s))
    u = block.in_layers[2](functional.silu(functional.group_norm(inputs, 32, *block.in_layers[0].parameters())))
    v = ((1 + a) * functional.group_norm(u, 32, *block.out_layers[0].parameters()) + b) * (1 + s)
    expected = block.skip_connection(inputs) + block.out_layers[3](functional.silu(v))
    told = Told([block.emb_layers(embedding)], [block.cond_emb_layers(code)])
    torch.testing.assert_close(block(inputs, told), expected, atol=1e-5, rtol=1e-5)


def test_a_block_of_the_encoder_is_one_convolution_beside_a_shortcut():
    torch.manual_seed(2)
    block, inputs = PlainBlock(32, 32, "down"), torch.randn(2, 32, 8, 8)
    activated = functional.silu(functional.group_norm(inputs, 32, *block.in_layers[0].parameters()))
    expected = functional.avg_pool2d(inputs, 2) + block.in_layers[2](functional.avg_pool2d(activated, 2))
    torch.testing.assert_close(block(inputs), expected)


def test_what_is_computed_once_for_all_steps_changes_nothing(network):
    codes = network.encoder(images())
    denoiser = conditioned(network, codes, schedule())
    for step in range(5):
        timesteps = torch.full((3,), float(denoiser.schedule.timesteps[step]))
        with torch.no_grad():
            whole, kept = network(images(), timesteps, codes), denoiser(images(), step).noise
        torch.testing.assert_close(kept, whole, atol=1e-6, rtol=1e-5)


def test_a_step_computes_its_timing_once_and_the_code_nothing(network):
    calls = {"timing": 0, "scale": 0}
    for block in network.told:
        block.emb_layers.register_forward_hook(lambda *_: calls.update(timing=calls["timing"] + 1))
        block.cond_emb_layers.register_forward_hook(lambda *_: calls.update(scale=calls["scale"] + 1))
    rows = []
    network.time_embed.register_forward_hook(lambda module, given, result: rows.append(len(result)))
    decode(network, Codes(torch.zeros(3, 24), images()), schedule(5))
    assert calls == {"timing": 5 * len(network.told), "scale": len(network.told)} and rows == [1] * 5


def test_encoding_and_decoding_follow_the_closed_forms(network):
    """Against the equations written out, with abar 0 after the last step and 1 before the first."""
    steps, sources = schedule(10), images()
    code = network.encoder(sources)

    def noise_and_clean(noised, step):
        timesteps = torch.full((3,), float(steps.timesteps[step]))
        kept = float(steps.signal[step])
        noise = network(noised, timesteps, code)
        clean = ((noised - math.sqrt(1 - kept) * noise) / math.sqrt(kept)).clamp(-1, 1)
        return (noised - math.sqrt(kept) * clean) / math.sqrt(1 - kept), clean

    with torch.no_grad():
        noised = sources
        for step in range(10):
            after = float(steps.signal[step + 1]) if step < 9 else 0.0
            noise, clean = noise_and_clean(noised, step)
            noised = math.sqrt(after) * clean + math.sqrt(1 - after) * noise
        codes = encode(network, sources, steps)
        torch.testing.assert_close(codes.semantic, code)
        torch.testing.assert_close(codes.noise, noised, atol=1e-4, rtol=1e-4)
        for step in reversed(range(10)):
            before = float(steps.signal[step - 1]) if step else 1.0
            noise, clean = noise_and_clean(noised, step)
            noised = math.sqrt(before) * clean + math.sqrt(1 - before) * noise
        decoded = decode(network, codes, steps)
    torch.testing.assert_close(decoded, noised, atol=1e-3, rtol=1e-3)  # float noise grows along the walk
    assert decoded.abs().max() <= 1


def test_a_network_that_predicts_no_noise_keeps_the_image_and_codes_it_as_no_noise(network):
    """With eps 0 x0-hat is x / sqrt(abar), clipped: the walk down from the code of nothing ends at nothing."""
    for parameter in network.out.parameters():
        torch.nn.init.zeros_(parameter)
    codes = encode(network, images() * 0.05, schedule(5))
    assert codes.noise.abs().max() < 1e-5
    assert decode(network, codes, schedule(5)).abs().max() < 1e-3


def test_no_row_depends_on_its_neighbours(network):
    together = encode(network, images(), schedule())
    alone = [encode(network, images()[index : index + 1], schedule()) for index in range(3)]
    torch.testing.assert_close(together.noise, torch.cat([each.noise for each in alone]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.semantic, torch.cat([each.semantic for each in alone]), atol=1e-5, rtol=1e-5)


def test_another_code_gives_another_image_and_gradients_reach_the_code(network):
    codes = Codes(torch.zeros(2, 24), images(2))
    moved = Codes(codes.semantic + 1, codes.noise)
    assert (decode(network, codes, schedule()) - decode(network, moved, schedule())).abs().max() > 1e-3
    semantic = torch.zeros(2, 24, requires_grad=True)
    conditioned(network, semantic, schedule())(images(2), 2).clean.sum().backward()
    assert semantic.grad.abs().sum() > 0
