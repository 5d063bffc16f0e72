"""Publishes where a policy intends to act: value maps, and the same as pictures for people.

Everything is made in a thread of its own and only if somebody listens, so that neither the next
inference nor the motion waits for a picture.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Iterator

from geometry_msgs.msg import PointStamped
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image

from aim_policy.map_view import SCALE, Contact, draw
from aim_policy.robot import CameraSpec, RobotSpec
from aim_ros import convert
from aim_ros.intent import Contacts
from aim_ros.policy_loop import Sent
from aim_ros.ros_util import RELIABLE

BACKLOG = 4
"""Chunks that may wait to be drawn; older ones are left out."""


class ValueMapTopics:
    """The topics of one node.

    `value_map/<camera>/image` (32FC1, with camera_info beside it), `value_map/<camera>/overlay`
    (rgb8, twice the size, with overlay/camera_info), `value_peak/<camera>` (column and row in
    pixels, then the value) and `future/<camera>` (imagined frames, stamped with their time).
    """

    def __init__(self, node: Node, robot: RobotSpec, policy: object | None = None) -> None:
        """Make the topics; `policy` decodes the frames that it imagines while they are wanted."""
        self._node, self._policy = node, policy
        self._contacts = Contacts(robot)
        self._cameras = [CameraTopics(node, camera) for camera in robot.cameras]
        self._waiting: deque[Sent] = deque(maxlen=BACKLOG)
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True, name='value maps')
        self._thread.start()

    def publish(self, sent: Sent) -> None:
        """Show what a chunk was meant for, soon; returns at once."""
        if hasattr(self._policy, 'show_future'):
            self._policy.show_future = any(camera.future_wanted for camera in self._cameras)
        with self._changed:
            self._waiting.append(sent)
            self._changed.notify()

    def stop(self) -> None:
        """Show nothing more; the topics stay."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def close(self) -> None:
        """Take the topics away, from a callback of the node only.

        An executor that gathers what to wait for meanwhile would fall over one that has gone
        (https://github.com/ros2/rclpy/issues/1284).
        """
        self.stop()
        for camera in self._cameras:
            camera.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                sent = self._waiting.popleft()
            try:
                self._show(sent)
            except Exception:  # a picture that fails must not stop an arm
                if not self._node.context.ok():
                    return
                text = f'no value maps shown: {traceback.format_exc()}'
                self._node.get_logger().error(text, throttle_duration_sec=5.0)

    def _show(self, sent: Sent) -> None:
        for camera in self._cameras:
            camera.show_future(sent)
        busy = [camera for camera in self._cameras if camera.wanted]
        if not busy or sent.output.value_maps is None:
            return
        contacts = self._contacts.of(sent.output, sent.observation.joint_position)
        for camera in busy:
            camera.show(sent, contacts[camera.name])


class CameraTopics:
    """Publishers of one camera.

    Attributes:
        name: of the camera.
    """

    def __init__(self, node: Node, camera: CameraSpec) -> None:
        self._node, self._camera, self.name = node, camera, camera.name
        base = f'value_map/{camera.name}'
        self._heat = node.create_publisher(Image, f'{base}/image', RELIABLE)
        self._heat_info = node.create_publisher(CameraInfo, f'{base}/camera_info', RELIABLE)
        self._view = node.create_publisher(Image, f'{base}/overlay', RELIABLE)
        self._view_info = node.create_publisher(
            CameraInfo, f'{base}/overlay/camera_info', RELIABLE
        )
        self._peak = node.create_publisher(PointStamped, f'value_peak/{camera.name}', RELIABLE)
        self._future = node.create_publisher(Image, f'future/{camera.name}', RELIABLE)

    @property
    def wanted(self) -> bool:
        """Whether somebody listens to something of the map."""
        topics = (self._heat, self._heat_info, self._view, self._view_info, self._peak)
        return any(map(heard, topics))

    @property
    def future_wanted(self) -> bool:
        """Whether somebody listens to imagined frames."""
        return heard(self._future)

    def show(self, sent: Sent, contact: Contact) -> None:
        """Publish what is listened to of the first map of a chunk."""
        camera, stamp_ns = self._camera, sent.observation.stamp_ns
        maps = sent.output.value_maps
        assert maps is not None
        heat = maps.heat[camera.name][0]
        if heard(self._heat):
            self._heat.publish(convert.to_float_image(heat, stamp_ns, camera.frame_id))
        if heard(self._heat_info):
            self._heat_info.publish(convert.to_camera_info(camera, stamp_ns))
        if heard(self._peak):
            point = (*contact.peak_px, contact.value)
            self._peak.publish(convert.to_point(point, stamp_ns, camera.frame_id))
        if heard(self._view):
            view = draw(sent.observation.images[camera.name], heat, contact)
            self._view.publish(convert.to_image(view, stamp_ns, camera.frame_id))
        if heard(self._view_info):
            self._view_info.publish(convert.to_camera_info(camera, stamp_ns, SCALE))

    def show_future(self, sent: Sent) -> None:
        """Publish imagined frames, if there are any."""
        if self.future_wanted:
            for stamp_ns, frame in self._imagined(sent):
                self._future.publish(convert.to_image(frame, stamp_ns, self._camera.frame_id))

    def _imagined(self, sent: Sent) -> Iterator[tuple[int, convert.Pixels]]:
        frames = sent.output.future_images.get(self.name, ())
        end_ns, begin_ns = sent.output.chunk.end_ns, sent.observation.stamp_ns
        for number, frame in enumerate(frames, 1):
            yield begin_ns + (end_ns - begin_ns) * number // len(frames), frame

    def close(self) -> None:
        """Take the topics away."""
        topics = (self._heat, self._heat_info, self._view, self._view_info, self._peak)
        for publisher in (*topics, self._future):
            self._node.destroy_publisher(publisher)


def heard(publisher: Publisher) -> bool:
    """Tell whether somebody listens."""
    return publisher.get_subscription_count() > 0
