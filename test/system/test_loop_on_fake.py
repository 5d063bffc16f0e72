"""The whole loop on the fake world, driven by launch_pytest: pictures in, motion and maps out."""

import json
import tempfile
import time
from pathlib import Path

import av
import launch_pytest
import numpy as np
import pytest
from ament_index_python.packages import get_package_share_directory
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from sensor_msgs.msg import Image
from trajectory_msgs.msg import JointTrajectory

from aim_ros import convert
from aim_ros.msg import ActionChunk, EpisodeStatus, PolicyStatus
from launch import LaunchDescription

pytestmark = pytest.mark.ros
RESULTS = Path(tempfile.mkdtemp(prefix='aim_ros_test_'))


@launch_pytest.fixture
def evaluation():
    """Episodes of the shipped policy, in a namespace: enough to be discovered in one of them."""
    path = Path(get_package_share_directory('aim_ros')) / 'launch' / 'sim_eval.launch.py'
    arguments = {
        'backend': 'fake',
        'policy': 'aim',
        'episodes': '20',
        'namespace': 'cell',
        'record': 'true',
        'results_dir': str(RESULTS),
    }
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(path)), launch_arguments=arguments.items()
    )
    return LaunchDescription([include, launch_pytest.actions.ReadyToTest()])


@pytest.mark.launch(fixture=evaluation)
def test_pictures_become_motion_and_value_maps(listener, robot):
    topics = {
        'value_map/head_camera/image': Image,
        'value_map/head_camera/overlay': Image,
        'action_chunk': ActionChunk,
        'left_arm_controller/joint_trajectory': JointTrajectory,
        'right_arm_controller/joint_trajectory': JointTrajectory,
        'episode_status': EpisodeStatus,
        'policy/status': PolicyStatus,
    }
    for topic, message_type in topics.items():
        listener.listen(message_type, f'/cell/{topic}')

    heat = listener.wait('/cell/value_map/head_camera/image', timeout_s=60)
    assert (heat.encoding, heat.height, heat.width) == ('32FC1', 240, 320)
    assert heat.header.frame_id == 'head_camera_optical_frame'
    values = np.frombuffer(heat.data, np.float32)
    assert values.min() >= 0
    assert values.max() <= 1
    overlay = listener.wait('/cell/value_map/head_camera/overlay')
    assert convert.from_image(overlay).std() > 5

    chunk = listener.wait('/cell/action_chunk')
    assert tuple(chunk.joint_names) == robot.joint_names
    assert len(chunk.positions) == chunk.steps * len(robot.joint_names)
    for arm in robot.arms:
        sent = listener.wait(f'/cell/{arm.controller}/joint_trajectory')
        assert tuple(sent.joint_names) == arm.joint_names
        assert convert.to_ns(sent.header.stamp) == 0
    running = listener.wait('/cell/policy/status', lambda m: m.state == PolicyStatus.RUNNING)
    assert running.chunks >= 1

    over = (EpisodeStatus.SUCCEEDED, EpisodeStatus.FAILED)
    end = listener.wait('/cell/episode_status', lambda m: m.state in over, timeout_s=90)
    assert (end.task, end.execution) == ('click_bell', 'lockstep')
    episode = wait_for_episode(end.seed)
    assert episode['steps'] == end.step
    assert episode['rejected_chunks'] == 0
    (video,) = RESULTS.glob(f'*/episodes/click_bell_{end.seed}.mp4')
    with av.open(str(video)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames == end.step + 1


def wait_for_episode(seed):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for path in RESULTS.glob('*/results.json'):
            for episode in json.loads(path.read_text())['episodes']:
                if episode['seed'] == seed:
                    return episode
        time.sleep(0.2)
    raise AssertionError(f'no episode of seed {seed} in results.json')
