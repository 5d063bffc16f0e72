"""Tasks that press something with closed fingers."""

from __future__ import annotations

import numpy as np
import sapien

from sim_bridge.expert import Expert
from sim_bridge.objects import Lathe, cylinder
from sim_bridge.tasks.base import Task, sample_away, upright

CLOSED = 0.2  # RoboTwin calls a gripper closed when it is commanded below this
BELLS = (  # base radius, height; RoboTwin's ids 0 and 1
    (0.065, 0.068),
    (0.052, 0.053),
)
BRASS, STEEL, DARK = (0.80, 0.58, 0.16), (0.72, 0.74, 0.78), (0.12, 0.12, 0.14)


def bell_parts(radius: float, height: float, colour: tuple) -> tuple[Lathe, ...]:
    """Return a counter bell: dark foot, metal dome, a button on top at `height`."""
    dome = 0.82 * height
    angle = np.linspace(0.0, np.pi / 2, 9)[:-1]
    rise = dome - 0.2 * height
    profile = [(0.88 * radius * np.cos(a), 0.2 * height + rise * np.sin(a)) for a in angle]
    top = (0.012, dome)
    return (
        cylinder(radius, 0.2 * height, DARK),
        Lathe((*profile, top), colour, metallic=0.5),
        cylinder(0.011, height - dome, DARK, at=sapien.Pose([0, 0, dome])),
    )


class ClickBell(Task):
    """Press the bell's top."""

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; sampling range of RoboTwin's click_bell."""
        x = sample_away(rng, -0.25, 0.25, least=0.05)
        y = float(rng.uniform(-0.2, 0.0))
        radius, height = BELLS[rng.integers(len(BELLS))]
        colour = (BRASS, STEEL)[rng.integers(2)]
        self.bell = self.world.add(
            'bell',
            bell_parts(radius, height, colour),
            upright(x, y, self.world.table_z_m),
            {'top': sapien.Pose([0, 0, height])},
        )

    def success(self) -> bool:
        """The gripper on the bell's side is closed and a finger touches the top."""
        top = self.bell.position('top')
        if self.world.gripper_command(self.side(top[0])) >= CLOSED:
            return False
        for point in self.world.fingers_touch(self.bell):
            dx, dy, dz = np.abs(point - top)
            if dx < 0.025 and dy < 0.025 and dz < 0.03:
                return True
        return False

    def expert(self, expert: Expert) -> None:
        """Close, go above, press."""
        top = self.bell.position('top')
        arm = self.side(top[0])
        expert.gripper(arm, 0.0, steps=6)
        press = expert.approach(arm, top - [0, 0, 0.006], distance_m=0.08, tip=True)
        expert.reach(arm, press.before)
        expert.line(arm, press.at, speed=0.5)
        expert.line(arm, press.before)
