"""Arms of a simulated robot: find reachable poses, move one arm or both in lock step.

Each motion is planned from where the joints were last told to be, timed by toppra and cut into
policy steps. What comes out is a list of action vectors, one per policy step, that any controller
can replay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sapien

from aim_policy.interface import Vector
from sim_bridge.backend import ExpertFailed
from sim_bridge.motion import (
    between,
    duration_s,
    gripper_rotation,
    headings,
    time_path,
    to_pose,
    turned,
)
from sim_bridge.objects import Thing
from sim_bridge.world import World

TIP_AHEAD_M = 0.0175  # finger tips lie this far ahead of the TCP
STEEP_DEG = (90.0, 78.0, 67.0, 56.0, 45.0, 33.0, 20.0)
YAWS = (0.0, 0.2, -0.2, 0.4, -0.4, 0.7, -0.7, 1.0, -1.0)
SPEED_RAD_S = 2.5
LINE_POINTS = 5
GRIP_STEPS = 8
THERE = 0.05  # of an opening: as good as there

Goals = Mapping[str, sapien.Pose]


@dataclass(frozen=True)
class Approach:
    """A place for the TCP and the place straight before it."""

    before: sapien.Pose
    at: sapien.Pose


@dataclass(frozen=True)
class Carry:
    """A wish: the named point of a thing at a world position, float64[3].

    Attributes:
        rotation: wanted orientation (wxyz) of that point, up to a turn about the vertical; None
            keeps the one it has.
        yaws: turns about the vertical (rad) that are as good, best first.
    """

    thing: Thing
    point: str
    target: Vector
    rotation: Vector | None = None
    yaws: Sequence[float] = YAWS

    def raised(self, height_m: float) -> Carry:
        """Return the same wish, higher."""
        return replace(self, target=self.target + [0, 0, height_m])


class Arms:
    """Moves the arms of a world and remembers the action vectors.

    Attributes:
        actions: list of float64[A], one per policy step.
    """

    def __init__(self, world: World, play: Callable[[Vector], None]) -> None:
        """Drive `world` through `play`, which executes one action vector for one policy step."""
        self.world = world
        self.robot = world.robot
        self.actions: list[Vector] = []
        self._play = play

    # Where to

    def approach(
        self,
        arm: str,
        point: Vector,
        distance_m: float,
        tip: bool = False,
        closings: Sequence[Vector] | None = None,
        tilts_deg: Sequence[float] = STEEP_DEG,
        then: Sequence[Carry] = (),
    ) -> Approach:
        """Find a reachable way to come to a point.

        Args:
            arm: arm name.
            point: float64[3], world.
            distance_m: how far before it to start.
            tip: bring the finger tips there instead of the TCP.
            closings: horizontal directions in which the fingers may close; None: any.
            tilts_deg: angles below the horizontal, best first.
            then: where what is grasped must be carried to afterwards.

        Raises:
            ExpertFailed: no direction is reachable.
        """
        yaws = headings(self.radial(arm, point), closings, YAWS)
        for tilt in np.deg2rad(tilts_deg):
            for yaw in yaws:
                rotation = gripper_rotation(yaw, tilt)
                forward = rotation[:, 0]
                at = np.asarray(point) - (TIP_AHEAD_M if tip else 0.0) * forward
                found = Approach(
                    to_pose(rotation, at - distance_m * forward), to_pose(rotation, at)
                )
                if self.reachable(arm, [found.before, found.at]) and all(
                    self._carried(arm, found.at, carry) for carry in then
                ):
                    return found
        raise ExpertFailed(f'{arm} arm reaches no approach to {np.round(point, 3).tolist()}')

    def carry(self, arm: str, carry: Carry) -> sapien.Pose:
        """Return the TCP pose that brings a held thing's point to a place.

        Raises:
            ExpertFailed: not reachable at any of the turns.
        """
        goal = self._carried(arm, self.world.model.tcp(arm), carry)
        if goal is None:
            raise ExpertFailed(f'{arm} arm cannot carry to {np.round(carry.target, 3).tolist()}')
        return goal

    def _carried(self, arm: str, tcp: sapien.Pose, carry: Carry) -> sapien.Pose | None:
        now = carry.thing.point(carry.point)
        held = tcp.inv() * now
        wanted = now if carry.rotation is None else sapien.Pose(q=carry.rotation)
        for yaw in carry.yaws:
            goal = sapien.Pose(carry.target, (turned(yaw) * wanted).q) * held.inv()
            if self.reachable(arm, [goal]):
                return goal
        return None

    def radial(self, arm: str, point: Vector) -> float:
        """Return the yaw in which a point, float64[3], lies from an arm's base."""
        first = self.robot.arm(arm).joints[0]
        base = self.world.model.joints[first].child_link.entity_pose.p
        return float(np.arctan2(point[1] - base[1], point[0] - base[0]))

    def reachable(self, arm: str, poses: Sequence[sapien.Pose]) -> bool:
        """Tell whether an arm can go through poses of its TCP from where it is."""
        joints: Vector | None = self.joints(arm)
        for pose in poses:
            joints = self.world.model.inverse(arm, pose, joints) if joints is not None else None
        return joints is not None

    # Motions, of one arm or of both in lock step

    def reach(self, goals: Goals, speed: float = SPEED_RAD_S) -> None:
        """Move TCPs to poses by the shortest way of the joints."""
        self._follow({arm: [pose] for arm, pose in goals.items()}, speed)

    def line(self, goals: Goals, speed: float = SPEED_RAD_S) -> None:
        """Move TCPs to poses along straight lines."""
        parts = np.linspace(0, 1, LINE_POINTS)[1:]
        ways = {}
        for arm, pose in goals.items():
            start = self.tcp(arm)
            ways[arm] = [between(start, pose, part) for part in parts]
        self._follow(ways, speed)

    def raise_by(self, height_m: float, *arms: str, speed: float = SPEED_RAD_S) -> None:
        """Move TCPs straight up."""
        poses = {arm: self.tcp(arm) for arm in arms}
        up = np.array([0, 0, height_m])
        self.line({arm: sapien.Pose(pose.p + up, pose.q) for arm, pose in poses.items()}, speed)

    def gripper(self, opening: float, *arms: str, steps: int = GRIP_STEPS) -> None:
        """Open (1) or close (0) grippers within `steps` policy steps; in one if they are there."""
        away = [abs(self.world.gripper_command(arm) - opening) for arm in arms]
        steps = steps if max(away) > THERE else 1
        rows = {}
        for arm in arms:
            rows[arm] = np.tile(self.world.command[self.robot.columns(arm)], (steps, 1))
            rows[arm][:, -1] = np.linspace(rows[arm][0, -1], opening, steps + 1)[1:]
        self.play(rows)

    def open(self, opening: float, *arms: str) -> None:
        """Open grippers in half the time of closing; no step if they are open."""
        if max(abs(self.world.gripper_command(arm) - opening) for arm in arms) > THERE:
            self.gripper(opening, *arms, steps=GRIP_STEPS // 2)

    def home(self, *arms: str) -> None:
        """Move arms to where they began, grippers as they are."""
        self._follow_joints(
            {arm: [np.array(self.robot.arm(arm).home)] for arm in arms}, SPEED_RAD_S
        )

    def rest(self, arm: str) -> sapien.Pose:
        """Return the TCP pose at home."""
        return self.world.model.forward(arm, np.array(self.robot.arm(arm).home))

    def play(self, rows: Mapping[str, Vector]) -> None:
        """Execute arm name -> float64[T, joints + 1] side by side; the shorter one waits."""
        for step in range(max(len(part) for part in rows.values())):
            action = self.world.command.copy()
            for arm, part in rows.items():
                action[self.robot.columns(arm)] = part[min(step, len(part) - 1)]
            self.actions.append(action)
            self._play(action)

    def holds(self, arm: str, thing: Thing) -> bool:
        """Tell whether both fingers of an arm press on a thing."""
        fingers = self.world.model.fingers[arm]
        return all(len(self.world.between([finger], thing)) > 0 for finger in fingers)

    def tcp(self, arm: str) -> sapien.Pose:
        """Return where an arm's TCP was last told to be."""
        return self.world.model.forward(arm, self.joints(arm))

    def joints(self, arm: str) -> Vector:
        """Return where an arm's joints were last told to be, float64[6]."""
        return self.world.command[self.robot.columns(arm)][:-1]

    def _follow(self, ways: Mapping[str, Sequence[sapien.Pose]], speed: float) -> None:
        joints: dict[str, list[Vector]] = {}
        for arm, poses in ways.items():
            joints[arm] = []
            for pose in poses:
                start = joints[arm][-1] if joints[arm] else self.joints(arm)
                found = self.world.model.inverse(arm, pose, start)
                if found is None:
                    where = np.round(pose.p, 3).tolist()
                    raise ExpertFailed(f'{arm} arm cannot reach {where}')
                joints[arm].append(found)
        self._follow_joints(joints, speed)

    def _follow_joints(self, goals: Mapping[str, Sequence[Vector]], speed: float) -> None:
        ways = {arm: np.array([self.joints(arm), *way]) for arm, way in goals.items()}
        longest_s = max(duration_s(way, speed) for way in ways.values())
        steps = max(1, int(np.ceil(longest_s / self.robot.dt_s)))
        rows = {}
        for arm, way in ways.items():
            grip = self.world.command[self.robot.columns(arm)][-1]
            rows[arm] = np.column_stack([time_path(way, speed, steps), np.full(steps, grip)])
        self.play(rows)
