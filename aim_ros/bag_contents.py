"""What a bag is of: its robot, topics and episodes, and when the policy thought. Needs no ROS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from aim_policy.config import ConfigError, from_dict
from aim_policy.robot import RobotSpec, load_robot
from aim_ros.bag_reader import BagMessage, BagReader
from aim_ros.bag_topics import CHUNKS, EPISODE_STATUS, INSTRUCTION, full_name, sensor_topics

# Constants of EpisodeStatus.
RUNNING, SUCCEEDED, FAILED = 1, 2, 3


@dataclass(frozen=True)
class Segment:
    """One episode of a bag.

    Attributes:
        begin_ns: stamp of its first sensor messages.
        end_ns: stamp after its last ones.
        instruction: '' if the bag has none.
        seed: of the scene, -1 if unknown.
        outcome: `SUCCEEDED`, `FAILED`, or `RUNNING` if nobody said how it ended.
    """

    begin_ns: int
    end_ns: int
    instruction: str = ''
    task: str = ''
    setting: str = 'real'
    seed: int = -1
    outcome: int = RUNNING

    def __contains__(self, stamp_ns: int) -> bool:
        """Tell whether something of that stamp belongs to it."""
        return self.begin_ns <= stamp_ns < self.end_ns


@dataclass(frozen=True)
class Contents:
    """What is in a bag.

    Attributes:
        topics: full name -> type.
        segments: in order, at least one.
        chunk_stamps: of the observations that action chunks were computed from, rising.
    """

    topics: Mapping[str, str]
    segments: tuple[Segment, ...]
    chunk_stamps: tuple[int, ...]


def origin_of(reader: BagReader, robot: str = '', namespace: str = '') -> tuple[RobotSpec, str]:
    """Return the robot and the namespace of a bag's topics; what is given wins over the bag.

    Raises:
        ConfigError: it is neither given nor in the bag, or cannot be read.
    """
    about = reader.about()
    namespace = namespace or about.get('namespace', '')
    if robot:
        return load_robot(robot), namespace
    if 'robot_yaml' not in about:
        raise ConfigError(f'{reader.path} does not say which robot it is of, expected its name')
    where = f'{reader.path}: robot_yaml'
    try:
        data = yaml.safe_load(about['robot_yaml'])
    except yaml.YAMLError as error:
        raise ConfigError(f'{where}: not valid YAML: {" ".join(str(error).split())}') from error
    return from_dict(RobotSpec, data, where), namespace


def contents(reader: BagReader, robot: RobotSpec, namespace: str = '') -> Contents:
    """Read a bag once.

    Raises:
        ConfigError: it has none of the robot's sensors.
    """
    scan = _Scan(robot, namespace)
    for message in reader:
        scan.add(message)
    if not scan.end_ns:
        found = ', '.join(sorted(scan.topics)) or 'no message'
        expected = ', '.join(sorted(scan.sensors))
        raise ConfigError(f'{reader.path}: found {found}; expected {expected}')
    return Contents(scan.topics, scan.segments(), tuple(sorted(scan.chunk_stamps)))


class _Scan:
    """Takes note of one message after another."""

    def __init__(self, robot: RobotSpec, namespace: str) -> None:
        self.sensors = {full_name(namespace, spec.name) for spec in sensor_topics(robot)}
        self.topics: dict[str, str] = {}
        self.chunk_stamps: set[int] = set()
        self.begin_ns = self.end_ns = 0
        self._by_status: list[Segment] = []
        self._by_instruction: list[Segment] = []
        self._status: Any = None
        self._instruction: str | None = None
        self._takers = {
            full_name(namespace, CHUNKS): self._add_chunk,
            full_name(namespace, EPISODE_STATUS): self._add_status,
            full_name(namespace, INSTRUCTION): self._add_instruction,
        }

    def add(self, message: BagMessage) -> None:
        self.topics.setdefault(message.topic, message.type_name)
        if message.topic in self.sensors:
            self._add_sensor(message.stamp_ns)
        elif message.topic in self._takers:
            self._takers[message.topic](message)

    def _add_sensor(self, stamp_ns: int) -> None:
        self.begin_ns = min(self.begin_ns, stamp_ns) if self.end_ns else stamp_ns
        self.end_ns = max(self.end_ns, stamp_ns + 1)
        if self._instruction is not None:
            # It has no stamp of its own: it holds from the sensors on that follow it.
            self._by_instruction.append(Segment(stamp_ns, 0, self._instruction))
            self._instruction = None

    def _add_chunk(self, message: BagMessage) -> None:
        self.chunk_stamps.add(message.stamp_ns)

    def _add_instruction(self, message: BagMessage) -> None:
        self._instruction = message.decode().data.strip()

    def _add_status(self, message: BagMessage) -> None:
        status, before = message.decode(), self._status
        if status.state == RUNNING and (before is None or self._is_new(status, before)):
            words = {name: getattr(status, name) for name in ('instruction', 'task', 'setting')}
            self._by_status.append(Segment(message.stamp_ns, 0, seed=status.seed, **words))
        elif self._by_status:
            self._by_status[-1] = replace(self._by_status[-1], outcome=status.state)
        self._status = status

    @staticmethod
    def _is_new(status: Any, before: Any) -> bool:
        same = (status.task, status.seed) == (before.task, before.seed)
        return before.state != RUNNING or status.step < before.step or not same

    def segments(self) -> tuple[Segment, ...]:
        found = self._by_status or self._by_instruction or [Segment(self.begin_ns, 0)]
        ends = [*(segment.begin_ns for segment in found[1:]), self.end_ns]
        return tuple(replace(s, end_ns=end) for s, end in zip(found, ends, strict=True))
