"""Finds out from contacts alone what was picked, placed and pressed, when, where and by which arm.

It watches the world once per policy step and knows nothing of the expert, so it labels any motion,
also one that fails at first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import sapien

from aim_policy.events import Event
from aim_policy.interface import Vector
from sim_bridge.objects import Thing
from sim_bridge.world import Touch, World

LIFTED_M = 0.004  # a thing that both fingers hold and that moved this far is picked
GAP_STEPS = 2  # contacts flicker
REST_M_S, REST_STEPS = 0.01, 10


@dataclass
class _Grip:
    """Both fingers of an arm on one thing."""

    thing: Thing
    step: int
    points: Vector  # in the thing's frame
    start: Vector  # where the thing was
    last_step: int
    picked: bool = False


@dataclass
class _Release:
    """A thing that an arm let go of and that has not come to rest."""

    arm: str
    thing: Thing
    step: int
    still: int = 0
    position: Vector = field(default_factory=lambda: np.zeros(3))


class EventRecorder:
    """Collects the events of an episode: `observe` after every policy step, then `finish`."""

    def __init__(self, world: World, pressed: tuple[str, ...] = ()) -> None:
        """Watch `world`; a finger or a tool on a thing named in `pressed` is a press.

        What an arm holds already was picked before.
        """
        self._world = world
        self._pressed = pressed
        self._events: list[Event] = []
        self._grips: dict[str, _Grip] = {}
        self._releases: list[_Release] = []
        self._last_press: dict[tuple[str, str], int] = {}
        self._step = 0
        for arm in world.model.fingers:
            self._watch_grip(arm, world.touches(), picked=True)

    def observe(self) -> None:
        """Look at the world as it is after a policy step."""
        self._step += 1
        touches = self._world.touches()
        for arm in self._world.model.fingers:
            self._watch_grip(arm, touches)
        self._watch_presses(touches)
        for release in list(self._releases):
            self._watch_release(release, touches)

    def finish(self) -> tuple[Event, ...]:
        """Return all events in order; a thing that still moves counts as placed where it is."""
        touches = self._world.touches()
        for release in self._releases:
            self._place(release, touches)
        self._releases.clear()
        return tuple(sorted(self._events, key=lambda event: event.step))

    def held(self, arm: str) -> Thing | None:
        """Return what an arm has picked and not let go."""
        grip = self._grips.get(arm)
        return grip.thing if grip and grip.picked else None

    def _watch_grip(self, arm: str, touches: list[Touch], picked: bool = False) -> None:
        grip = self._grips.get(arm)
        found = self._between_fingers(arm, touches)
        if found and (grip is None or grip.thing is not found[0]):
            thing, points = found
            start = np.array(thing.pose.p, dtype=np.float64)
            where = _local(thing.pose, points)
            grip = _Grip(thing, self._step, where, start, self._step, picked)
            self._grips[arm] = grip
        if grip is None:
            return
        if found:
            grip.last_step = self._step
        elif self._step - grip.last_step > GAP_STEPS:
            self._let_go(arm, grip)
            return
        moved = np.linalg.norm(grip.thing.pose.p - grip.start)
        if not grip.picked and moved > LIFTED_M:
            grip.picked = True
            self._events.append(Event(grip.step, arm, 'pick', grip.thing.name, grip.points))

    def _let_go(self, arm: str, grip: _Grip) -> None:
        del self._grips[arm]
        others = (self.held(other) for other in self._grips)
        if grip.picked and grip.thing not in others:
            self._releases.append(_Release(arm, grip.thing, grip.last_step + 1))

    def _between_fingers(self, arm: str, touches: list[Touch]) -> tuple[Thing, Vector] | None:
        """Return the movable thing that both fingers press on, with the points in the world."""
        for thing in self._world.things.values():
            if not thing.movable:
                continue
            parts = [
                [t.points for t in touches if t.joins({finger}, thing.body)]
                for finger in self._world.model.fingers[arm]
            ]
            if all(parts):
                return thing, np.concatenate([points for part in parts for points in part])
        return None

    def _watch_presses(self, touches: list[Touch]) -> None:
        for name in self._pressed:
            thing = self._world.things[name]
            for arm, fingers in self._world.model.fingers.items():
                tool = self.held(arm)
                bodies = {*fingers, *([tool.body] if tool else [])}
                points = [t.points for t in touches if t.joins(bodies, thing.body)]
                if not points:
                    continue
                last = self._last_press.get((arm, name))
                self._last_press[arm, name] = self._step
                if last is None or self._step - last > REST_STEPS:
                    where = _local(thing.pose, np.concatenate(points))
                    self._events.append(Event(self._step, arm, 'press', name, where))

    def _watch_release(self, release: _Release, touches: list[Touch]) -> None:
        if release.thing in (self.held(arm) for arm in self._grips):
            self._releases.remove(release)  # it was caught again before it came to rest
            return
        position = np.array(release.thing.pose.p, dtype=np.float64)
        speed = np.linalg.norm(position - release.position) / self._world.robot.dt_s
        release.position = position
        release.still = release.still + 1 if speed < REST_M_S else 0
        if release.still >= REST_STEPS:
            self._releases.remove(release)
            self._place(release, touches)

    def _place(self, release: _Release, touches: list[Touch]) -> None:
        supports = [t for t in self._world.things.values() if t is not release.thing]
        for support in (*supports, self._world.table):  # a thing explains more than the table
            points = [t.points for t in touches if t.joins({release.thing.body}, support.body)]
            if points:
                where = _local(support.pose, np.concatenate(points))
                name = support.name
                self._events.append(Event(release.step, release.arm, 'place', name, where))
                return


def _local(pose: sapien.Pose, points: Vector) -> Vector:
    """World points -> points in the frame of a pose."""
    matrix = pose.inv().to_transformation_matrix()
    return points @ matrix[:3, :3].T + matrix[:3, 3]
