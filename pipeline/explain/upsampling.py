"""A coarse grid spread over the pixels of an image, and sums over those pixels taken on the grid.

Spreading is linear and separable: two matrix products, whose backward pass is deterministic on a GPU, where that of
`interpolate` adds in random order.
"""

from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class Upsampling:
    """From a grid (..., h, w) to pixels (..., H, W).

    rows: (H, h), columns: (W, w): how each line of pixels mixes the lines of the grid.
    """

    rows: torch.Tensor
    columns: torch.Tensor

    def __call__(self, grid: torch.Tensor) -> torch.Tensor:
        """The grid (..., h, w) at the resolution of the pixels (..., H, W)."""
        return self.rows @ grid @ self.columns.T

    @property
    def is_identity(self) -> bool:
        """Whether the grid has one cell for each pixel."""
        return self.rows.shape[0] == self.rows.shape[1] and self.columns.shape[0] == self.columns.shape[1]

    @cached_property
    def area(self) -> torch.Tensor:
        """(h, w): the pixels that each cell stands for, so that (area * grid).sum() sums over all pixels."""
        return self.rows.sum(0)[:, None] * self.columns.sum(0)

    def total_variation(self, grid: torch.Tensor) -> torch.Tensor:
        """Sum (...) of the squared differences between neighbouring pixels of the spread grid (..., h, w).

        With U the spreading and D the differences along one side, |D U g V'|^2 = sum of g * (U'D'DU g V'V): the sum
        at full resolution is a quadratic form on the grid, and costs as much as the grid has cells.
        """
        (row_steps, row_products), (column_steps, column_products) = self._forms
        vertical = (grid * (row_steps @ grid @ column_products)).sum(dim=(-2, -1))
        horizontal = (grid * (row_products @ grid @ column_steps)).sum(dim=(-2, -1))
        return vertical + horizontal

    @cached_property
    def _forms(self) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
        """For each side U'D'DU and U'U."""
        forms = []
        for spread in (self.rows, self.columns):
            differences = spread.diff(dim=0)
            forms.append((differences.T @ differences, spread.T @ spread))
        return tuple(forms)


def bilinear(
    grid: tuple[int, int], pixels: tuple[int, int], like: torch.Tensor, align_corners: bool = False
) -> Upsampling:
    """Bilinear upsampling. align_corners: whether the centres of the cells in the corners lie on the pixels there.

    If not, the outer edges of cells and pixels coincide, and a cell lies over its own block of pixels.
    """
    return Upsampling(*(_bilinear_matrix(*sides, align_corners).to(like) for sides in zip(grid, pixels, strict=True)))


def nearest(grid: tuple[int, int], pixels: tuple[int, int], like: torch.Tensor) -> Upsampling:
    """Nearest-neighbour upsampling: every pixel takes the value of the cell that it lies in."""
    return Upsampling(*(_nearest_matrix(*sides).to(like) for sides in zip(grid, pixels, strict=True)))


def _bilinear_matrix(cells: int, pixels: int, align_corners: bool) -> torch.Tensor:
    spread = torch.nn.functional.interpolate(
        torch.eye(cells)[None, None], size=(pixels, cells), mode="bilinear", align_corners=align_corners
    )
    return spread[0, 0]


def _nearest_matrix(cells: int, pixels: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.arange(pixels) * cells // pixels, cells).float()
