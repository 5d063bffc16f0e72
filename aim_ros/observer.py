"""Joins streams that arrive one by one into one consistent Observation, or says what is missing.

Knows no ROS message and no clock: stamps and the present time are arguments. Images are kept by
reference, whoever adds one must not write into it afterwards.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from aim_policy.config import ConfigError, unknown_name
from aim_policy.interface import Image, Observation, Vector
from aim_policy.robot import RobotSpec

T = TypeVar('T')

JOINT_STATES = 'joint_states'
JOINT_TARGETS = 'joint_targets'

# A stamp that is this much older than its stream's newest is no late message: time was set back.
_TIME_JUMP_NS = 1_000_000_000
# Joints are reported up to this many times as often as images.
_JOINTS_PER_IMAGE = 50


@dataclass(frozen=True)
class ObserverConfig:
    """What counts as consistent.

    Attributes:
        slop_s: images and joints of one observation lie no further apart.
        max_age_s: of anything used, against the present; 0 switches the check off.
        queue_size: images kept per camera.
    """

    slop_s: float = 0.03
    max_age_s: float = 0.5
    queue_size: int = 10

    def __post_init__(self) -> None:
        for field in ('slop_s', 'max_age_s'):
            if not getattr(self, field) >= 0:
                raise ConfigError(f'{field} is {getattr(self, field)}, expected 0 or more')
        if self.queue_size < 1:
            raise ConfigError(f'queue_size is {self.queue_size}, expected 1 or more')


@dataclass(frozen=True)
class NotReady:
    """Why there is no observation."""

    reason: str


class _Stream(Generic[T]):
    """The newest items of one stream in the order of their stamps."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.stamps: list[int] = []
        self.items: list[T] = []
        self.counters = {'received': 0, 'duplicates': 0, 'dropped': 0}

    def clear(self) -> None:
        self.stamps.clear()
        self.items.clear()

    def insert(self, stamp_ns: int, item: T) -> None:
        index = bisect_left(self.stamps, stamp_ns)
        if stamp_ns in self.stamps[index : index + 1]:
            self.counters['duplicates'] += 1
        elif index == 0 and len(self.stamps) == self.size:
            self.counters['dropped'] += 1
        else:
            self.stamps.insert(index, stamp_ns)
            self.items.insert(index, item)
            del self.stamps[: -self.size], self.items[: -self.size]

    def newest_until(self, stamp_ns: int) -> tuple[int, T] | None:
        """Return the newest item that is not later, after its stamp."""
        index = bisect_right(self.stamps, stamp_ns)
        return (self.stamps[index - 1], self.items[index - 1]) if index else None


