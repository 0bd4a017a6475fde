"""The same weights in diffusers: lossless conversion between our U-Net, which is the official one, and UNet2DModel.

Names are mapped block by block. Queries, keys and values are three layers in diffusers and one here, whose rows are
laid out head by head ("legacy") in all official checkpoints but one: a plain split of those gives images of garbage.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pipeline.diffusion.blocks import GROUPS
from pipeline.diffusion.unet import UNet
from pipeline.errors import UserError
from pipeline.unet_shape import Shape, whole

if TYPE_CHECKING:
    from diffusers import UNet2DModel

RESIDUAL = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb": "class_embedding",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
CONVERTIBLE = {
    "resnet_time_scale_shift": ("scale_shift",),
    "downsample_type": ("resnet",),
    "upsample_type": ("resnet",),
    "attn_norm_num_groups": (GROUPS,),
    "norm_num_groups": (GROUPS,),
    "norm_eps": (1e-5,),
    "act_fn": ("silu", "swish"),
    "time_embedding_type": ("positional",),
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "class_embed_type": (None,),
    "center_input_sample": (False,),
    "mid_block_type": ("UNetMidBlock2D",),
    "mid_block_scale_factor": (1,),
    "add_attention": (True,),
}
"""What the configuration of a UNet2DModel has to say for our U-Net to compute the same."""
UPWARDS = {"ResnetDownsampleBlock2D": "ResnetUpsampleBlock2D", "AttnDownBlock2D": "AttnUpBlock2D"}


def to_diffusers(network: UNet) -> "UNet2DModel":
    """The network as a UNet2DModel, to be called as model(images, timesteps[, class_labels]).sample.

    Raises UserError for what its files cannot say: the 512 pixel network, since UNet2DModel derives the time embedding
    from the first level, and a fixed number of heads at levels of several widths, such as those of 128 pixels.
    """
    shape = network.shape
    model = build_model(shape)
    model.load_state_dict(dict(converted(network.state_dict(), shape)))
    return model.eval()


def from_diffusers(model: "UNet2DModel", order: str = "legacy") -> UNet:
    """A UNet2DModel that `to_diffusers` or diffusers' own scripts made, as a U-Net with the official names.

    order: how the attention of the result is laid out; it computes the same either way.
    Raises UserError for every model that computes anything else than ours can, with the value that would do.
    """
    config = model.config
    check_config(config)
    widths, side = list(config["block_out_channels"]), config["sample_size"]
    attention = tuple(
        side // 2**level for level, kind in enumerate(config["down_block_types"]) if kind.startswith("Attn")
    )
    head_channels = config["attention_head_dim"]
    shape = Shape(
        side,
        widths[0],
        tuple(width / widths[0] for width in widths),
        blocks=config["layers_per_block"],
        attention=attention,
        head_channels=head_channels,
        heads=1 if head_channels is None else None,
        classes=config["num_class_embeds"],
        dropout=config["dropout"],
        in_channels=config["in_channels"],
        out_channels=config["out_channels"],
        order=order,
    )
    check_heads(model, shape)
    network = UNet(shape)
    network.load_state_dict(restored(model.state_dict(), network))
    return network.eval()


def check_config(config: Mapping[str, Any]) -> None:
    """Raises UserError for a configuration of UNet2DModel that is not that of a network of guided diffusion."""
    for key, values in CONVERTIBLE.items():
        if config[key] not in values:
            only = " or ".join(repr(value) for value in values)
            raise UserError(f"{key} of the diffusers model is {config[key]!r}; only those with {only} convert")
    if not isinstance(config["sample_size"], int):
        raise UserError(
            f"sample_size of the diffusers model is {config['sample_size']!r}; only those with one whole number"
            " convert, such as 256: it says which of its feature maps have attention"
        )
    embedded = 4 * config["block_out_channels"][0]
    if config["time_embedding_dim"] not in (None, embedded):
        raise UserError(
            f"time_embedding_dim of the diffusers model is {config['time_embedding_dim']!r}; only those with {embedded}"
            " convert, four times the first of block_out_channels"
        )
    down, up = list(config["down_block_types"]), list(config["up_block_types"])
    if not set(down) <= set(UPWARDS) or up != [UPWARDS[kind] for kind in reversed(down)]:
        raise UserError(
            f"the blocks of the diffusers model are {', '.join(down)} and up again {', '.join(up)}; only those with"
            " ResnetDownsampleBlock2D or AttnDownBlock2D at each level, and the same of Up on the way back, convert"
        )


def check_heads(model: "UNet2DModel", shape: Shape) -> None:
    """Raises UserError if the attention of the model does not have the heads that its shape tells."""
    for name, module in model.named_modules():
        if hasattr(module, "to_q"):
            width, inner = module.to_q.in_features, module.to_q.out_features
            if inner != width or module.heads != shape.heads_at(width):
                raise UserError(
                    f"{name} of the diffusers model makes of {width} channels {module.heads} heads with {inner} in all;"
                    " only those convert whose heads have attention_head_dim channels each, and together all"
                )


def head_width(shape: Shape) -> int | None:
    """The channels of every attention head; None for one head everywhere. UserError if it takes more to tell."""
    widths = whole(shape.multipliers, shape.channels)
    sides = [shape.size // 2**level for level in range(len(widths))]
    attending = {width for width, side in zip(widths, sides, strict=True) if side in shape.attention} | {widths[-1]}
    head_widths = sorted({width // shape.heads_at(width) for width in attending})
    if len(head_widths) == 1:
        return head_widths[0]
    if all(shape.heads_at(width) == 1 for width in attending):
        return None
    raise UserError(
        f"the attention heads have {' and '.join(map(str, head_widths))} channels at different levels, and UNet2DModel"
        " keeps one number for all in its files: use the network as it is"
    )


def build_model(shape: Shape) -> "UNet2DModel":
    """A UNet2DModel of that shape with fresh weights."""
    from diffusers import UNet2DModel

    widths = whole(shape.multipliers, shape.channels)
    if widths[0] != shape.channels:
        raise UserError(
            f"the first level has {widths[0]} channels and the time embedding is made for {shape.channels};"
            " UNet2DModel cannot be told so: use the network as it is"
        )
    sides = [shape.size // 2**level for level in range(len(widths))]
    down = ["AttnDownBlock2D" if side in shape.attention else "ResnetDownsampleBlock2D" for side in sides]
    up = ["AttnUpBlock2D" if side in shape.attention else "ResnetUpsampleBlock2D" for side in reversed(sides)]
    return UNet2DModel(
        sample_size=shape.size,
        in_channels=shape.in_channels,
        out_channels=shape.out_channels,
        block_out_channels=widths,
        layers_per_block=shape.blocks,
        down_block_types=down,
        up_block_types=up,
        attention_head_dim=head_width(shape),
        attn_norm_num_groups=GROUPS,
        norm_num_groups=GROUPS,
        norm_eps=1e-5,
        resnet_time_scale_shift="scale_shift",
        downsample_type="resnet",
        upsample_type="resnet",
        num_class_embeds=shape.classes,
        dropout=shape.dropout,
        flip_sin_to_cos=True,
        freq_shift=0,
    )


def block_names(shape: Shape) -> Iterator[tuple[str, str, str]]:
    """(kind, name here, name in diffusers) of every residual and attention block."""
    levels = len(shape.multipliers)
    sides = [shape.size // 2**level for level in range(levels)]
    entry = 1
    for level, side in enumerate(sides):
        for index in range(shape.blocks):
            yield "residual", f"input_blocks.{entry}.0", f"down_blocks.{level}.resnets.{index}"
            if side in shape.attention:
                yield "attention", f"input_blocks.{entry}.1", f"down_blocks.{level}.attentions.{index}"
            entry += 1
        if level < levels - 1:
            yield "residual", f"input_blocks.{entry}.0", f"down_blocks.{level}.downsamplers.0"
            entry += 1
    yield "residual", "middle_block.0", "mid_block.resnets.0"
    yield "attention", "middle_block.1", "mid_block.attentions.0"
    yield "residual", "middle_block.2", "mid_block.resnets.1"
    entry = 0
    for level, side in enumerate(reversed(sides)):
        for index in range(shape.blocks + 1):
            yield "residual", f"output_blocks.{entry}.0", f"up_blocks.{level}.resnets.{index}"
            if side in shape.attention:
                yield "attention", f"output_blocks.{entry}.1", f"up_blocks.{level}.attentions.{index}"
            if level < levels - 1 and index == shape.blocks:
                last = 2 if side in shape.attention else 1
                yield "residual", f"output_blocks.{entry}.{last}", f"up_blocks.{level}.upsamplers.0"
            entry += 1


def converted(state: dict[str, Tensor], shape: Shape) -> Iterator[tuple[str, Tensor]]:
    """The state under the names of diffusers."""
    for ours, theirs in ENDS.items():
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in state:
                yield f"{theirs}.{kind}", state[f"{ours}.{kind}"]
    for kind, ours, theirs in block_names(shape):
        for parameter in ("weight", "bias"):
            if kind == "residual":
                for layer, other in RESIDUAL.items():
                    if f"{ours}.{layer}.{parameter}" in state:
                        yield f"{theirs}.{other}.{parameter}", state[f"{ours}.{layer}.{parameter}"]
                continue
            yield f"{theirs}.group_norm.{parameter}", state[f"{ours}.norm.{parameter}"]
            packed = state[f"{ours}.qkv.{parameter}"]
            parts = split_packed(packed, shape.heads_at(len(packed) // 3), shape.order)
            for layer, part in zip(("to_q", "to_k", "to_v"), parts, strict=True):
                yield f"{theirs}.{layer}.{parameter}", part.flatten(1) if part.dim() > 1 else part
            projected = state[f"{ours}.proj_out.{parameter}"]
            yield f"{theirs}.to_out.0.{parameter}", projected.flatten(1) if projected.dim() > 1 else projected


def restored(theirs: dict[str, Tensor], network: UNet) -> dict[str, Tensor]:
    """The state of diffusers under our names."""
    shape, wanted = network.shape, network.state_dict()
    state = {}
    for ours, other in ENDS.items():
        for parameter in ("weight", "bias"):
            if f"{ours}.{parameter}" in wanted:
                state[f"{ours}.{parameter}"] = theirs[f"{other}.{parameter}"]
    for kind, ours, other in block_names(shape):
        for parameter in ("weight", "bias"):
            if kind == "residual":
                for layer, name in RESIDUAL.items():
                    if f"{ours}.{layer}.{parameter}" in wanted:
                        state[f"{ours}.{layer}.{parameter}"] = theirs[f"{other}.{name}.{parameter}"]
                continue
            state[f"{ours}.norm.{parameter}"] = theirs[f"{other}.group_norm.{parameter}"]
            parts = [theirs[f"{other}.{layer}.{parameter}"] for layer in ("to_q", "to_k", "to_v")]
            packed = join_packed(parts, shape.heads_at(len(parts[0])), shape.order)
            state[f"{ours}.qkv.{parameter}"] = packed.view_as(wanted[f"{ours}.qkv.{parameter}"])
            projected = theirs[f"{other}.to_out.0.{parameter}"]
            state[f"{ours}.proj_out.{parameter}"] = projected.view_as(wanted[f"{ours}.proj_out.{parameter}"])
    return state


def split_packed(packed: Tensor, heads: int, order: str) -> list[Tensor]:
    """Queries, keys and values (C, ...) of a packed layer (3C, ...)."""
    if order == "new":
        return list(packed.chunk(3))
    by_head = packed.unflatten(0, (heads, 3, -1))
    return [by_head[:, part].flatten(0, 1) for part in range(3)]


def join_packed(parts: list[Tensor], heads: int, order: str) -> Tensor:
    """The packed layer (3C, ...) of queries, keys and values (C, ...)."""
    if order == "new":
        return torch.cat(parts)
    return torch.stack([part.unflatten(0, (heads, -1)) for part in parts], dim=1).flatten(0, 2)
