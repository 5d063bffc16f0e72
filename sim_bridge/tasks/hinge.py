"""Tasks that turn something on a hinge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sapien

from sim_bridge.articulated import Hinge, build_hinged
from sim_bridge.expert import Expert
from sim_bridge.objects import Box, Part, cylinder
from sim_bridge.tasks.base import Task, upright

WHITE, DARK, STEEL = (0.93, 0.93, 0.90), (0.13, 0.13, 0.15), (0.55, 0.57, 0.60)
TILTS_DEG = (20.0, 33.0, 45.0, 10.0, 56.0, 67.0, 0.0)
PUSHED_RAD = 0.05  # this far from its end the switch counts as turned
AXIS = sapien.Pose([0, -0.003, 0], [0, 0, 0, 1])  # x of the joint points to -x: the top goes in


@dataclass(frozen=True)
class SwitchShape:
    """One kind of switch; lengths in metres.

    Attributes:
        width, height, depth: of the housing.
        plate: half width and half height of what is pushed.
        upper_rad: how far it turns.
        colours: of the housing and of the plate.
        paddle: hinged at its lower edge instead of its middle.
    """

    width: float
    height: float
    depth: float
    plate: tuple[float, float]
    upper_rad: float
    colours: tuple[tuple, tuple]
    paddle: bool = False


RED, GREEN, BLUE, BLACK, ORANGE = (
    (0.80, 0.10, 0.10),
    (0.12, 0.55, 0.25),
    (0.12, 0.30, 0.75),
    (0.20, 0.20, 0.22),
    (0.92, 0.48, 0.08),
)
SWITCHES = (
    SwitchShape(0.086, 0.120, 0.030, (0.026, 0.036), 0.40, (WHITE, RED)),
    SwitchShape(0.121, 0.120, 0.015, (0.036, 0.040), 0.30, (WHITE, BLACK)),
    SwitchShape(0.090, 0.129, 0.060, (0.024, 0.038), 0.576, (BLACK, RED)),
    SwitchShape(0.110, 0.110, 0.040, (0.032, 0.034), 0.35, (STEEL, GREEN)),
    SwitchShape(0.100, 0.104, 0.135, (0.028, 0.032), 0.45, (BLACK, ORANGE)),
    SwitchShape(0.086, 0.125, 0.020, (0.030, 0.040), 0.12, (WHITE, BLUE), paddle=True),
    SwitchShape(0.115, 0.125, 0.050, (0.034, 0.038), 0.20, (STEEL, BLUE), paddle=True),
    SwitchShape(0.095, 0.120, 0.035, (0.028, 0.036), 0.26, (BLACK, GREEN), paddle=True),
)


class TurnSwitch(Task):
    """Push the raised half of a switch in."""

    pressed = ('switch',)

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; the switch faces the robot, turned by up to 45 degrees."""
        self.shape = SWITCHES[rng.integers(len(SWITCHES))]
        x, y, above = rng.uniform((-0.25, 0.0, 0.07), (0.25, 0.1, 0.10))
        self.yaw = float(rng.uniform(-np.pi / 4, np.pi / 4))
        self.switch = build_hinged(
            self.world.scene,
            'switch',
            housing_parts(self.shape, float(above)),
            plate_parts(self.shape),
            Hinge(hinge_axis(self.shape), (0.0, self.shape.upper_rad)),
            upright(float(x), float(y), self.world.table_z_m + float(above), self.yaw),
            {'push': push_point(self.shape)},
        )
        self.world.adopt(self.switch.thing)

    def success(self) -> bool:
        """The hinge is near its upper limit."""
        return self.switch.angle >= self.shape.upper_rad - PUSHED_RAD

    def words(self) -> dict[str, str]:
        """See `Task`."""
        return {'A': 'switch', 'a': self.arm}

    def keep_clear(self) -> list[tuple[float, float, float]]:
        """Also keep clear where the arm comes from."""
        x, y = self.switch.thing.pose.p[:2]
        front = np.array([np.sin(self.yaw), -np.cos(self.yaw)])
        return [
            (float(x + away * front[0]), float(y + away * front[1]), 0.12)
            for away in (-0.05, 0.05, 0.15)
        ]

    @property
    def arm(self) -> str:
        """The arm that the switch faces."""
        return 'right' if self.yaw > 0 else 'left'

    def expert(self, expert: Expert) -> None:
        """Close, come from the front, push to the end."""
        across = np.array([np.cos(self.yaw), np.sin(self.yaw), 0.0])
        inwards = np.array([-np.sin(self.yaw), np.cos(self.yaw), 0.0])
        end = self.switch.position_at('push', self.shape.upper_rad) + 0.004 * inwards
        expert.press(self.arm, end, depth_m=0.0, closings=[across], tilts_deg=TILTS_DEG)


def hinge_axis(shape: SwitchShape) -> sapien.Pose:
    """Return the axis: across the middle of the plate, or along its lower edge."""
    return sapien.Pose([0, AXIS.p[1], -shape.plate[1] if shape.paddle else 0.0], AXIS.q)


def plate_parts(shape: SwitchShape) -> tuple[Part, ...]:
    """Return what is pushed: a plate that leans out at the top, with a mark on its upper half."""
    wide, half = shape.plate
    lean = lean_of(shape)
    middle = half if shape.paddle else 0.0
    return (
        Box((wide, 0.006, half), shape.colours[1], at=lean * sapien.Pose([0, -0.006, middle])),
        Box(
            (0.002, 0.0005, 0.2 * half),
            WHITE,
            at=lean * sapien.Pose([0, -0.012, middle + 0.55 * half]),
            collides=False,
        ),
    )


def push_point(shape: SwitchShape) -> sapien.Pose:
    """Return the middle of the plate's upper half."""
    half = shape.plate[1]
    return lean_of(shape) * sapien.Pose([0, -0.012, (1.4 if shape.paddle else 0.5) * half])


def lean_of(shape: SwitchShape) -> sapien.Pose:
    """Return how the plate leans at the start: a paddle ends upright, a rocker as far inwards."""
    angle = shape.upper_rad * (1.0 if shape.paddle else 0.5)
    return sapien.Pose(q=[np.cos(angle / 2), np.sin(angle / 2), 0, 0])


def housing_parts(shape: SwitchShape, above_m: float) -> tuple[Part, ...]:
    """Return what stands fast: a box that faces -y, a bezel on it, a pole and a foot below."""
    half = shape.depth / 2
    wide, high = shape.plate
    bottom = shape.height / 2
    foot = max(0.05, shape.depth / 2 + 0.015)
    return (
        Box((shape.width / 2, half, bottom), shape.colours[0], at=sapien.Pose([0, half, 0])),
        Box((wide + 0.005, 0.001, high + 0.005), DARK, at=sapien.Pose(), collides=False),
        cylinder(0.012, above_m - bottom + 0.01, STEEL, at=sapien.Pose([0, half, -above_m])),
        cylinder(foot, 0.004, DARK, at=sapien.Pose([0, half, -above_m])),
    )
