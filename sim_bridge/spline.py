"""Curves through timed points, interpolated as joint_trajectory_controller does.

Positions alone make straight lines, velocities on both ends of a segment a cubic, accelerations a
quintic. Time is in nanoseconds and an argument.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.polynomial.polynomial import polyder, polyval

from aim_policy.interface import Vector


@dataclass(frozen=True)
class Knot:
    """A state that a curve passes through; what is None is left to the interpolation."""

    time_ns: int
    positions: Vector
    velocities: Vector | None
    accelerations: Vector | None


class Motion(Protocol):
    """Something that says where joints should be at any time."""

    @property
    def end_ns(self) -> int:
        """When it comes to rest; while at rest, when that began."""

    def at(self, t_ns: int) -> Knot:
        """Return the state at a time, velocities and accelerations included."""

    def current(self, t_ns: int) -> Motion:
        """Return the motion without what is over at a time."""


def rest(t_ns: int, positions: Vector) -> Knot:
    """Stand still."""
    zeros = np.zeros_like(positions)
    return Knot(t_ns, positions.copy(), zeros, zeros.copy())


class Curve:
    """A motion through knots, at rest at the last one's positions after it.

    Attributes:
        knots: at least one, by time.
    """

    def __init__(self, knots: Sequence[Knot], jump: bool = False, lead: int = 0) -> None:
        """Make a curve; `jump` takes each next point at once, `lead` segments before wait."""
        self.knots = tuple(knots)
        self._jump = jump
        self._lead = lead

    @property
    def end_ns(self) -> int:
        """See `Motion`."""
        return self.knots[-1].time_ns

    def current(self, t_ns: int) -> Motion:
        """See `Motion`."""
        return self

    def at(self, t_ns: int) -> Knot:
        """See `Motion`."""
        index = bisect_right(self.knots, t_ns, key=lambda knot: knot.time_ns) - 1
        if not 0 <= index < len(self.knots) - 1:
            return rest(t_ns, self.knots[max(index, 0)].positions)
        if self._jump:
            return rest(t_ns, self.knots[index + (index >= self._lead)].positions)
        return interpolate(self.knots[index], self.knots[index + 1], t_ns)


class Switch:
    """One motion until a time, another from then on."""

    def __init__(self, before: Motion, after: Motion, time_ns: int) -> None:
        self._before, self._after, self._time_ns = before, after, time_ns

    @property
    def end_ns(self) -> int:
        """See `Motion`."""
        return self._after.end_ns

    def current(self, t_ns: int) -> Motion:
        """See `Motion`."""
        return self if t_ns < self._time_ns else self._after.current(t_ns)

    def at(self, t_ns: int) -> Knot:
        """See `Motion`."""
        return (self._before if t_ns < self._time_ns else self._after).at(t_ns)


def interpolate(start: Knot, end: Knot, t_ns: int) -> Knot:
    """Return the state between two knots: linear, cubic or quintic, by what both ends know."""
    duration = (end.time_ns - start.time_ns) / 1e9
    fraction = (t_ns - start.time_ns) / (end.time_ns - start.time_ns)
    p0, delta = start.positions, end.positions - start.positions
    v0, v1, a0, a1 = start.velocities, end.velocities, start.accelerations, end.accelerations
    if v0 is None or v1 is None:
        return Knot(t_ns, p0 + delta * fraction, delta / duration, np.zeros_like(p0))
    # Coefficients over the fraction of the segment: derivatives scale with its duration.
    v0, v1 = v0 * duration, v1 * duration
    if a0 is None or a1 is None:
        terms = np.array([p0, v0, 3 * delta - 2 * v0 - v1, v0 + v1 - 2 * delta])
    else:
        a0, a1 = a0 * duration**2, a1 * duration**2
        cubic = 10 * delta - 6 * v0 - 4 * v1 - 1.5 * a0 + 0.5 * a1
        quartic = -15 * delta + 8 * v0 + 7 * v1 + 1.5 * a0 - a1
        quintic = 6 * delta - 3 * (v0 + v1) + (a1 - a0) / 2
        terms = np.array([p0, v0, a0 / 2, cubic, quartic, quintic])
    position, first, second = (
        np.asarray(polyval(fraction, polyder(terms, order))) for order in range(3)
    )
    return Knot(t_ns, position, first / duration, second / duration**2)
