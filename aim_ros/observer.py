"""Joins streams that arrive one by one into one consistent Observation, or says what is missing.

Knows no ROS message and no clock: stamps and the present time are arguments. Images are kept by
reference, whoever adds one must not write into it afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aim_policy.config import ConfigError, unknown_name
from aim_policy.interface import Image, Observation, Vector
from aim_policy.robot import RobotSpec
from aim_ros.joint_vectors import WrongJoints, action_vector
from aim_ros.matching import newest_set
from aim_ros.observer_config import ObserverConfig
from aim_ros.streams import Stream, StreamReport

__all__ = ['JOINT_STATES', 'JOINT_TARGETS', 'NotReady', 'Observer', 'ObserverConfig']

JOINT_STATES = 'joint_states'
JOINT_TARGETS = 'joint_targets'

# Joints are reported up to this many times as often as images.
_JOINTS_PER_IMAGE = 50


@dataclass(frozen=True)
class NotReady:
    """Why there is no observation."""

    reason: str


class Observer:
    """Collects what arrives and gives the newest consistent set of it.

    Attributes:
        counters: stream -> how many were received, duplicates (same stamp) and dropped (too late).
        time_jumps: how often time was set back.
        skew_s: between the oldest and the newest part of the latest observation.
        wrong_joints: why all joints that came are not those of this robot, '' if some were.
    """

    def __init__(self, robot: RobotSpec, config: ObserverConfig) -> None:
        if not robot.cameras:
            raise ConfigError(f'robot {robot.name} has no cameras, expected at least one')
        self.robot = robot
        self.config = config
        self.time_jumps, self.skew_s = 0, 0.0
        self._slop_ns = round(config.slop_s * 1e9)
        self._cameras = {camera.name: camera for camera in robot.cameras}
        self._images = {name: Stream[Image](config.queue_size) for name in self._cameras}
        size = config.queue_size * _JOINTS_PER_IMAGE
        self._joints = {JOINT_STATES: Stream[Vector](size)}
        if robot.joint_targets_topic:
            self._joints[JOINT_TARGETS] = Stream[Vector](size)
        self._streams: dict[str, Stream[Any]] = {**self._images, **self._joints}
        self.counters = {name: stream.counters for name, stream in self._streams.items()}
        self._target: Vector | None = None
        self._instruction = ''
        self.wrong_joints = ''
        self._not_before_ns = 0
        self._lock = threading.RLock()  # sensors arrive in other threads than the policy's

    def add_image(self, camera: str, stamp_ns: int, image: Image) -> None:
        """Take uint8[H, W, 3], RGB.

        Raises:
            ValueError: it cannot be used.
        """
        if camera not in self._cameras:
            raise unknown_name('camera', camera, self._cameras)
        shape = (self._cameras[camera].height, self._cameras[camera].width, 3)
        if image.shape != shape or image.dtype != np.uint8:
            found = f'{image.dtype}{list(image.shape)}'
            raise ValueError(f'image of {camera} is {found}, expected uint8{list(shape)}')
        self._add(camera, stamp_ns, image)

    def add_joints(self, stamp_ns: int, names: Sequence[str], positions: Sequence[float]) -> None:
        """Take measured positions in joint units, in any order; unknown joints are ignored."""
        self._add_vector(JOINT_STATES, stamp_ns, names, positions)

    def add_targets(self, stamp_ns: int, names: Sequence[str], positions: Sequence[float]) -> None:
        """Take what the controllers were told to reach, like `add_joints`."""
        if JOINT_TARGETS not in self._joints:
            raise ValueError(f'robot {self.robot.name} has no joint_targets_topic, use set_target')
        self._add_vector(JOINT_TARGETS, stamp_ns, names, positions)

    def when(self, header_ns: int, received_ns: int) -> int:
        """Return which of two times counts as the stamp of a message."""
        return received_ns if self.config.time_source == 'receive' else header_ns

    def refuse(self, stream: str, reason: str) -> None:
        """Count a message that could not even be read."""
        with self._lock:
            self._streams[stream].refused += 1
            self._streams[stream].fault = reason

    def set_target(self, action: Vector) -> None:
        """Take the last commanded vector, float64[A]; used for robots without a targets topic."""
        expected = len(self.robot.joint_names)
        if np.shape(action) != (expected,) or not np.isfinite(action).all():
            raise ValueError(f'target is {action}, expected {expected} finite numbers')
        self._target = np.array(action, float)

    def set_instruction(self, text: str) -> None:
        """Say what to do; an empty text means not known yet."""
        self._instruction = text.strip()

    def clear(self, not_before_ns: int = 0) -> None:
        """Forget all images, joints and targets, and ignore older stamps from now on.

        The instruction stays: it has no stamp that could tell a new one from an old one.
        """
        with self._lock:
            for stream in self._streams.values():
                stream.clear()
            self._target = None
            self._not_before_ns = not_before_ns

    def report(self, now_ns: int | None) -> dict[str, StreamReport]:
        """Say how every stream is doing."""
        with self._lock:
            return {name: stream.report(now_ns) for name, stream in self._streams.items()}

    def latest(self, now_ns: int | None) -> Observation | NotReady:
        """Return the newest consistent set, or what is missing for one.

        Args:
            now_ns: the present, against which ages count; None where time stands still.
        """
        with self._lock:
            return self._latest(now_ns)

    def until(self, stamp_ns: int) -> Observation | None:
        """Return the newest consistent set that is kept and begins no later; None without one."""
        with self._lock:
            if self._missing(None):
                return None
            found = newest_set(self._images, self._joints, self._slop_ns, stamp_ns)
            return None if isinstance(found, str) else self._observation(found)

    def _latest(self, now_ns: int | None) -> Observation | NotReady:
        reason = self._missing(now_ns)
        if reason:
            return NotReady(reason)
        found = newest_set(self._images, self._joints, self._slop_ns)
        if isinstance(found, str):
            return NotReady(found)
        oldest_ns = min(found[name][0] for name in self._images)
        if self._too_old(now_ns, oldest_ns):
            last = min(self._images, key=lambda name: self._images[name].stamps[-1])
            age = self._age(now_ns, oldest_ns)
            return NotReady(f'matching images are {age}: waiting for {last}')
        stamps = [stamp_ns for stamp_ns, _ in found.values()]
        self.skew_s = (max(stamps) - min(stamps)) / 1e9
        return self._observation(found)

    def _add_vector(
        self, name: str, stamp_ns: int, names: Sequence[str], positions: Sequence[float]
    ) -> None:
        try:
            vector = action_vector(self.robot, name, names, positions)
        except WrongJoints as error:
            if not self.counters[name]['received']:
                self.wrong_joints = str(error)
            raise
        self.wrong_joints = ''
        self._add(name, stamp_ns, vector)

    def _add(self, name: str, stamp_ns: int, item: Image | Vector) -> None:
        if stamp_ns == 0:
            raise ValueError(
                f'{name}: stamp is 0, expected the time of capture; for sensors without one set '
                'sync.time_source to receive'
            )
        with self._lock:
            self._insert(name, stamp_ns, item)

    def _insert(self, name: str, stamp_ns: int, item: Any) -> None:
        stream = self._streams[name]
        stream.counters['received'] += 1
        stream.fault = ''
        if stream.goes_back(stamp_ns):
            self.time_jumped()
        newer = stream.note(stamp_ns)
        if stamp_ns < self._not_before_ns:
            stream.counters['dropped'] += 1
            return
        if newer and name in self._images:
            stream.compare(stamp_ns, item)
        stream.insert(stamp_ns, item)

    def time_jumped(self) -> None:
        """Forget everything that was seen: the clock was set back."""
        with self._lock:
            self.time_jumps += 1
            self.clear()
            for stream in self._streams.values():
                stream.forget_time()

    def _missing(self, now_ns: int | None) -> str:
        for name, stream in self._streams.items():
            if not stream.stamps:
                fault = f'; refused: {stream.fault}' if stream.fault else ''
                return f'no {"image from " if name in self._images else ""}{name} yet{fault}'
            if self._too_old(now_ns, stream.stamps[-1]):
                verb = 'is' if name in self._images else 'are'
                return f'{name} {verb} {self._age(now_ns, stream.stamps[-1])}'
            if 0 < self.config.max_frozen_s < stream.frozen_s:
                return f'{name} has shown the same picture for {stream.frozen_s:.1f} s'
        return '' if self._instruction else 'no instruction yet'

    def _too_old(self, now_ns: int | None, stamp_ns: int) -> bool:
        # Far in the future is as bad: the clocks of two machines disagree.
        allowed_s = self.config.max_age_s
        return (
            now_ns is not None
            and allowed_s > 0
            and abs(now_ns - stamp_ns) > round(allowed_s * 1e9)
        )

    def _age(self, now_ns: int | None, stamp_ns: int) -> str:
        age_s = ((now_ns or 0) - stamp_ns) / 1e9
        side = 'old' if age_s > 0 else 'in the future'
        return f'{abs(age_s):.1f} s {side}, allowed {self.config.max_age_s}'

    def _observation(self, used: dict[str, tuple[int, Any]]) -> Observation:
        target = used.get(JOINT_TARGETS, (0, self._target))[1]
        if target is None:  # before the first command the robot is where it was left
            target = used[JOINT_STATES][1]
        measured = used[JOINT_STATES][1] if self.config.state_source == 'measured' else target
        return Observation(
            images={name: used[name][1] for name in self._images},
            stamps_ns={name: stamp_ns for name, (stamp_ns, _) in used.items()},
            joint_position=np.array(measured),
            joint_target=np.array(target),
            instruction=self._instruction,
            stamp_ns=min(used[name][0] for name in self._images),
        )
