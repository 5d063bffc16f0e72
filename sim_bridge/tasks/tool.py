"""Tasks that use one object on another."""

from __future__ import annotations

import numpy as np
import sapien

from sim_bridge.arms import Approach, Carry
from sim_bridge.expert import Expert
from sim_bridge.objects import Box, cylinder
from sim_bridge.tasks.base import UPRIGHT, Task, upright

PLACE = 0.0, -0.06  # of the handle on the table
STANDING_M = 0.041  # height of the handle of a hammer that stands on its face
CARRIED_M = STANDING_M + 0.07
STRIKE_FUNNEL_M = 0.010
WOOD, IRON, RED = (0.62, 0.40, 0.20), (0.20, 0.21, 0.24), (0.85, 0.10, 0.10)
ALONG_X = np.array([1.0, 0.0, 0.0])
HANDLE_ALONG_Y = sapien.Pose(q=[0.5**0.5, 0.5**0.5, 0, 0])  # z of a lathe -> -y


class BeatBlockHammer(Task):
    """Grasp the hammer by its handle and touch the block's top with its face."""

    pressed = ('block',)

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; the hammer stands on its face at RoboTwin's fixed place."""
        while True:
            x, y = rng.uniform(-0.25, 0.25), rng.uniform(-0.05, 0.15)
            if abs(x) >= 0.05 and x * x + y * y >= 0.001:
                break
        yaw = float(rng.uniform(-0.5, 0.5))
        half = 0.025
        self.block = self.world.add(
            'block',
            (Box((half, half, half), RED),),
            upright(float(x), float(y), self.world.table_z_m + half, yaw),
            {'top': sapien.Pose([0, 0, half])},
        )
        self.hammer = self.world.add(
            'hammer',
            hammer_parts(),
            sapien.Pose([*PLACE, self.world.table_z_m + STANDING_M]),
            {'handle': sapien.Pose(), 'face': sapien.Pose([0, 0.072, -0.04])},
            mass_kg=0.1,
        )

    def success(self) -> bool:
        """The face is above the block's top and hammer and block touch."""
        offset = np.abs(self.hammer.position('face') - self.block.position('top'))
        if offset[0] >= 0.02 or offset[1] >= 0.02:
            return False
        return len(self.world.between([self.hammer.body], self.block)) > 0

    def words(self) -> dict[str, str]:
        """See `Task`."""
        return {'A': 'hammer', 'B': 'block/red'}

    def expert(self, expert: Expert) -> None:
        """Take the handle if it is not held, carry the face above the block, strike.

        The arm on the other side cannot carry it there: what that one holds it puts down first.
        """
        arm = self.side(self.block.pose.p[0])
        (other,) = {'left', 'right'} - {arm}
        if expert.holds(other, self.hammer):
            self._put_down(expert, other)
        top = self.block.position('top')
        above = Carry(self.hammer, 'face', top + [0, 0, 0.05])
        strike = Carry(self.hammer, 'face', top - [0, 0, 0.006])
        if not expert.holds(arm, self.hammer):
            self._take(expert, arm, (above, strike))

        def way() -> Approach:  # the hammer turns a little in the hand
            return Approach(expert.carry(arm, above), expert.carry(arm, strike))

        if not expert.is_on(arm, way(), STRIKE_FUNNEL_M):
            expert.raise_point(arm, self.hammer, 'handle', self.world.table_z_m + CARRIED_M)
        expert.stray_with(arm, way().before)
        expert.touch(arm, way(), STRIKE_FUNNEL_M)

    def _put_down(self, expert: Expert, arm: str) -> None:
        stand = np.array([*PLACE, self.world.table_z_m + STANDING_M])
        expert.place(arm, Carry(self.hammer, 'handle', stand, UPRIGHT), lift_m=CARRIED_M)
        expert.withdraw(arm)
        expert.home(arm)

    def _take(self, expert: Expert, arm: str, then: tuple[Carry, Carry]) -> None:
        handle = self.hammer.position('handle')
        across = self.hammer.pose.to_transformation_matrix()[:3, :3] @ ALONG_X
        way = expert.approach(arm, handle, 0.08, closings=[across], then=then)
        expert.pick(arm, way, opening=0.45)  # wide open, a finger would land on a near block


def hammer_parts() -> tuple:
    """Return a hammer around its grasp point: iron head, face down, wooden handle along y."""
    return (
        Box((0.018, 0.018, 0.026), IRON, at=sapien.Pose([0, 0.072, -0.014]), density=7000.0),
        cylinder(
            0.010, 0.16, WOOD, at=sapien.Pose([0, 0.072, 0.0]) * HANDLE_ALONG_Y, density=600.0
        ),
    )
