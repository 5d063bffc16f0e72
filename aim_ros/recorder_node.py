"""Node `recorder`: writes what the robot sees, is told and does into a bag."""

from __future__ import annotations

import contextlib
import importlib
import queue
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import rclpy
import yaml
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import QoSMessageLostInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool

from aim_policy.config import ConfigError
from aim_policy.robot import load_robot
from aim_ros.bag import BagWriter, offered_qos
from aim_ros.bag_schema import definition
from aim_ros.bag_topics import TopicSpec, full_name, motion_topics, recorded_topics
from aim_ros.ros_util import LATCHED, option, parameters, run_node

DEPTH = 1000
FLUSH_S = 1.0
QOS_CHECK_S = 0.5


@dataclass(frozen=True)
class RecorderParameters:
    """Parameters of the node."""

    robot: str = option('aloha_agilex', 'YAML under config/robot, or a path')
    bag: str = option('', 'folder to make; empty: bag_<date> in bags_dir')
    bags_dir: str = option('.', 'where bags without a name go')
    compression: str = option('zstd', 'of the chunks of the file: zstd, lz4 or none')
    queue_size: int = option(2000, 'messages that may wait for the disk')

    def __post_init__(self) -> None:
        if self.queue_size < 1:
            raise ConfigError(f'queue_size is {self.queue_size}, expected 1 or more')


class RecorderNode(Node):
    """Callbacks only queue what came in; `work` writes it."""

    def __init__(self) -> None:
        super().__init__('recorder')
        self._config = config = parameters(self, RecorderParameters)
        robot = load_robot(config.robot)
        namespace = self.get_namespace()
        text = yaml.safe_dump(asdict(robot), sort_keys=False)
        about = {'robot': robot.name, 'robot_yaml': text, 'namespace': namespace.strip('/')}
        name = config.bag or Path(config.bags_dir) / time.strftime('%Y-%m-%d_%H-%M-%S_bag')
        self._bag = BagWriter(name, about, config.compression)
        self._queue: queue.Queue[tuple] = queue.Queue(config.queue_size)
        self._lost: Counter[str] = Counter()
        self._stop = threading.Event()
        self._subscriptions_of: dict[str, rclpy.subscription.Subscription] = {}
        for spec in recorded_topics(robot):
            self._add(full_name(namespace, spec.name), spec)
        self._heard: dict[str, int] = {}
        self._unheard = {full_name(namespace, spec.name) for spec in motion_topics(robot)}
        self._listening = self.create_publisher(Bool, '~/listening', LATCHED)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a simulator's stands still at first
        self.create_timer(QOS_CHECK_S, self._tick, clock=steady)

    def _add(self, topic: str, spec: TopicSpec) -> None:
        package, _, name = spec.type_name.split('/')
        try:
            message_type = getattr(importlib.import_module(f'{package}.msg'), name)
        except ImportError:
            self.get_logger().info(f'{topic} is not recorded: {package} is not installed')
            return
        qos = offered_qos(reliable=True, latched=spec.latched, depth=10)
        self._bag.add_topic(topic, spec.type_name, definition(spec.type_name), [qos])
        self._subscribe(topic, message_type, reliable=True, latched=spec.latched)

    def _subscribe(self, topic: str, message_type: type, reliable: bool, latched: bool) -> None:
        qos = QoSProfile(depth=DEPTH)
        if not reliable:
            qos.reliability = ReliabilityPolicy.BEST_EFFORT
        if latched:
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        count = partial(self._count_lost, topic)
        events = SubscriptionEventCallbacks(message_lost=count, use_default_callbacks=False)
        self._subscriptions_of[topic] = self.create_subscription(
            message_type, topic, partial(self._take, topic), qos, event_callbacks=events, raw=True
        )

    def _take(self, topic: str, data: bytes, info: dict) -> None:
        if self._stop.is_set():
            return
        times = info['received_timestamp'], info['source_timestamp']
        try:
            self._queue.put_nowait((topic, data, *times))
        except queue.Full:
            self._warn_lost(topic, 1, 'the disk is too slow')

    def _count_lost(self, topic: str, info: QoSMessageLostInfo) -> None:
        self._warn_lost(topic, info.total_count_change, 'the machine or the network is too slow')

    def _warn_lost(self, topic: str, count: int, reason: str) -> None:
        self._lost[topic] += count
        text = f'{reason}: {sum(self._lost.values())} messages lost so far'
        self.get_logger().warning(text, throttle_duration_sec=5.0)

    def _tick(self) -> None:
        self._tell_listening()
        self._follow_publishers()

    def _follow_publishers(self) -> None:
        """Ask of each topic no more than all of its publishers offer, or some are not heard."""
        for topic, subscription in list(self._subscriptions_of.items()):
            offers = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
            reliable, latched = common_offer(offers)
            wanted = subscription.qos_profile
            asks_too_much = (
                wanted.reliability == ReliabilityPolicy.RELIABLE and not reliable
            ) or (wanted.durability == DurabilityPolicy.TRANSIENT_LOCAL and not latched)
            if offers and asks_too_much:
                self.destroy_subscription(subscription)
                self._heard.pop(topic, None)
                self._subscribe(topic, subscription.msg_type, reliable, latched)

    def _tell_listening(self) -> None:
        """Say once that sensors and commands are heard: their publishers are found late at times.

        This tick counts what the tick before has found, so that publishers had time to find us.
        """
        if not self._unheard:
            return
        if all(self._heard.get(topic) for topic in self._unheard):
            self._unheard = set()
            self._listening.publish(Bool(data=True))
        self._heard = {t: self._subscriptions_of[t].get_publisher_count() for t in self._unheard}

    def work(self) -> None:
        """Write until the node is shut down, then finish the bag."""
        # An exception in the middle of a record would spoil the file, so SIGINT raises none here.
        signal.signal(signal.SIGINT, lambda *_: self._stop.set())
        self.get_logger().info(f'recording to {self._bag.folder}')
        self._write_until_shutdown()
        self._finish()

    def _write_until_shutdown(self) -> None:
        flushed_s = time.monotonic()
        while rclpy.ok() and not self._stop.is_set():
            with contextlib.suppress(queue.Empty):
                self._bag.write(*self._queue.get(timeout=0.1))
            if time.monotonic() - flushed_s > FLUSH_S:
                self._bag.flush()
                flushed_s = time.monotonic()

    def _finish(self) -> None:
        self._stop.set()
        while not self._queue.empty():
            self._bag.write(*self._queue.get_nowait())
        self._bag.close(Counter(self._lost))
        lost = ', '.join(f'{count} of {topic}' for topic, count in self._lost.items())
        text = f'{self._bag.count} messages, lost {lost or "none"}'
        print(f'recorded {self._bag.folder}: {text}', flush=True)


def common_offer(offers: Sequence[QoSProfile]) -> tuple[bool, bool]:
    """Return whether all publishers are reliable, and whether all keep what they said."""
    reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
    latched = all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
    return reliable, latched


def main() -> int:
    """Entry point."""
    return run_node(RecorderNode)


if __name__ == '__main__':
    sys.exit(main())
