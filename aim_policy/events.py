"""Contacts of an episode: what each arm touches, when, and where on the object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from aim_policy.config import ConfigError
from aim_policy.interface import Vector

KINDS = ('pick', 'place', 'press')


class EpisodeError(ConfigError):
    """A recording that cannot be used: says which field, what was found and what was expected."""


@dataclass(frozen=True)
class Event:
    """The beginning of one contact.

    Attributes:
        step: policy step at which contact begins.
        arm: which arm makes it.
        kind: one of `KINDS`.
        object: what is touched; for a place, the support that the carried thing is put on.
        points: float64[P, 3], where, in that object's frame (m).
    """

    step: int
    arm: str
    kind: str
    object: str
    points: Vector

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise EpisodeError(f'kind is "{self.kind}", expected {", ".join(KINDS)}')
        shape = np.shape(self.points)
        if len(shape) != 2 or shape[0] == 0 or shape[1] != 3:
            raise EpisodeError(f'points has shape {shape}, expected (P, 3) with P > 0')
        if not np.isfinite(self.points).all():
            raise EpisodeError('points has values that are not finite, expected metres')


def next_events(events: Iterable[Event], step: int, arms: Iterable[str]) -> list[Event]:
    """Return the event that each arm is heading for at `step`; arms that are done have none."""
    ahead = sorted((e for e in events if e.step >= step), key=lambda e: e.step)
    first = (next((e for e in ahead if e.arm == arm), None) for arm in arms)
    return [event for event in first if event is not None]
