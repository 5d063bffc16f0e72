"""Several cameras as one picture, put together in latent space: no code straddles two views.

Pixel coordinates are continuous, pixel (0, 0) covering [0, 1) x [0, 1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from aim_policy.config import unknown_name
from aim_policy.model.config import ModelConfig, ViewConfig


class Canvas:
    """The layout of `ModelConfig.views`: latents in and out, and the geometry both ways."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.views = {view.camera: view for view in config.views}

    def compose(self, latents: dict[str, Tensor]) -> Tensor:
        """Put views together: camera -> float[..., h, w] becomes float[..., rows, columns]."""
        first = next(iter(latents.values()))
        canvas = first.new_empty(*first.shape[:-2], self.config.rows, self.config.columns)
        for camera, view in self.views.items():
            canvas[(..., *self._window(view))] = latents[camera]
        return canvas

    def split(self, canvas: Tensor) -> dict[str, Tensor]:
        """Take views apart: the inverse of `compose`."""
        return {name: canvas[(..., *self._window(view))] for name, view in self.views.items()}

    def cell_at(
        self, camera: str, u: float, v: float, image_size: tuple[int, int]
    ) -> tuple[int, int]:
        """Return the canvas cell (row, column) under a point of a camera image.

        Args:
            camera: its name.
            u: column coordinate, in [0, width).
            v: row coordinate, in [0, height).
            image_size: (width, height) of the camera image, px.
        """
        view, (width, height) = self._view(camera), image_size
        if not (0 <= u < width and 0 <= v < height):
            raise ValueError(f'{camera}: point ({u}, {v}) is outside of its {width}x{height} px')
        cell = self.config.cell_px
        row = view.row + int(v * view.height / height // cell)
        return row, view.column + int(u * view.width / width // cell)

    def pixel_at(
        self, row: int, column: int, image_size: tuple[int, int]
    ) -> tuple[str, float, float]:
        """Return the camera that a canvas cell shows, and the cell's centre (u, v) in it."""
        view, (width, height) = self._view_at(row, column), image_size
        cell = self.config.cell_px
        u = (column - view.column + 0.5) * cell * width / view.width
        v = (row - view.row + 0.5) * cell * height / view.height
        return view.camera, u, v

    def token_coordinates(self) -> Tensor:
        """Where each token of a frame lies.

        Returns:
            float[N, 2 + V]: (x, y) of its centre in its own view, in [-1, 1], and which view.
        """
        patch, result = self.config.patch, []
        for row in range(0, self.config.rows, patch):
            for column in range(0, self.config.columns, patch):
                view = self._view_at(row, column)
                _, u, v = self.pixel_at(row, column, (2, 2))
                to_centre = (patch - 1) * self.config.cell_px
                x = u - 1 + to_centre / view.width
                y = v - 1 + to_centre / view.height
                result.append([x, y, *(float(other == view) for other in self.config.views)])
        return torch.tensor(result)

    def _window(self, view: ViewConfig) -> tuple[slice, slice]:
        height, width = view.height // self.config.cell_px, view.width // self.config.cell_px
        return slice(view.row, view.row + height), slice(view.column, view.column + width)

    def _view(self, camera: str) -> ViewConfig:
        if camera not in self.views:
            raise unknown_name('camera', camera, self.views)
        return self.views[camera]

    def _view_at(self, row: int, column: int) -> ViewConfig:
        for view in self.views.values():
            if (row, column) in self.config.cells(view):
                return view
        size = f'{self.config.rows}x{self.config.columns}'
        raise ValueError(f'canvas cell ({row}, {column}) is outside of {size}')
