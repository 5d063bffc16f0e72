"""One episode's scene in SAPIEN: robot, furniture, cameras and the task's objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import sapien
from numpy.typing import NDArray
from sapien import physx

from aim_policy.interface import Image, Vector
from aim_policy.robot import RobotSpec
from sim_bridge import scene as surroundings
from sim_bridge.objects import Part, Thing, build
from sim_bridge.robot_model import RobotModel
from sim_bridge.scenery import PLAIN, Scenery


@dataclass(frozen=True)
class Touch:
    """Two bodies that press on each other at points (float64[P, 3], world)."""

    bodies: Sequence[sapien.Component]
    points: Vector

    def joins(self, some: set[sapien.Component], other: sapien.Component) -> bool:
        """Tell whether it is between one of `some` and `other`."""
        return _joins(self.bodies, some, other)


class World:
    """A scene with a robot at home. Tasks put their objects into it with `add`.

    Attributes:
        things: the task's objects by name, in the order they were added.
        table: the table; its origin is the centre of its top.
        table_z_m: height of the table top.
        robot: what it knows of the robot.
        command: float64[A], the action vector that the drives were last told to reach.
    """

    def __init__(self, robot: RobotSpec, scenery: Scenery = PLAIN) -> None:
        self.robot = robot
        self.table_z_m = surroundings.TABLE_TOP_M + scenery.table_bias_m
        self.things: dict[str, Thing] = {}
        self.scene = surroundings.make_scene(robot.physics_dt_s)
        self._lights = surroundings.add_lights(self.scene, scenery)
        self._flicker = scenery.flicker
        self.table = surroundings.add_furniture(self.scene, scenery)
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
        """Put an object of the task into the scene, see `sim_bridge.objects.build`."""
        return self.adopt(build(self.scene, name, parts, pose, points or {}, mass_kg))

    def adopt(self, thing: Thing) -> Thing:
        """Count something that is in the scene already among the objects of the task."""
        assert thing.name not in self.things, f'{thing.name} is there already'
        self.things[thing.name] = thing
        return thing

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
        if self._flicker is not None:
            surroundings.flicker(self.scene, self._lights, self._flicker)
        return surroundings.take_pictures(self.scene, self.cameras)

    def depth(self, camera: str) -> NDArray[np.float32]:
        """Return float32[H, W] of the picture taken last: metres ahead, NaN where nothing is."""
        position = self.cameras[camera].get_picture('Position')
        return np.where(position[..., 3] < 1, -position[..., 2], np.float32(np.nan))

    def gripper_command(self, arm: str) -> float:
        """Return what an arm's gripper was last told, 0 closed to 1 open."""
        return float(self.command[self.robot.columns(arm)][-1])

    def touches(self) -> list[Touch]:
        """Return what presses on what now."""
        return _touches(self.scene.get_contacts())

    def between(self, bodies: Iterable[sapien.Component], thing: Thing) -> Vector:
        """Return where (float64[P, 3], world) any of `bodies` presses on a thing."""
        wanted = set(bodies)
        # Most contacts are of other things; asked after every physics step, so told apart first.
        near = [c for c in self.scene.get_contacts() if _joins(c.bodies, wanted, thing.body)]
        points = [touch.points for touch in _touches(near)]
        return np.concatenate(points) if points else np.zeros((0, 3))

    def fingers_on(self, thing: Thing) -> Vector:
        """Return the points, float64[P, 3] in the world, where any finger presses on a thing."""
        links = [link for pair in self.model.fingers.values() for link in pair]
        return self.between(links, thing)


def _joins(
    bodies: Sequence[sapien.Component], some: set[sapien.Component], other: sapien.Component
) -> bool:
    first, second = bodies
    return (first in some and second == other) or (second in some and first == other)


def _touches(contacts: Iterable[physx.PhysxContact]) -> list[Touch]:
    """Leave out what is merely near, which PhysX reports as well: points without an impulse."""
    found = []
    for contact in contacts:
        points = [p.position for p in contact.points if p.impulse.any()]
        if points:
            found.append(Touch(contact.bodies, np.array(points, dtype=np.float64)))
    return found
