"""The border between a robot and a policy: numpy in, numpy out, no ROS message and no tensor.

Shape letters, with the same meaning everywhere in the project: B batch, V cameras, T frames,
F predicted frames, C channels, H W pixels, h w latent cells, N tokens, D width, K steps in a
chunk, A action dimensions, S physics steps.

An action vector holds, per arm in the order of the robot YAML, its joint positions (rad) and its
gripper opening (0 closed, 1 open).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

EXECUTIONS = ('lockstep', 'realtime')
"""Whether simulated time waits for the policy, or follows the clock so that latency counts."""

Image = NDArray[np.uint8]
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Observation:
    """One consistent set of sensor readings.

    Attributes:
        images: camera name -> uint8[H, W, 3], RGB.
        stamps_ns: stream name -> capture time of what was used of it.
        joint_position: float64[A], measured.
        joint_target: float64[A], what the controllers were last told to reach.
        instruction: what to do, in plain language.
        stamp_ns: capture time of the oldest image.
    """

    images: dict[str, Image]
    stamps_ns: dict[str, int]
    joint_position: Vector
    joint_target: Vector
    instruction: str
    stamp_ns: int


@dataclass(frozen=True)
class ActionChunk:
    """A short future of joint targets.

    Attributes:
        positions: float64[K, A]; row k is to be reached at `stamp_ns + (k + 1) * dt_s`.
        dt_s: time between rows.
        joint_names: A names, in column order.
        stamp_ns: stamp of the observation that the chunk was computed from.
        chunk_id: counts up from 0 within an episode.
    """

    positions: Vector
    dt_s: float
    joint_names: tuple[str, ...]
    stamp_ns: int
    chunk_id: int

    @property
    def end_ns(self) -> int:
        """When the last row is to be reached."""
        return self.stamp_ns + round(len(self.positions) * self.dt_s * 1e9)


@dataclass(frozen=True)
class ValueMaps:
    """Where the policy intends to act, per camera.

    Attributes:
        heat: camera name -> float32[F, H, W] in [0, 1], aligned to that camera's image.
        times_s: float64[F], time of each map after the observation.
        peak_px: camera name -> float64[F, 2], (column, row) of the highest value.
    """

    heat: dict[str, NDArray[np.float32]]
    times_s: Vector
    peak_px: dict[str, Vector]


@dataclass(frozen=True)
class PolicyOutput:
    """What one inference gives.

    Attributes:
        chunk: the motion.
        value_maps: None from a policy that has none.
        future_images: camera name -> uint8[F, H, W, 3]; empty unless imagined frames were asked
        for. timings_ms: stage name -> wall time.
    """

    chunk: ActionChunk
    value_maps: ValueMaps | None = None
    future_images: dict[str, Image] = field(default_factory=dict)
    timings_ms: dict[str, float] = field(default_factory=dict)


class Policy(Protocol):
    """Anything that turns observations into motion."""

    @property
    def key_frame_steps(self) -> int:
        """Policy steps between two key frames, see `observe`; 0 if it keeps no history."""

    def reset(self, instruction: str, seed: int) -> None:
        """Forget the episode so far; all randomness of the next one comes from `seed`."""

    def observe(self, observation: Observation, executed: Vector) -> None:
        """Take note of a key frame between two chunks.

        Args:
            observation: the frame.
            executed: float64[n, A], targets that were commanded since the frame before.
        """

    def infer(self, observation: Observation, committed: Vector | None = None) -> PolicyOutput:
        """Compute the next chunk.

        Args:
            observation: what is known.
            committed: float64[k, A], its first k rows as they were promised already: the arms
                will follow them while this is computed. A policy may ignore them.
        """
