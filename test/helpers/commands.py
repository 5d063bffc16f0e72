"""Trajectories of joint a, or of more, with times in seconds after START."""

from sim_bridge.controller import (
    TrajectoryCommand,
)

SECOND = 1_000_000_000
START = 100 * SECOND
BLEND = {'allow_trajectory_replacement': True}


def at(seconds):
    return START + round(seconds * SECOND)


def points(*rows, stamp=None, joints=('a',), v=None):
    """A command from (time, positions...) rows, with velocities where `v` gives them."""
    times, positions = [], []
    for time_s, *values in rows:
        times.append(round(time_s * SECOND))
        positions.append(tuple(map(float, values)))
    stamp_ns = 0 if stamp is None else at(stamp)
    speeds = None if v is None else tuple((float(x),) for x in v)
    return TrajectoryCommand(joints, tuple(positions), tuple(times), speeds, stamp_ns=stamp_ns)


def speeds(*rows):
    """A command that gives velocities alone."""
    times = tuple(round(time_s * SECOND) for time_s, _ in rows)
    return TrajectoryCommand(('a',), None, times, tuple((float(v),) for _, v in rows))


def accelerations(*rows):
    times = tuple(round(time_s * SECOND) for time_s, _ in rows)
    return TrajectoryCommand(('a',), None, times, None, tuple((float(a),) for _, a in rows))


LINE = points((1, 1.0), (2, 2.0))  # one unit per second
BACK = points((1, 0.0), (2, -1.0))
