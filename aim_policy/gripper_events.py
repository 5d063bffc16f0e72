"""Contacts of a real robot, which has no simulator to ask: told from its grippers.

A gripper that closes picks something, one that opens again places it, both at the finger tips.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aim_policy.events import Event
from aim_policy.interface import Vector
from aim_policy.robot import RobotSpec

WORLD = 'world'
"""Name of the object that events are fixed to: nobody knows where the things are."""
FINGERTIP = (0.12, 0.0, 0.0)
"""Point between the finger tips in the frame of the arm's last link (m), of aloha_agilex."""
CLOSED_BELOW = 0.4
"""A gripper that opens less wide than this has closed; wider, it may only prepare to."""
MOVED = 0.15
"""A change of the opening that means something."""


def gripper_events(
    robot: RobotSpec, target: Vector, hand: dict[str, Vector], fingertip: Vector
) -> tuple[Event, ...]:
    """Return all picks and places, in order.

    Args:
        robot: whose arms they are.
        target: float64[T, A], commanded.
        hand: arm -> float64[T, 4, 4], its last link in the world.
        fingertip: float64[3], in the frame of that link.
    """
    events = []
    for arm in robot.arms:
        opening = target[:, robot.columns(arm.name)][:, -1]
        for step, kind in _changes(opening):
            pose = hand[arm.name][step]
            point = pose[:3, :3] @ fingertip + pose[:3, 3]
            events.append(Event(step, arm.name, kind, WORLD, point[None]))
    return tuple(sorted(events, key=lambda event: event.step))


def _changes(opening: Vector) -> Iterator[tuple[int, str]]:
    """Find where a gripper closes, and where it begins to open after that."""
    values = np.asarray(opening).tolist()
    closed, held = values[0] < CLOSED_BELOW, False  # at the start it may be closed on nothing
    extreme = values[0]  # smallest since it closed, largest since it opened
    for step, value in enumerate(values):
        extreme = min(extreme, value) if closed else max(extreme, value)
        if closed and value > extreme + MOVED:
            if held:
                yield step, 'place'
            closed = held = False
            extreme = value
        elif not closed and value < min(CLOSED_BELOW, extreme - MOVED):
            yield step, 'pick'
            closed = held = True
            extreme = value
