"""Puts distractors onto the table where they are in nobody's way, as RoboTwin's hard scenes do."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from sim_bridge.distractors import COLOURS, KINDS, Shape
from sim_bridge.motion import turned
from sim_bridge.objects import Thing, build
from sim_bridge.scenery import PLAIN_SHARE
from sim_bridge.world import World

MOST, MOST_FAILURES = 10, 50
SPREAD_M, EDGE_M = (0.59, 0.34), (0.60, 0.34)
GAP_M = 0.005
TALL_M = 0.05  # what is taller stands behind the middle of the table only
MASS_KG = 0.05

Circle = tuple[float, float, float]  # x, y, radius


def scatter(
    world: World, rng: np.random.Generator, keep_clear: Sequence[Circle], kinds: Collection[str]
) -> list[Thing]:
    """Put distractors into a scene; they are no things of its task.

    Args:
        world: where to.
        rng: every random choice comes from here.
        keep_clear: circles where none may stand.
        kinds: the task's kinds of object; what looks like one of them is left out.
    """
    if rng.random() < PLAIN_SHARE:
        return []
    allowed = [kind for kind in KINDS if not kind.like & set(kinds)]
    taken, failures = list(keep_clear), 0
    things: list[Thing] = []
    while len(things) < MOST and failures < MOST_FAILURES:
        shape = allowed[rng.integers(len(allowed))].make(rng, COLOURS[rng.integers(len(COLOURS))])
        x, y, yaw = rng.uniform((-SPREAD_M[0], -SPREAD_M[1], -np.pi), (*SPREAD_M, np.pi)).tolist()
        if not fits(shape, x, y, taken):
            failures += 1
            continue
        taken.append((x, y, shape.radius))
        pose = turned(yaw)
        pose.p = [x, y, world.table_z_m + 0.001]
        name = f'clutter_{len(things)}'
        things.append(build(world.scene, name, shape.parts, pose, {}, MASS_KG))
    return things


def fits(shape: Shape, x: float, y: float, taken: Sequence[Circle]) -> bool:
    """Tell whether something may stand at a place: on the table, clear of others, not too tall."""
    radius = shape.radius
    if abs(x) + radius > EDGE_M[0] or abs(y) + radius > EDGE_M[1]:
        return False
    if shape.height > TALL_M and y - radius < 0:
        return False
    return all(np.hypot(x - a, y - b) >= radius + r + GAP_M for a, b, r in taken)
