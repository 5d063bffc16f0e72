"""Bags as files: readable by others, up to a cut, and what happened in them. Needs no ROS."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from aim_policy.config import ConfigError
from aim_policy.interface import Observation
from aim_policy.robot import load_robot
from aim_ros.bag import BagWriter
from aim_ros.bag_contents import contents, origin_of
from aim_ros.bag_reader import BagReader, in_order
from aim_ros.bag_topics import SensorFeed
from aim_ros.observer import NotReady, Observer, ObserverConfig

sys.path.insert(0, str(Path(__file__).parents[1]))
from bags import BEGIN_NS, MS, TestBag, text  # noqa: E402

ROBOT = load_robot('aloha_agilex')
DT_NS = ROBOT.dt_ns


def write_run(bag, steps=4):
    bag.write('instruction', text('press the bell'), BEGIN_NS)
    for step in range(steps):
        bag.write_step(ROBOT, BEGIN_NS + step * DT_NS, ROBOT.home, value=step)
    return bag


@pytest.mark.parametrize('compression', ['zstd', 'lz4', 'none'])
def test_other_software_reads_what_was_written(tmp_path, compression):
    bag = write_run(TestBag(tmp_path / 'run', {'robot': 'mine'}, compression=compression))
    bag.writer.close()
    ours = list(BagReader(tmp_path / 'run'))
    with AnyReader([tmp_path / 'run']) as reader:
        theirs = [(c.topic, c.msgtype, time, bytes(data)) for c, time, data in reader.messages()]
        assert reader.message_count == len(ours) == 21
        counts = {topic: info.msgcount for topic, info in reader.topics.items()}
        assert counts['/instruction'] == 1
        assert counts['/head_camera/image_raw'] == 4
        qos = reader.topics['/instruction'].connections[0].ext.offered_qos_profiles[0]
        assert (qos.reliability.name, qos.durability.name) == ('RELIABLE', 'VOLATILE')
    assert sorted(theirs) == sorted((m.topic, m.type_name, m.log_ns, m.data) for m in ours)
    assert BagReader(tmp_path / 'run').about() == {'robot': 'mine'}


def test_a_file_that_was_cut_off_is_readable_up_to_the_cut(tmp_path):
    bag = write_run(TestBag(tmp_path / 'run'), steps=2)
    bag.writer.flush()
    (path,) = (tmp_path / 'run').glob('*.mcap')
    whole = path.stat().st_size
    bag.write_step(ROBOT, BEGIN_NS + 2 * DT_NS, ROBOT.home)
    bag.writer.flush()
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(path.read_bytes()[: (whole + path.stat().st_size) // 2])
    reader = BagReader(cut)
    assert len(list(reader)) == 11
    assert reader.cut == f'{cut} ends early: it was cut off'
    with_hole = tmp_path / 'hole.mcap'
    content = bytearray(path.read_bytes())
    content[whole + 60 : whole + 90] = bytes(30)
    with_hole.write_bytes(content)
    reader = BagReader(with_hole)
    assert len(list(reader)) == 11
    assert reader.cut.startswith(f'{with_hole} is damaged after')


def test_a_full_disk_is_one_clear_error(tmp_path):
    code = f"""
import resource, signal
from aim_policy.config import ConfigError
from aim_ros.bag import BagWriter, offered_qos
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
bag = BagWriter({str(tmp_path / 'run')!r}, {{}}, 'none')
bag.add_topic('/a', 'std_msgs/msg/String', 'string data', [offered_qos(True, False, 1)])
try:
    for number in range(100):
        bag.write('/a', bytes(20_000), number, number)
        bag.flush()
except ConfigError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stderr == ''
    assert 'run: cannot be written: File too large; 10 messages were' in done.stdout
    assert len(list(BagReader(tmp_path / 'run'))) == 9


def test_what_is_no_bag_is_refused_in_one_line(tmp_path):
    (tmp_path / 'text.mcap').write_text('not a bag')
    (tmp_path / 'old').mkdir()
    old = 'rosbag2_bagfile_information: {storage_identifier: sqlite3, relative_file_paths: [a]}'
    (tmp_path / 'old' / 'metadata.yaml').write_text(old)
    (tmp_path / 'empty').mkdir()
    for name, reason in (
        ('none', 'no such bag'),
        ('text.mcap', 'is no MCAP file'),
        ('old', 'storage is sqlite3, expected mcap'),
        ('empty', 'has no .mcap file'),
    ):
        with pytest.raises(ConfigError, match=reason):
            list(BagReader(tmp_path / name))
    with pytest.raises(ConfigError, match='exists already'):
        BagWriter(tmp_path / 'empty', {})


def test_each_instruction_begins_an_episode(tmp_path):
    bag = write_run(TestBag(tmp_path / 'run', {'namespace': 'cell'}, namespace='cell'), steps=3)
    bag.write('instruction', text('open the laptop'), BEGIN_NS + 3 * DT_NS - 1)
    bag.write_step(ROBOT, BEGIN_NS + 3 * DT_NS, ROBOT.home)
    bag.writer.close()
    reader = BagReader(tmp_path / 'run')
    robot, namespace = origin_of(reader, 'aloha_agilex')
    first, second = contents(reader, robot, namespace).segments
    assert (first.instruction, second.instruction) == ('press the bell', 'open the laptop')
    assert (first.begin_ns, first.end_ns) == (BEGIN_NS, BEGIN_NS + 3 * DT_NS)
    assert (second.begin_ns, second.end_ns) == (first.end_ns, first.end_ns + 1)
    with pytest.raises(ConfigError, match='does not say which robot'):
        origin_of(reader)
    with pytest.raises(ConfigError, match='found /cell/.*expected /elsewhere/'):
        contents(reader, robot, 'elsewhere')


def test_sensors_of_a_bag_make_observations(tmp_path):
    write_run(TestBag(tmp_path / 'run')).writer.close()
    observer = Observer(ROBOT, ObserverConfig())
    observer.set_instruction('press the bell')
    feed, found = SensorFeed(ROBOT, observer), {}
    for message in BagReader(tmp_path / 'run'):
        feed.add(message)
        latest = observer.latest(None)
        if not isinstance(latest, NotReady):
            found[latest.stamp_ns] = latest
    assert list(found) == [BEGIN_NS + step * DT_NS for step in range(4)]
    for value, observation in enumerate(found.values()):
        assert isinstance(observation, Observation)
        assert {image.max() for image in observation.images.values()} == {value}
        np.testing.assert_allclose(observation.joint_position, ROBOT.home, atol=1e-12)


def test_late_messages_are_put_in_order(tmp_path):
    bag = TestBag(tmp_path / 'run')
    order = [0, 2, 1, 5, 3, 4]
    for number in order:
        bag.write('instruction', text(str(number)), BEGIN_NS + number * 100 * MS)
    bag.writer.close()
    messages = in_order(BagReader(tmp_path / 'run'), lambda message: message.log_ns)
    assert [message.decode().data for message in messages] == list('012345')
