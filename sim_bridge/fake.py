"""A world in numpy: joints that are where they are told to be, pictures that show them.

For tests and for wiring up a system without SAPIEN. Its pictures hold a bar per joint and a mark
at the angle that joint 1 of one arm has to reach, which is every task of this world.
"""

from __future__ import annotations

import numpy as np

from aim_policy.interface import Image, Vector
from aim_policy.robot import RobotSpec
from sim_bridge.backend import (
    Episode,
    ExpertFailed,
    SimState,
    check_seed,
    check_setting,
    check_targets,
    ramp,
    wording_of,
)
from sim_bridge.tasks import task_entry

GOAL_TOLERANCE_RAD = 0.05
EXPERT_STEPS = 20


class FakeBackend:
    """See `sim_bridge.backend.SimBackend`."""

    def __init__(self, robot: RobotSpec) -> None:
        self.robot = robot
        self._position = robot.to_joints(robot.home)
        self._velocity = np.zeros_like(self._position)
        self._column, self._goal = 0, 0.0
        self._success = False
        self._ready = False

    def reset(self, task: str, seed: int, setting: str, wording: str = 'auto') -> Episode:
        """See `SimBackend`."""
        entry = task_entry(task)
        check_setting(setting)
        check_seed(seed)
        wording_of(setting, wording)
        rng = np.random.default_rng(seed)
        arm = self.robot.arms[rng.integers(len(self.robot.arms))]
        self._column = self.robot.columns(arm.name).start
        self._goal = float(rng.uniform(0.3, 0.8) * rng.choice([-1.0, 1.0]))
        self._position = self.robot.to_joints(self.robot.home)
        self._velocity = np.zeros_like(self._position)
        self._success, self._ready = False, True
        instruction = f'Bring joint 1 to the mark, which stands for {task}.'
        return Episode(task, setting, seed, instruction, entry.step_limit)

    def step(self, positions: Vector, velocities: Vector) -> None:
        """See `SimBackend`."""
        check_targets(positions, velocities, len(self.robot.joint_names))
        self._position, self._velocity = positions[-1].copy(), velocities[-1].copy()
        error = np.abs(positions[:, self._column] - self._goal)
        self._success = self._success or bool((error < GOAL_TOLERANCE_RAD).any())

    def render(self) -> dict[str, Image]:
        """See `SimBackend`."""
        share = np.clip((self._position / np.pi + 1) / 2, 0, 1)
        return {c.name: self._draw(c.height, c.width, share) for c in self.robot.cameras}

    def _draw(self, height: int, width: int, share: Vector) -> Image:
        image = np.full((height, width, 3), 200, np.uint8)
        edges = np.linspace(0, width, len(share) + 1).astype(int)
        for left, right, part in zip(edges[:-1], edges[1:], share, strict=True):
            image[height - round(part * height) :, left : right - 1] = (60, 60, 160)
        row = height - round((self._goal / np.pi + 1) / 2 * height)
        image[row - 1 : row + 2, edges[self._column] : edges[self._column + 1]] = (220, 40, 40)
        return image

    def state(self) -> SimState:
        """See `SimBackend`."""
        return SimState(self.robot.joint_names, self._position.copy(), self._velocity.copy())

    def success(self) -> bool:
        """See `SimBackend`."""
        return self._success

    def demonstrate(self) -> Vector:
        """See `SimBackend`."""
        if not self._ready:
            raise ExpertFailed('no episode: reset() comes first')
        start = self.robot.to_action(self._position)
        end = start.copy()
        end[self._column] = self._goal
        part = np.arange(1, EXPERT_STEPS + 1)[:, None] / EXPERT_STEPS
        actions = start + (end - start) * part
        for before, after in zip([start, *actions[:-1]], actions, strict=True):
            self.step(*ramp(self.robot, before, after))
        return actions

    def close(self) -> None:
        """See `SimBackend`."""
        self._ready = False
