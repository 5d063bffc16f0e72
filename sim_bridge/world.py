"""One episode's scene in SAPIEN: robot, furniture, cameras and the task's objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import sapien

from aim_policy.interface import Image, Vector
from aim_policy.robot import RobotSpec
from sim_bridge import scene as surroundings
from sim_bridge.objects import Part, Thing, build
from sim_bridge.robot_model import RobotModel


class World:
    """A scene with a robot at home. Tasks put their objects into it with `add`.

    Attributes:
        table_z_m: height of the table top.
        robot: what it knows of the robot.
        command: float64[A], the action vector that the drives were last told to reach.
    """

    def __init__(self, robot: RobotSpec) -> None:
        self.robot = robot
        self.table_z_m = surroundings.TABLE_TOP_M
        self.scene = surroundings.make_scene(robot.physics_dt_s)
        surroundings.add_lights(self.scene)
        surroundings.add_furniture(self.scene)
        self.model = RobotModel(self.scene, robot)
        self.cameras = surroundings.add_cameras(self.scene, robot, self.model)
        self.command = robot.home
        self.model.set_positions(robot.to_joints(robot.home))

    def add(
        self,
        name: str,
        parts: tuple[Part, ...],
        pose: sapien.Pose,
        points: dict[str, sapien.Pose] | None = None,
        mass_kg: float | None = None,
    ) -> Thing:
        """Put an object into the scene, see `sim_bridge.objects.build`."""
        return build(self.scene, name, parts, pose, points or {}, mass_kg)

    def step(self, positions: Vector, velocities: Vector) -> None:
        """Advance one physics step with the drives told to reach float64[A] (rad, m)."""
        self.model.set_targets(positions, velocities)
        self.command = self.robot.to_action(positions)
        self.scene.step()

    def settle(self, steps: int) -> None:
        """Let things come to rest while the robot stays where it was told to be."""
        held = self.robot.to_joints(self.command)
        for _ in range(steps):
            self.step(held, np.zeros_like(held))

    def render(self) -> dict[str, Image]:
        """Take a picture with every camera."""
        return surroundings.take_pictures(self.scene, self.cameras)

    def gripper_command(self, arm: str) -> float:
        """Return what an arm's gripper was last told, 0 closed to 1 open."""
        return float(self.command[self.robot.columns(arm)][-1])

    def touch(self, links: Iterable[sapien.Component], thing: Thing) -> Iterator[Vector]:
        """Yield the points (float64[3], world) where any of `links` presses on `thing`.

        PhysX reports pairs that are merely near; only those that carry an impulse count.
        """
        wanted = set(links)
        for contact in self.scene.get_contacts():
            first, second = contact.bodies
            if not (
                (first in wanted and second.entity == thing.entity)
                or (second in wanted and first.entity == thing.entity)
            ):
                continue
            for point in contact.points:
                if np.any(point.impulse):
                    yield np.asarray(point.position, dtype=np.float64)

    def fingers_touch(self, thing: Thing) -> Iterator[Vector]:
        """Yield the points where any finger of the robot presses on `thing`."""
        links = [link for pair in self.model.fingers.values() for link in pair]
        return self.touch(links, thing)
