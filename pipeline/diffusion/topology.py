"""How the blocks of a U-Net are strung together: down level by level, through the middle, and up again with skips.

residual: (channels in, channels out, resample) -> block, with resample "down", "up" or None. attend: channels -> block.
row: the container of the layers of one entry, which hands on what its blocks are told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

Residual = Callable[[int, int, str | None], nn.Module]
Attend = Callable[[int], nn.Module]


@dataclass(frozen=True)
class Levels:
    """widths: channels of each level, each half the side of the one before. blocks: residual blocks of a level.

    attention: sides of the feature maps with attention. residual, attend, row: see the module.
    """

    size: int
    widths: Sequence[int]
    blocks: int
    attention: Sequence[int]
    residual: Residual
    attend: Attend
    row: type[nn.Sequential]

    def descending(self, in_channels: int) -> tuple[nn.ModuleList, list[int]]:
        """The entries of the way down, the first a convolution of the images, and the channels that each gives."""
        channels, side = self.widths[0], self.size
        entries = [self.row(nn.Conv2d(in_channels, channels, 3, padding=1))]
        skipped = [channels]
        for level, width in enumerate(self.widths):
            for _ in range(self.blocks):
                entries.append(self.row(self.residual(channels, width, None), *self.attention_at(side, width)))
                channels = width
                skipped.append(channels)
            if level < len(self.widths) - 1:
                entries.append(self.row(self.residual(channels, channels, "down")))
                skipped.append(channels)
                side //= 2
        return nn.ModuleList(entries), skipped

    def middle(self) -> nn.Sequential:
        """Two blocks with attention between them, at the lowest level."""
        channels = self.widths[-1]
        return self.row(
            self.residual(channels, channels, None), self.attend(channels), self.residual(channels, channels, None)
        )

    def ascending(self, skipped: Sequence[int]) -> nn.ModuleList:
        """The entries of the way up; each takes its input beside the last feature map that is left of the way down."""
        left, channels = list(skipped), self.widths[-1]
        side = self.size // 2 ** (len(self.widths) - 1)
        entries = []
        for level, width in reversed(list(enumerate(self.widths))):
            for index in range(self.blocks + 1):
                layers = [self.residual(channels + left.pop(), width, None), *self.attention_at(side, width)]
                channels = width
                if level and index == self.blocks:
                    layers.append(self.residual(channels, channels, "up"))
                    side *= 2
                entries.append(self.row(*layers))
        return nn.ModuleList(entries)

    def attention_at(self, side: int, channels: int) -> list[nn.Module]:
        return [self.attend(channels)] if side in self.attention else []
