"""What a scene looks like apart from its task: table height, surfaces, lights."""

from __future__ import annotations

from dataclasses import dataclass

WHITE, ROSE = (1.0, 1.0, 1.0), (1.0, 0.9, 0.9)
Light = tuple[float, float, float]


@dataclass(frozen=True)
class Scenery:
    """The look of one scene; the defaults are RoboTwin's clean one.

    Attributes:
        table_bias_m: how much higher the table is than usual.
        table, wall: colours, RGB in [0, 1].
        ambient: light from everywhere, RGB.
        lights: RGB of the sun and of the two lamps.
    """

    table_bias_m: float = 0.0
    table: tuple[float, float, float] = WHITE
    wall: tuple[float, float, float] = ROSE
    ambient: Light = (0.5, 0.5, 0.5)
    lights: tuple[Light, Light, Light] = ((0.5, 0.5, 0.5), WHITE, WHITE)


PLAIN = Scenery()
