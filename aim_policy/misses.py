"""What a demonstration shows but nobody should do: closing a gripper on nothing.

Such attempts teach how to go on after a miss, so they are recorded; that one closes there is not
to be learned.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from aim_policy.interface import Vector

SLOWING_STEPS = 4
"""Policy steps before fingers close in which an arm already stops short."""
STILL, FAR = 1e-3, 0.2
"""Change of an opening per policy step that is none, and the least of one that means something."""


def misses(grippers: Vector, event_steps: Vector) -> np.ndarray:
    """Tell which commands lead to a gripper that closes and opens again without a contact.

    Args:
        grippers: float64[T, G], commanded openings.
        event_steps: int[E], when contacts began.

    Returns:
        bool[T].
    """
    missed = np.zeros(len(grippers), bool)
    for commands in grippers.T:
        for closing, opening in pairwise(_moves(commands)):
            closes = commands[closing[0] - 1] - commands[closing[-1]] > FAR
            opens = commands[opening[-1]] - commands[opening[0] - 1] > FAR
            touched = ((event_steps >= closing[0]) & (event_steps < opening[0])).any()
            if closes and opens and not touched:
                missed[max(0, closing[0] - SLOWING_STEPS) : closing[-1] + 1] = True
    return missed


def _moves(commands: Vector) -> list[np.ndarray]:
    """Steps at which a gripper moves, those of one motion together."""
    change = np.diff(commands, prepend=commands[0])
    direction = np.where(abs(change) > STILL, np.sign(change), 0)
    moving = np.flatnonzero(direction)
    ends = (np.diff(moving) != 1) | (np.diff(direction[moving]) != 0)
    return [move for move in np.split(moving, np.flatnonzero(ends) + 1) if len(move)]
