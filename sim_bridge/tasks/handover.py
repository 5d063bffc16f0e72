"""Tasks in which one hand gives something to the other."""

from __future__ import annotations

import numpy as np
import sapien

from sim_bridge.arms import YAWS, Approach, Carry
from sim_bridge.expert import Expert
from sim_bridge.motion import gripper_rotation
from sim_bridge.objects import Box
from sim_bridge.tasks.base import OPEN, Task, upright

RED, BLUE = (0.85, 0.10, 0.10), (0.10, 0.25, 0.85)
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
BLOCK_HALF_M = (0.03, 0.03, 0.1)
PAD_HALF_M = (0.05, 0.05, 0.005)
GRASPS_M = {'low': 0.035, 'middle': 0.1, 'high': 0.17}  # above the block's base
LIFT_M = 0.05
EXCHANGE_M = np.array([0.0, 0.0, 0.9])
GIVING_RAD = np.pi / 4  # direction of the left hand at the exchange; the right comes across it
TILTS_DEG = (33.0, 20.0, 45.0, 10.0, 0.0)
BEFORE_M = 0.13  # a 6 cm block leaves 1.5 cm on each side of the fingers


class HandoverBlock(Task):
    """Left takes the block, right takes it over and stands it on the pad."""

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; sampling range of RoboTwin's handover_block."""
        table = self.world.table_z_m
        x, y = rng.uniform(-0.25, -0.05), rng.uniform(0.0, 0.25)
        yaw = np.pi / 8 + rng.uniform(-0.2, 0.2)
        self.block = self.world.add(
            'block',
            (Box(BLOCK_HALF_M, RED, at=sapien.Pose([0, 0, BLOCK_HALF_M[2]])),),
            upright(float(x), float(y), table, yaw),
            {'base': sapien.Pose()}
            | {name: sapien.Pose([0, 0, z]) for name, z in GRASPS_M.items()},
            mass_kg=0.01,
        )
        x, y = rng.uniform(0.1, 0.25), rng.uniform(0.15, 0.2)
        self.pad = self.world.add(
            'pad',
            (Box(PAD_HALF_M, BLUE, at=sapien.Pose([0, 0, PAD_HALF_M[2]])),),
            upright(float(x), float(y), table),
            {'top': sapien.Pose([0, 0, 2 * PAD_HALF_M[2]])},
        )

    def success(self) -> bool:
        """The block stands on the middle of the pad and the right gripper is open."""
        offset = np.abs(self.block.position('base') - self.pad.position('top'))
        return self.world.gripper_command('right') > OPEN and bool(
            (offset < (0.03, 0.03, 0.01)).all()
        )

    def words(self) -> dict[str, str]:
        """See `Task`."""
        return {'A': 'tall_block/red', 'B': 'pad/blue', 'a': 'left', 'b': 'right'}

    def expert(self, expert: Expert) -> None:
        """Left takes the foot of the block to the middle, right takes its head from there."""
        if not expert.holds('right', self.block):
            if not expert.holds('left', self.block):
                self._take(expert)
            self._hand_over(expert)
        expert.gripper(1.0, 'left')
        back = self.world.model.tcp('left') * sapien.Pose([-0.12, 0, 0])
        expert.place('right', self._onto_pad(), meanwhile={'left': back})

    def _take(self, expert: Expert) -> None:
        lifted = Carry(self.block, 'low', self.block.position('low') + [0, 0, LIFT_M], yaws=(0.0,))
        expert.pick('left', self._approach(expert, 'left', 'low', then=(lifted,)))

    def _hand_over(self, expert: Expert) -> None:
        there = self._exchange(expert.tcp('left'))
        expert.raise_point('left', self.block, 'base', self.world.table_z_m + LIFT_M)
        expert.reach({'left': expert.carry('left', there), 'right': self._waiting(expert)})
        expert.pick('right', self._approach(expert, 'right', 'high', then=(self._onto_pad(),)))

    def _waiting(self, expert: Expert) -> sapien.Pose:
        """Return where the right hand waits for the head of the block."""
        head = EXCHANGE_M + [0, 0, GRASPS_M['high'] - GRASPS_M['middle']]
        sides = list(gripper_rotation(GIVING_RAD, 0.0)[:, :2].T)
        way = expert.approach('right', head, BEFORE_M, closings=sides, tilts_deg=TILTS_DEG)
        return way.before

    def _approach(
        self, expert: Expert, arm: str, point: str, then: tuple[Carry, ...] = ()
    ) -> Approach:
        sides = list(self.block.pose.to_transformation_matrix()[:3, :2].T)
        point_m = self.block.position(point)
        return expert.approach(
            arm, point_m, BEFORE_M, closings=sides, tilts_deg=TILTS_DEG, then=then
        )

    def _exchange(self, hand: sapien.Pose) -> Carry:
        """Return the wish to have the block in the middle, the giving hand `GIVING_RAD` there."""
        turn = GIVING_RAD - _yaw(hand)
        return Carry(self.block, 'middle', EXCHANGE_M, UPRIGHT, (_yaw(self.block.pose) + turn,))

    def _onto_pad(self) -> Carry:
        """Return the wish to have the block stand on the pad, turned as little as possible."""
        yaws = tuple(_yaw(self.block.pose) + yaw for yaw in YAWS)
        return Carry(self.block, 'base', self.pad.position('top'), UPRIGHT, yaws)


def _yaw(pose: sapien.Pose) -> float:
    """Return where the x axis of a pose points, seen from above (rad)."""
    x, y, _ = pose.to_transformation_matrix()[:3, 0]
    return float(np.arctan2(y, x))
