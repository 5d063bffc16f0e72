"""Makes bags for tests, with messages serialised by a library that is not ours."""

import numpy as np
from rosbags.typesys import Stores, get_typestore

from aim_ros.bag import BagWriter, offered_qos
from aim_ros.bag_topics import full_name

STORE = get_typestore(Stores.ROS2_KILTED)
MS = 1_000_000
BEGIN_NS = 1_700_000_000_000 * MS


def make(kind, /, **fields):
    return STORE.types[kind](**fields)


def header(stamp_ns, frame=''):
    time = make('builtin_interfaces/msg/Time', sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return make('std_msgs/msg/Header', stamp=time, frame_id=frame)


def image(pixels, stamp_ns, frame):
    height, width = pixels.shape[:2]
    return make(
        'sensor_msgs/msg/Image',
        header=header(stamp_ns, frame),
        height=height,
        width=width,
        encoding='rgb8',
        is_bigendian=0,
        step=3 * width,
        data=pixels.reshape(-1),
    )


def camera_info(matrix, distortion, stamp_ns):
    region = dict(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make(
        'sensor_msgs/msg/CameraInfo',
        header=header(stamp_ns),
        height=240,
        width=320,
        distortion_model='plumb_bob',
        d=np.array(distortion, float),
        k=matrix,
        r=np.eye(3).ravel(),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=make('sensor_msgs/msg/RegionOfInterest', **region),
    )


def joints(names, positions, stamp_ns):
    empty = np.zeros(0)
    return make(
        'sensor_msgs/msg/JointState',
        header=header(stamp_ns),
        name=list(names),
        position=np.asarray(positions, float),
        velocity=empty,
        effort=empty,
    )


def text(words):
    return make('std_msgs/msg/String', data=words)


def transform(parent, child, position, quat_xyzw):
    x, y, z, w = map(float, quat_xyzw)
    stamped = make(
        'geometry_msgs/msg/TransformStamped',
        header=header(BEGIN_NS, parent),
        child_frame_id=child,
        transform=make(
            'geometry_msgs/msg/Transform',
            translation=make(
                'geometry_msgs/msg/Vector3', **dict(zip('xyz', position, strict=True))
            ),
            rotation=make('geometry_msgs/msg/Quaternion', x=x, y=y, z=z, w=w),
        ),
    )
    return make('tf2_msgs/msg/TFMessage', transforms=[stamped])


class TestBag:
    """A bag that is being written."""

    __test__ = False

    def __init__(self, folder, about=None, namespace='', **options):
        self.writer = BagWriter(folder, about or {}, **options)
        self.namespace, self.topics = namespace, set()

    def write(self, topic, message, time_ns):
        topic, kind = full_name(self.namespace, topic), message.__msgtype__
        if topic not in self.topics:
            self.topics.add(topic)
            definition = STORE.generate_msgdef(kind, ros_version=2)[0]
            self.writer.add_topic(topic, kind, definition, [offered_qos(True, False, 10)])
        self.writer.write(topic, bytes(STORE.serialize_cdr(message, kind)), time_ns, time_ns)

    def write_step(self, robot, stamp_ns, action, value=0, skip=()):
        """Write all sensors of one moment; pictures are grey."""
        for camera in robot.cameras:
            if camera.name not in skip:
                pixels = np.full((camera.height, camera.width, 3), value, np.uint8)
                picture = image(pixels, stamp_ns, camera.frame_id)
                self.write(f'{camera.name}/image_raw', picture, stamp_ns)
        for topic in (robot.joint_states_topic, robot.joint_targets_topic):
            if topic and topic not in skip:
                message = joints(robot.joint_names, robot.to_joints(action), stamp_ns)
                self.write(topic, message, stamp_ns)