class Observer:
    """Collects what arrives and gives the newest consistent set of it.

    Attributes:
        counters: stream -> how many were received, duplicates (same stamp) and dropped (too late).
        time_jumps: how often time was set back.
    """

    def __init__(self, robot: RobotSpec, config: ObserverConfig) -> None:
        if not robot.cameras:
            raise ConfigError(f'robot {robot.name} has no cameras, expected at least one')
        self.robot = robot
        self.config = config
        self.time_jumps = 0
        self._slop_ns = round(config.slop_s * 1e9)
        self._cameras = {camera.name: camera for camera in robot.cameras}
        self._images = {name: _Stream[Image](config.queue_size) for name in self._cameras}
        size = config.queue_size * _JOINTS_PER_IMAGE
        self._joints = {JOINT_STATES: _Stream[Vector](size)}
        if robot.joint_targets_topic:
            self._joints[JOINT_TARGETS] = _Stream[Vector](size)
        self._streams: dict[str, _Stream[Any]] = {**self._images, **self._joints}
        self.counters = {name: stream.counters for name, stream in self._streams.items()}
        self._target: Vector | None = None
        self._instruction = ''
        self._not_before_ns = 0
        self._lock = threading.Lock()  # sensors arrive in other threads than the policy's

    def add_image(self, camera: str, stamp_ns: int, image: Image) -> None:
        """Take uint8[H, W, 3], RGB."""
        if camera not in self._cameras:
            raise unknown_name('camera', camera, self._cameras)
        shape = (self._cameras[camera].height, self._cameras[camera].width, 3)
        if image.shape != shape or image.dtype != np.uint8:
            found = f'{image.dtype}{list(image.shape)}'
            raise ValueError(f'image of {camera} is {found}, expected uint8{list(shape)}')
        self._add(camera, stamp_ns, image)

    def add_joints(self, stamp_ns: int, names: Sequence[str], positions: Sequence[float]) -> None:
        """Take measured positions in joint units, in any order; unknown joints are ignored."""
        self._add(JOINT_STATES, stamp_ns, self._action(JOINT_STATES, names, positions))

    def add_targets(self, stamp_ns: int, names: Sequence[str], positions: Sequence[float]) -> None:
        """Take what the controllers were told to reach, like `add_joints`."""
        if JOINT_TARGETS not in self._joints:
            raise ValueError(f'robot {self.robot.name} has no joint_targets_topic, use set_target')
        self._add(JOINT_TARGETS, stamp_ns, self._action(JOINT_TARGETS, names, positions))

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
            self._clear(not_before_ns)

    def _clear(self, not_before_ns: int) -> None:
        for stream in self._streams.values():
            stream.clear()
        self._target = None
        self._not_before_ns = not_before_ns

    def latest(self, now_ns: int | None) -> Observation | NotReady:
        """Return the newest consistent set, or what is missing for one.

        Args:
            now_ns: the present, against which ages count; None where time stands still.
        """
        with self._lock:
            return self._latest(now_ns)

    def _latest(self, now_ns: int | None) -> Observation | NotReady:
        reason = self._missing(now_ns)
        if reason:
            return NotReady(reason)
        oldest_ns = self._oldest_of_newest_set()
        if oldest_ns is None:
            return NotReady(self._apart())
        if self._too_old(now_ns, oldest_ns):
            return NotReady(f'matching images are {self._age(now_ns, oldest_ns)}')
        used = {}
        for name, stream in self._streams.items():
            found = stream.newest_until(oldest_ns + self._slop_ns)
            if found is None:
                return NotReady(f'{name} are all newer than the images')
            if found[0] < oldest_ns - self._slop_ns:
                gap_s = (oldest_ns - found[0]) / 1e9
                return NotReady(
                    f'{name} are {gap_s:.3f} s behind the images, allowed {self.config.slop_s}'
                )
            used[name] = found
        return self._observation(used, oldest_ns)

    def _add(self, name: str, stamp_ns: int, item: Image | Vector) -> None:
        with self._lock:
            self._insert(self._streams[name], stamp_ns, item)

    def _insert(self, stream: _Stream[Any], stamp_ns: int, item: Image | Vector) -> None:
        stream.counters['received'] += 1
        if stamp_ns < self._not_before_ns:
            stream.counters['dropped'] += 1
            return
        if stream.stamps and stamp_ns < stream.stamps[-1] - _TIME_JUMP_NS:
            self.time_jumps += 1
            self._clear(self._not_before_ns)
        stream.insert(stamp_ns, item)

    def _action(self, stream: str, names: Sequence[str], positions: Sequence[float]) -> Vector:
        if len(names) != len(positions):
            raise ValueError(f'{stream}: {len(names)} names, but {len(positions)} positions')
        expected = self.robot.joint_names
        wrong = [joint for joint in expected if list(names).count(joint) != 1]
        if wrong:
            found = f'found {", ".join(names)}, expected {", ".join(expected)}'
            raise ValueError(f'{stream}: {", ".join(wrong)} missing or named twice; {found}')
        values = dict(zip(names, positions, strict=True))
        for joint in expected:
            if not np.isfinite(values[joint]):
                raise ValueError(f'{stream}: {joint} is {values[joint]}, expected a finite number')
        return self.robot.to_action(np.array([values[joint] for joint in expected], float))

    def _missing(self, now_ns: int | None) -> str:
        for name, stream in self._streams.items():
            if not stream.stamps:
                return f'no {"image from " if name in self._images else ""}{name} yet'
            if self._too_old(now_ns, stream.stamps[-1]):
                verb = 'is' if name in self._images else 'are'
                return f'{name} {verb} {self._age(now_ns, stream.stamps[-1])}'
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

    def _oldest_of_newest_set(self) -> int | None:
        """Return the latest stamp from which on every camera has an image within the slop."""
        streams = self._images.values()
        for start_ns in sorted((s for stream in streams for s in stream.stamps), reverse=True):
            found = [stream.newest_until(start_ns + self._slop_ns) for stream in streams]
            if all(item is not None and item[0] >= start_ns for item in found):
                return start_ns
        return None

    def _apart(self) -> str:
        newest = {name: stream.stamps[-1] for name, stream in self._images.items()}
        first, last = min(newest, key=newest.__getitem__), max(newest, key=newest.__getitem__)
        gap_s = (newest[last] - newest[first]) / 1e9
        return f'{first} is {gap_s:.3f} s behind {last}, allowed {self.config.slop_s}'

    def _observation(self, used: dict[str, tuple[int, Any]], oldest_ns: int) -> Observation:
        if JOINT_TARGETS in used:
            target = used[JOINT_TARGETS][1]
        else:  # before the first command the robot is where it was left
            target = used[JOINT_STATES][1] if self._target is None else self._target
        return Observation(
            images={name: used[name][1] for name in self._images},
            stamps_ns={name: stamp_ns for name, (stamp_ns, _) in used.items()},
            joint_position=np.array(used[JOINT_STATES][1]),
            joint_target=np.array(target),
            instruction=self._instruction,
            stamp_ns=oldest_ns,
        )
