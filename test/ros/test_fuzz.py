"""Odd messages do no harm; `ros2 run aim_ros fuzz` sends many more of them."""

import pytest

pytestmark = pytest.mark.ros


@pytest.fixture(params=['policy', 'controllers'])
def target(robot, request):
    rclpy = pytest.importorskip('rclpy')
    from aim_ros.fuzz import Controllers, PolicyParts

    rclpy.init()
    yield {'policy': PolicyParts, 'controllers': Controllers}[request.param](robot)
    rclpy.shutdown()


def test_odd_messages_crash_nothing_move_nothing_too_far_and_fill_no_memory(target):
    from aim_ros.fuzz import attack

    report = attack(target, 200)
    assert report.faults == []
    assert min(report.sent.values()) == 200
    assert report.broken
    assert report.let_through
