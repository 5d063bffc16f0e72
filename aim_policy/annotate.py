"""Turns bags of a robot into training episodes, with value maps where its grippers close and open.

python -m aim_policy.annotate BAG --out DIR [--robot aloha_agilex] [--instruction "..."]

Each instruction or simulated episode in the bag becomes one file. Needs no ROS.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from aim_policy.bag_episode import EpisodeBuilder
from aim_policy.camera_poses import RobotPoses
from aim_policy.config import ConfigError
from aim_policy.episode import Episode, write_episode
from aim_policy.events import EpisodeError
from aim_policy.gripper_events import FINGERTIP
from aim_policy.interface import Observation, Vector
from aim_policy.robot import RobotSpec
from aim_ros.bag_contents import FAILED, Contents, Segment, contents, origin_of
from aim_ros.bag_reader import BagMessage, BagReader, in_order
from aim_ros.bag_topics import TF, TF_STATIC, SensorFeed, full_name, info_topic
from aim_ros.observer import NotReady, Observer, ObserverConfig

Take = Callable[[BagMessage], None]


@dataclass(frozen=True)
class Source:
    """A bag and how to read it.

    Attributes:
        robot: whose it is.
        namespace: of its topics.
        fingertip: float64[3], in the frame of the arms' last links (m).
        max_gap_s: longer gaps in what the robot sensed are an error.
    """

    reader: BagReader
    robot: RobotSpec
    namespace: str
    fingertip: Vector
    max_gap_s: float = 0.2


def annotate(source: Source, segment: Segment) -> Episode:
    """Make one episode: one consistent set of sensor readings per policy step.

    Raises:
        ConfigError: a gap in the data, or something that is not known about the robot.
    """
    poses = RobotPoses(source.robot)
    for message in source.reader:
        if message.topic == TF_STATIC:
            poses.add_transforms(message.decode())
    builder = EpisodeBuilder(source.robot, poses)
    others: dict[str, Take] = {TF: lambda message: poses.add_transforms(message.decode())}
    for camera in source.robot.cameras:
        topic = full_name(source.namespace, info_topic(camera.name))
        others[topic] = partial(_calibrate, builder, camera.name)
    for observation in _observations(source, segment, others):
        builder.add(observation)
    return builder.finish(segment, source.fingertip)


def _calibrate(builder: EpisodeBuilder, camera: str, message: BagMessage) -> None:
    builder.set_calibration(camera, message.decode())


def _observations(
    source: Source, segment: Segment, others: dict[str, Take]
) -> Iterator[Observation]:
    """Give the newest observation of each policy step; `others` take what else there is."""
    config = ObserverConfig(max_age_s=source.max_gap_s)
    observer, dt_ns = Observer(source.robot, config), source.robot.dt_ns
    observer.set_instruction(segment.instruction)
    feed = SensorFeed(source.robot, observer, source.namespace)
    # A little late, so that a camera's jitter does not decide on which side a picture falls.
    late_ns = round(config.slop_s * 0.5e9)
    due_ns, newest_ns = 0, 0
    last: Observation | NotReady = observer.latest(None)
    for message in _in_segment(source.reader, segment, {*feed.topics, *others}):
        while due_ns and message.stamp_ns > due_ns:
            last = _newest(source, observer, due_ns, last)
            yield last
            due_ns += dt_ns
        newest_ns = message.stamp_ns
        others.get(message.topic, feed.add)(message)
        if not due_ns:
            last = observer.latest(None)
            due_ns = 0 if isinstance(last, NotReady) else last.stamp_ns + late_ns
    if newest_ns >= due_ns - late_ns:
        yield _newest(source, observer, due_ns, last)


def _newest(
    source: Source, observer: Observer, now_ns: int, last: Observation | NotReady
) -> Observation:
    """Return the observation of a step; the one before it where a message was lost."""
    found = observer.latest(now_ns or None)
    if not isinstance(found, NotReady):
        return found
    if isinstance(last, NotReady) or now_ns - last.stamp_ns > source.max_gap_s * 1e9:
        where = f'{source.reader.path}, {now_ns / 1e9:.2f} s'
        raise EpisodeError(f'{where}: no complete observation: {found.reason}')
    return last


def _in_segment(reader: BagReader, segment: Segment, topics: set[str]) -> Iterator[BagMessage]:
    """Give the messages of some topics in the order of their stamps."""
    inside = (
        message for message in reader if message.topic in topics and message.stamp_ns in segment
    )
    return in_order(inside, lambda message: message.stamp_ns)


def _without_targets(source: Source, found: Contents) -> Source:
    """Take measured joints for commanded ones if the bag has no commands."""
    topic = source.robot.joint_targets_topic
    if not topic or full_name(source.namespace, topic) in found.topics:
        return source
    print(f'{source.reader.path} has no {topic}: measured joints count as commanded')
    return replace(source, robot=replace(source.robot, joint_targets_topic=''))


def write(options: argparse.Namespace) -> None:
    """Write the episodes of a bag."""
    reader = BagReader(options.bag)
    robot, namespace = origin_of(reader, options.robot, options.namespace)
    source = Source(reader, robot, namespace, np.array(options.fingertip), options.max_gap)
    found = contents(reader, robot, namespace)
    source = _without_targets(source, found)
    options.out.mkdir(parents=True, exist_ok=True)
    for number, segment in enumerate(found.segments):
        segment = replace(segment, instruction=options.instruction or segment.instruction)
        if not segment.instruction:
            raise ConfigError(f'{reader.path} has no instruction, expected --instruction "..."')
        if segment.outcome == FAILED and not options.failed:
            print(f'episode {number} failed, left out: {segment.instruction}')
            continue
        path = options.out / f'{reader.path.stem}_{number}.hdf5'
        episode = annotate(source, segment)
        write_episode(path, episode)
        print(f'{path}: {len(episode)} steps, {_summary(episode)}')
    if reader.cut:
        print(f'only up to the cut: {reader.cut}', file=sys.stderr)


def _summary(episode: Episode) -> str:
    events = (f'{event.arm} {event.kind} at {event.step}' for event in episode.events)
    return ', '.join(events) or 'no gripper closes'


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog='aim_policy.annotate', description='bags as episodes')
    parser.add_argument('bag', help='folder of the bag, or one .mcap file')
    parser.add_argument('--out', required=True, type=Path, help='folder for the episodes')
    parser.add_argument('--robot', default='', help='name or YAML; default: as the bag says')
    parser.add_argument('--namespace', default='', help='of the topics; default: as the bag says')
    parser.add_argument('--instruction', default='', help='what was done; default: as recorded')
    parser.add_argument('--failed', action='store_true', help='keep episodes that failed')
    parser.add_argument('--max-gap', default=0.2, type=float, help='in the sensors (s)')
    parser.add_argument(
        '--fingertip',
        nargs=3,
        type=float,
        default=FINGERTIP,
        metavar=('X', 'Y', 'Z'),
        help='point between the finger tips in the frame of the last link (m); '
        f'default {" ".join(map(str, FINGERTIP))}, of aloha_agilex',
    )
    try:
        write(parser.parse_args(arguments))
    except (ConfigError, OSError) as error:
        print(f'aim_policy.annotate: {error}', file=sys.stderr)
        return 2
    except ValueError as error:  # a message that the Observer refuses
        print(f'aim_policy.annotate: {arguments or sys.argv[1:]}: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
