"""Runs are recorded whole, and a replayed bag shows a policy what it saw when it was recorded."""

import signal
import time

import numpy as np
import pytest
from nodes import BIN, words
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState

from aim_policy.interface import Observation
from aim_ros import convert
from aim_ros.bag_contents import contents, origin_of
from aim_ros.bag_reader import BagReader
from aim_ros.bag_topics import SensorFeed
from aim_ros.installation import transport
from aim_ros.msg import ActionChunk, PolicyStatus
from aim_ros.observer import Observer, ObserverConfig
from aim_ros.ros_util import STATES

pytestmark = pytest.mark.ros
RECORDER = BIN / 'recorder_node'


class LiveObserver:
    """Forms observations out of topics, with the calls that the policy node makes."""

    def __init__(self, listener, robot):
        self.found = {}
        self._observer = Observer(robot, ObserverConfig())
        self._observer.set_instruction('look')
        for camera in robot.cameras:
            self._listen(listener, Image, f'/{camera.name}/image_raw', self._image(camera.name))
        for topic, add in (
            ('/joint_states', self._observer.add_joints),
            ('/joint_targets', self._observer.add_targets),
        ):
            self._listen(listener, JointState, topic, self._joints(add))

    def _listen(self, listener, message_type, topic, add):
        def take(message):
            add(message, convert.to_ns(message.header.stamp))
            keep(self._observer, self.found)

        listener.create_subscription(message_type, topic, take, 100)

    def _image(self, camera):
        return lambda message, stamp_ns: self._observer.add_image(
            camera, stamp_ns, convert.from_image(message)
        )

    def _joints(self, add):
        return lambda message, stamp_ns: add(stamp_ns, message.name, message.position)


def keep(observer, found):
    latest = observer.latest(None)
    if isinstance(latest, Observation):
        found.setdefault(latest.stamp_ns, latest)


def replayed(reader, robot):
    observer, found = Observer(robot, ObserverConfig()), {}
    observer.set_instruction('look')
    feed = SensorFeed(robot, observer)
    for message in reader:
        feed.add(message)
        keep(observer, found)
    return found


def chunks_of(messages):
    return {convert.to_ns(m.header.stamp): list(m.positions) for m in messages}


def assert_same(one, other):
    assert list(one.images) == list(other.images)
    for name, image in one.images.items():
        np.testing.assert_array_equal(image, other.images[name])
    np.testing.assert_array_equal(one.joint_position, other.joint_position)
    np.testing.assert_array_equal(one.joint_target, other.joint_target)
    assert (one.stamps_ns, one.stamp_ns) == (other.stamps_ns, other.stamp_ns)


def test_replay_gives_the_same_observations_and_the_same_chunks(
    sim_eval, start, listener, robot, untrained, tmp_path
):
    live = LiveObserver(listener, robot)
    launched = sim_eval(backend='fake', checkpoint=untrained, episodes=1, seed=1, record='bag')
    launched.wait_for('recording to')
    listener.listen(ActionChunk, '/action_chunk', 1000)
    listener.wait('/action_chunk', lambda message: message.chunk_id >= 5, 90)
    end = time.monotonic() + 30  # a loaded machine finds the cameras late
    while len(live.found) < 10 and time.monotonic() < end:
        time.sleep(0.05)
    launched.process.send_signal(signal.SIGINT)
    launched.wait(30)
    (folder,) = tmp_path.glob('*_bag')
    assert f'recorded {folder}' in launched.output
    assert (folder / 'metadata.yaml').is_file()

    reader = BagReader(folder)
    assert origin_of(reader) == (robot, '')
    recorded = replayed(reader, robot)
    both = live.found.keys() & recorded.keys()
    assert len(both) >= 5
    for stamp_ns in both:
        assert_same(live.found[stamp_ns], recorded[stamp_ns])

    messages = [m.decode() for m in reader if m.topic == '/action_chunk']
    chunks = chunks_of(messages)
    found = contents(reader, robot)
    assert found.chunk_stamps == tuple(sorted(chunks))
    assert [(s.task, s.seed) for s in found.segments] == [('click_bell', 200_000)]
    assert chunks.keys() <= recorded.keys()
    assert [message.chunk_id for message in messages] == list(range(len(messages)))

    replay = 'replay.launch.py', f'bag:={folder}', f'checkpoint:={untrained}'
    launched = start('ros2', 'launch', 'aim_ros', *replay)
    assert launched.wait(120) == 0, launched.output

    listener.received['/action_chunk'].clear()
    listener.listen(PolicyStatus, '/policy/status', STATES)
    start(str(BIN / 'policy_node'), *words(use_sim_time=True, checkpoint=untrained), **transport())
    # Who hears its state hears its chunks.
    listener.wait('/policy/status', lambda m: m.state == PolicyStatus.IDLE, timeout_s=90)
    again = start(str(BIN / 'replay_node'), *words(bag=folder), **transport())
    assert again.wait(120) == 0, again.output
    last_ns = max(chunks)
    listener.wait('/action_chunk', lambda m: convert.to_ns(m.header.stamp) == last_ns, 30)
    answers = chunks_of(listener.received['/action_chunk'])
    assert len(answers) > 1
    for stamp_ns in answers.keys() & chunks.keys():
        assert answers[stamp_ns] == chunks[stamp_ns]


def test_a_best_effort_driver_is_heard_and_sigterm_finishes_the_bag(start, listener, tmp_path):
    qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = listener.create_publisher(JointState, '/cell/joint_states', qos)
    options = ('-r', '__ns:=/cell', '-p', f'bag:={tmp_path / "run"}')
    recorder = start(str(RECORDER), '--ros-args', *options)
    recorder.wait_for('recording to')
    end_s = time.monotonic() + 20
    while not publisher.get_subscription_count() and time.monotonic() < end_s:
        time.sleep(0.05)
    assert publisher.get_subscription_count()
    for number in range(20):
        publisher.publish(JointState(name=['a'], position=[float(number)]))
        time.sleep(0.02)
    recorder.process.send_signal(signal.SIGTERM)
    assert recorder.wait(20) == 0
    messages = list(BagReader(tmp_path / 'run'))
    assert {message.topic for message in messages} - {'/rosout'} == {'/cell/joint_states'}
    found = [message for message in messages if message.topic == '/cell/joint_states']
    positions = [message.decode().position[0] for message in found]
    assert len(positions) >= 10, recorder.output
    assert positions == list(range(int(positions[0]), int(positions[-1]) + 1))
    assert 'lost none' in recorder.output


def test_what_the_replay_cannot_do_is_one_line(start, tmp_path):
    replay = RECORDER.with_name('replay_node')
    launched = start(str(replay), '--ros-args', '-p', f'bag:={tmp_path / "none"}')
    assert launched.wait(30) == 2
    expected = f'{tmp_path / "none"}: no such bag, expected a folder or an .mcap file'
    assert launched.output.strip().splitlines() == [expected]
