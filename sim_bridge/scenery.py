"""What a scene looks like apart from its task: table height, surfaces, lights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
from sapien import render

from aim_policy.interface import Image, Vector
from sim_bridge.backend import FIRST_EVALUATION_SEED
from sim_bridge.objects import Box
from sim_bridge.textures import SEEN, UNSEEN

WHITE, ROSE = (1.0, 1.0, 1.0), (1.0, 0.9, 0.9)
PLAIN_SHARE = 0.02  # of surfaces without a pattern and of tables without clutter
FLICKER_SHARE = 0.02  # of scenes with light at all
LOWEST_TABLE_M = -0.03
TILE_M = 0.6  # a picture covers this much of a surface, then it is repeated

Light = tuple[float, float, float]
Stream = Callable[[str], np.random.Generator]


@dataclass(frozen=True)
class Scenery:
    """The look of one scene; the defaults are RoboTwin's clean one.

    Attributes:
        table_bias_m: how much higher the table is than usual.
        table, wall: colours, RGB in [0, 1].
        table_picture, wall_picture: what covers them instead of a colour.
        ambient: light from everywhere, RGB.
        lights: RGB of the sun and of the two lamps.
        flicker: draws new colours for all light before each picture.
    """

    table_bias_m: float = 0.0
    table: tuple[float, float, float] = WHITE
    wall: tuple[float, float, float] = ROSE
    table_picture: Image | None = None
    wall_picture: Image | None = None
    ambient: Light = (0.5, 0.5, 0.5)
    lights: tuple[Light, Light, Light] = ((0.5, 0.5, 0.5), WHITE, WHITE)
    flicker: np.random.Generator | None = None


PLAIN = Scenery()


def draw_scenery(switches: Collection[str], stream: Stream, seed: int) -> Scenery:
    """Draw what RoboTwin randomises, as far as it is switched on.

    Args:
        switches: the switches of a setting.
        stream: name of a concern -> its own generator.
        seed: of the scene; decides between the textures of training and of evaluation.
    """
    scenery = PLAIN
    if 'background' in switches:
        rng = stream('background')
        pictures = SEEN if seed < FIRST_EVALUATION_SEED else UNSEEN
        table, wall = (
            pictures.draw(rng) if rng.random() >= PLAIN_SHARE else None for _ in range(2)
        )
        scenery = replace(scenery, table_picture=table, wall_picture=wall)
    if 'light' in switches:
        rng = stream('light')
        flicker = stream('flicker') if rng.random() < FLICKER_SHARE else None
        scenery = replace(scenery, lights=draw_lights(rng), flicker=flicker)
    if 'table_height' in switches:
        bias = float(stream('table_height').uniform(LOWEST_TABLE_M, 0.0))
        scenery = replace(scenery, table_bias_m=bias)
    return scenery


def draw_lights(rng: np.random.Generator) -> tuple[Light, Light, Light]:
    """Draw a colour for the sun and each lamp."""
    sun, first, second = (tuple(colour) for colour in rng.uniform(0, 1, (3, 3)).tolist())
    return sun, first, second


@dataclass(frozen=True)
class PicturedBox(Box):
    """A box with a picture on each of its sides, repeated every `TILE_M`."""

    picture: Image | None = None

    def visual(self) -> render.RenderShape:
        """Return what is seen."""
        if self.picture is None:
            return super().visual()
        corners, normals, places = zip(*self._faces(), strict=True)
        first = 4 * np.arange(len(corners))[:, None]
        triangles = np.concatenate([first + (0, 1, 2), first + (0, 2, 3)])
        return render.RenderShapeTriangleMesh(
            np.concatenate(corners).astype(np.float32),
            triangles.astype(np.uint32),
            np.concatenate(normals).astype(np.float32),
            np.concatenate(places).astype(np.float32),
            picture_material(self.picture),
        )

    def _faces(self) -> Iterator[tuple[Vector, Vector, Vector]]:
        """Yield each side's corners and normals, float64[4, 3], and places in the picture."""
        for axis in range(3):
            across = [other for other in range(3) if other != axis]
            for sign in (-1, 1):
                face: Vector = np.empty((4, 3))
                face[:, axis] = sign
                face[:, across] = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
                turn = sign * (-1 if axis == 1 else 1)  # counter-clockwise seen from outside
                face = face[::turn] * self.half_size
                yield face, np.tile(sign * np.eye(3)[axis], (4, 1)), face[:, across] / TILE_M


def picture_material(picture: Image) -> render.RenderMaterial:
    """Return a material of a picture, uint8[H, W, 3] RGB, as shiny as RoboTwin's."""
    opaque = np.full((*picture.shape[:2], 1), 255, np.uint8)
    material = render.RenderMaterial()
    material.base_color_texture = render.RenderTexture2D(
        np.concatenate([picture, opaque], axis=2), 'R8G8B8A8Unorm', mipmap_levels=6, srgb=True
    )
    material.roughness, material.metallic = 0.3, 0.1
    return material
