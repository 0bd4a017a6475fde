"""What decides the parameters of a diffusion autoencoder, and the published ones. Needs no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.errors import UserError
from pipeline.unet_shape import whole

ATTENTION = 16  # side of the feature maps with attention in the published networks


@dataclass(frozen=True)
class AutoencoderShape:
    """What decides the parameters of a network (Preechakul et al. 2022).

    size: side of its images in pixels. channels: of the first level. multipliers, encoder_multipliers: by level of the
    U-Net and of the semantic encoder, each half the side of the one before. blocks: residual blocks of a level.
    attention: sides of the feature maps with attention, of one head. semantic: length of the semantic code.
    """

    size: int
    channels: int
    multipliers: tuple[float, ...]
    encoder_multipliers: tuple[float, ...]
    blocks: int = 2
    attention: tuple[int, ...] = (ATTENTION,)
    semantic: int = 512
    in_channels: int = 3
    dropout: float = 0.1

    def __post_init__(self) -> None:
        halvings = len(self.multipliers) - 1
        if self.size < 2**halvings or self.size % 2**halvings:
            near = max(1, self.size // 2**halvings) * 2**halvings
            raise UserError(
                f"size is {self.size} with {halvings + 1} levels; use a size that can be halved {halvings} times,"
                f" such as {near}"
            )
        if self.size < 2 ** (len(self.encoder_multipliers) - 1):
            raise UserError(
                f"size is {self.size} and encoder_multipliers has {len(self.encoder_multipliers)} levels; use fewer"
            )
        narrow = [width for width in (*self.widths, *self.encoder_widths) if width % 32]
        if narrow:
            raise UserError(
                f"channels {self.channels} times a multiplier gives {narrow[0]}; every level needs a multiple of 32,"
                " such as channels: 32 with multipliers: [1, 2, 3]"
            )

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "AutoencoderShape":
        """The shape of fields as JSON holds them."""
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()})

    def to_options(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @property
    def widths(self) -> list[int]:
        """Channels of each level of the U-Net."""
        return whole(self.multipliers, self.channels)

    @property
    def encoder_widths(self) -> list[int]:
        """Channels of each level of the semantic encoder."""
        return whole(self.encoder_multipliers, self.channels)


def inferred_shape(sizes: Mapping[str, Sequence[int]], size: int | None = None) -> AutoencoderShape:
    """The shape of a network from the names and sizes of its weights.

    sizes: name -> size of each tensor, as in a state dict. size: side of the images; where a level has attention the
    weights tell it. Raises UserError for weights of another network, and where the size is not known.
    """
    try:
        return _inferred_shape(sizes, size)
    except (KeyError, ZeroDivisionError) as error:
        raise UserError(
            "these are not the weights of a diffusion autoencoder (there is no"
            f" {error.args[0] if isinstance(error, KeyError) else 'output_blocks'}); give those of the official code"
        ) from error


def _inferred_shape(sizes: Mapping[str, Sequence[int]], size: int | None) -> AutoencoderShape:
    channels = sizes["time_embed.time_embed.0.weight"][1]
    ups = [name for name in sizes if name.startswith("output_blocks.") and name.endswith("in_layers.2.weight")]
    levels = 1 + sum(name.split(".")[2] != "0" for name in ups)
    entries = count(sizes, "input_blocks.")
    blocks = entries // levels - 1
    attended = sorted(
        {int(name.split(".")[1]) for name in sizes if name.startswith("input_blocks.") and ".qkv." in name}
    )
    sides = {2 ** ((entry - 1) // (blocks + 1)) for entry in attended}
    if size is None and not sides:
        raise UserError(
            "the weights do not tell the size of the images, as no level has attention; give `size`, such as 224"
        )
    size = size or ATTENTION * max(sides)
    return AutoencoderShape(
        size,
        channels,
        multipliers(sizes, "input_blocks.", levels, blocks, channels),
        multipliers(
            sizes, "encoder.input_blocks.", count(sizes, "encoder.input_blocks.") // (blocks + 1), blocks, channels
        ),
        blocks,
        tuple(sorted((size // side for side in sides), reverse=True)) or (ATTENTION,),
        sizes["encoder.out.3.weight"][0],
        sizes["input_blocks.0.0.weight"][1],
    )


def count(sizes: Mapping[str, Any], prefix: str) -> int:
    """The number of entries of a list of blocks; one more, as the last level has no entry that halves."""
    return 1 + max(int(name.removeprefix(prefix).split(".")[0]) for name in sizes if name.startswith(prefix))


def multipliers(
    sizes: Mapping[str, Sequence[int]], prefix: str, levels: int, blocks: int, channels: int
) -> tuple[float, ...]:
    """Channels of the first residual block of each level, in units of `channels`."""
    found = [sizes[f"{prefix}{1 + level * (blocks + 1)}.0.in_layers.2.weight"][0] / channels for level in range(levels)]
    return tuple(int(each) if each == int(each) else each for each in found)


FACES_64 = AutoencoderShape(64, 64, (1, 2, 4, 8), (1, 2, 4, 8, 8))
FACES_128 = AutoencoderShape(128, 128, (1, 1, 2, 3, 4), (1, 1, 2, 3, 4, 4))
FACES_256 = AutoencoderShape(256, 128, (1, 1, 2, 2, 4, 4), (1, 1, 2, 2, 4, 4, 4))
AUTOENCODERS = {
    "ffhq-64": FACES_64,
    "celeba-64": FACES_64,
    "ffhq-128": FACES_128,
    "celeba-128": FACES_128,
    "ffhq-256": FACES_256,
    "chexpert-224": AutoencoderShape(224, 128, (1, 1, 2, 2, 4, 4), (1, 1, 2, 2, 4, 4, 4), in_channels=1),
}
"""The published networks: FFHQ and CelebA (Preechakul et al. 2022), CelebA and CheXpert (Sobieski & Biecek 2024)."""
