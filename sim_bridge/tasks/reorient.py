"""Tasks that turn an object the right way up."""

from __future__ import annotations

import numpy as np
import sapien

from sim_bridge.arms import YAWS, Carry
from sim_bridge.expert import Expert
from sim_bridge.motion import turned
from sim_bridge.objects import HULL_SEGMENTS, Colour, Lathe, Part, cylinder
from sim_bridge.tasks.base import Task

LYING = sapien.Pose(q=[0.5**0.5, 0, 0.5**0.5, 0])  # z -> x, x -> down
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
FACING_AWAY = tuple(
    np.pi / 2 + yaw for yaw in YAWS
)  # turns that point the hand away from the robot
WHITE, DARK = (0.93, 0.93, 0.90), (0.12, 0.12, 0.14)
COLOURS = {'blue': (0.10, 0.32, 0.78), 'green': (0.08, 0.45, 0.20), 'orange': (0.90, 0.42, 0.08)}
BOTTLES = (  # radius, height, where the shoulder begins and ends, radius of the neck
    (0.033, 0.248, 0.150, 0.205, 0.013),
    (0.030, 0.255, 0.165, 0.190, 0.012),
)
HOLD_M = 0.10  # height of the grasp on the standing bottle
LIFT_M = 0.11  # above the table before it is turned


class AdjustBottle(Task):
    """Pick up a lying bottle and hold it with its head up."""

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; sampling range of RoboTwin's adjust_bottle."""
        self.arm = ('left', 'right')[rng.integers(2)]
        sign = 1.0 if self.arm == 'right' else -1.0
        x, y = sign * rng.uniform(0.08, 0.12), rng.uniform(-0.13, -0.08)
        yaw = rng.uniform(-0.4, 0.4) + (np.pi if self.arm == 'right' else 0.0)
        shape = BOTTLES[rng.integers(len(BOTTLES))]
        self.colour = tuple(COLOURS)[rng.integers(len(COLOURS))]
        axis = shape[0] * np.cos(np.pi / HULL_SEGMENTS)
        start = sapien.Pose([x, y, self.world.table_z_m + axis])
        self.bottle = self.world.add(
            'bottle',
            bottle_parts(*shape, COLOURS[self.colour]),
            start * turned(yaw) * LYING,
            {'body': sapien.Pose([0, 0, HOLD_M]), 'middle': sapien.Pose([0, 0, shape[1] / 2])},
            mass_kg=0.01,
        )

    def success(self) -> bool:
        """The middle of the bottle is high up and well on the arm's side."""
        x, _, z = self.bottle.position('middle')
        return bool(z > 0.9) and (x > 0.15 if self.arm == 'right' else x < -0.15)

    def words(self) -> dict[str, str]:
        """See `Task`."""
        return {'A': f'bottle/{self.colour}', 'a': self.arm}

    def expert(self, expert: Expert) -> None:
        """Grasp around the body from above, carry to the side and stand it up on the way."""
        frame = self.bottle.pose.to_transformation_matrix()
        sign = 1.0 if self.arm == 'right' else -1.0
        goal = np.array([sign * 0.2, -0.02, 0.95])
        up = Carry(self.bottle, 'middle', goal, UPRIGHT, FACING_AWAY)
        if not expert.holds(self.arm, self.bottle):
            body = self.bottle.position('body')
            way = expert.approach(self.arm, body, 0.08, closings=[frame[:3, 1]], then=(up,))
            expert.pick(self.arm, way)
        expert.raise_point(self.arm, self.bottle, 'body', self.world.table_z_m + LIFT_M)
        expert.reach({self.arm: expert.carry(self.arm, up)})


def bottle_parts(
    radius: float, height: float, shoulder: float, throat: float, neck: float, colour: Colour
) -> tuple[Part, ...]:
    """Return a bottle with a label and a cap; a facet of its body is towards +x."""
    facet = turned(np.pi / HULL_SEGMENTS)
    cap = 0.022
    body = ((radius - 0.005, 0.0), (radius, 0.006), (radius, shoulder), (neck, throat))
    label = Lathe(
        ((radius + 0.0004, 0.045), (radius + 0.0004, 0.115)), WHITE, at=facet, collides=False
    )
    return (
        Lathe(body, colour, at=facet),
        label,
        cylinder(neck, height - cap - throat, colour, at=sapien.Pose([0, 0, throat]) * facet),
        cylinder(neck + 0.003, cap, DARK, at=sapien.Pose([0, 0, height - cap]) * facet),
    )
