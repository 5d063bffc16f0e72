"""What a policy remembers of an episode: key frames, and the motion that led to each.

A latent frame closes with a key frame; what it holds waits until the next chunk is planned, or
until the planned chunk is over, so that one pass takes in a chunk as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aim_policy.interface import Observation, Vector
from aim_policy.model.aim import AimModel
from aim_policy.model.cache import RingCache
from aim_policy.model.mask import ENDLESS
from aim_policy.model.sampler import Context, Sampler, Text
from aim_policy.model.transformer import Memory, planned_at
from aim_policy.transforms import Transforms


@dataclass(frozen=True)
class Plan:
    """A chunk that is being executed.

    Attributes:
        frame: that it was planned at.
        target: float64[A], commanded joints then; actions are relative to them.
        positions: float64[K, A], what it asks for.
    """

    frame: int
    target: Vector
    positions: Vector


@dataclass(frozen=True)
class _KeyFrame:
    latent: Tensor  # float[1, C, 1, rows, columns]
    executed: Tensor  # float[1, n_a, A]; none before the first
    planned: int


class History:
    """One episode's past, from key frames to the keys that a chunk is planned on.

    Attributes:
        remembers: whether there is one.
        key_frame_steps: policy steps between two key frames: with a code of single frames those of
            a latent frame, with one of f frames the f-th part of that; 0 without a history.
    """

    def __init__(self, model: AimModel, sampler: Sampler, transforms: Transforms) -> None:
        self.model = model
        self.sampler = sampler
        self.transforms = transforms
        self.config = model.config
        weight = next(model.transformer.parameters())
        self.device = weight.device
        self.guided = sampler.config.guidance != 1.0
        self.remembers = model.config.remembers
        if self.remembers:
            self.cache = RingCache(model.config, 1 + self.guided, weight.device, weight.dtype)
        per_latent = model.tokenizer.frames_per_latent
        self.key_frame_steps = self.remembers * model.config.steps_per_frame // per_latent
        self._instruction, self._text = '', []
        self.clear()

    def clear(self) -> None:
        """Forget what was seen and done."""
        if self.remembers:
            self.cache.clear()
        self._stream = self.model.stream()
        self._views: list[dict[str, Tensor]] = []  # of the latent frame that is still open
        self._motion: list[Vector] = []
        self._pending: list[_KeyFrame] = []
        self._last: Observation | None = None  # key frame; whatever was seen, without a history
        self._first: Tensor | None = None  # latent of the first frame, where that alone stays
        self._latent: Tensor | None = None  # of the last frame that closed
        self._target: Vector | None = None  # commanded joints at that frame
        self._plan: Plan | None = None
        self._since_plan = 0

    def begin(self, instruction: str) -> None:
        """Start an episode.

        Raises:
            ConfigError: the text encoder cannot take the instruction.
        """
        self.clear()
        self._instruction = ''  # the weights may be others by now
        self._read(instruction)

    def observe(self, observation: Observation, executed: Vector) -> None:
        """Take in a key frame, and the motion that led to it; all of it or, on an error, nothing.

        Raises:
            ValueError: `executed` does not cover the time since the key frame before, or the text
                encoder cannot take the instruction.
        """
        if not self.remembers:
            return
        self._read(observation.instruction)
        self._follow(observation)
        if self._last is not None:
            self._motion.append(self._rows(executed))
        self._views.append(self._images(observation))
        begun, self._last = self._last, observation
        if begun is None or len(self._views) == self.model.tokenizer.frames_per_latent:
            self._close_frame()
        if len(self._pending) == self.config.frames:
            self._flush()

    def context(self, observation: Observation) -> Context:
        """Keys of the past and of now. An observation between key frames is seen but not kept."""
        text = self._read(observation.instruction)
        if not self.remembers:
            latents = self._seen(observation)
            memory = self.sampler.append(self._batch(latents), text)
            return self._context(memory, latents[:, :, -1:], latents.shape[2] - 1, observation)
        self._follow(observation)
        if self._last is None:
            self.observe(observation, np.empty((0, self.config.action_dim)))
        self._flush()
        memory, now = self.cache.memory(), self.cache.frames - 1
        if self._views or self._last.stamp_ns != observation.stamp_ns:
            latent, now = self._still(observation), now + 1
            memory += self.sampler.append(self._batch(latent), text, memory, now)
        else:
            latent = self._latent
        return self._context(memory, latent, now, observation)

    def planned(self, context: Context, observation: Observation, positions: Vector) -> None:
        """Note the chunk that is executed from now on."""
        self._plan = Plan(context.now, observation.joint_target, positions)
        self._since_plan = 0

    def _seen(self, observation: Observation) -> Tensor:
        """Code of what a chunk is planned from: this picture, after the first if that stays."""
        latent = self._still(observation)
        if not self.config.recalls_first:
            return latent
        self._follow(observation)
        if self._first is None:
            self._first = latent
        self._last = observation
        return torch.cat([self._first, latent], dim=2)

    def _follow(self, observation: Observation) -> None:
        """Start anew on a new instruction, when time goes back, or after a gap in key frames."""
        last = self._last
        if last is None:
            return
        frame_ns = self.config.steps_per_frame * self.transforms.robot.dt_ns
        elapsed = observation.stamp_ns - last.stamp_ns
        late = self.remembers and elapsed > frame_ns + self.transforms.robot.dt_ns // 2
        if late or elapsed < 0 or observation.instruction != last.instruction:
            self.clear()

    def _rows(self, executed: Vector) -> Vector:
        """What was executed since the key frame before; what was planned if nobody reports it."""
        count = self.key_frame_steps
        if len(executed) == 0 and self._plan is not None:
            executed = self._plan.positions[self._since_plan : self._since_plan + count]
        if len(executed) != count:
            raise ValueError(f'executed has {len(executed)} rows, expected {count}')
        self._since_plan += count
        return executed

    def _close_frame(self) -> None:
        """Encode the key frames of a latent frame, and the motion between them."""
        views = {c: torch.cat([v[c] for v in self._views], dim=1) for c in self._views[0]}
        self._latent = self._stream.encode(views)
        self._pending.append(_KeyFrame(self._latent, *self._executed()))
        self._views, self._motion, self._target = [], [], self._last.joint_target

    def _executed(self) -> tuple[Tensor, int]:
        """What led to the frame that closes, in the units of its plan, and that plan's frame."""
        frame, plan = self.cache.frames + len(self._pending), self._plan
        if not self._motion:
            return torch.empty(1, 0, self.config.action_dim, device=self.device), frame
        plans = torch.tensor([plan.frame if plan else -ENDLESS])
        now = int(planned_at(torch.tensor([frame]), plans, self.config.frames))
        target = plan.target if plan and now == plan.frame else self._target
        actions = self.transforms.actions(np.concatenate(self._motion), target)
        return actions.to(self.device), now

    def _flush(self) -> None:
        """Run what is pending once, and keep its keys."""
        if not self._pending:
            return
        text, cache = self._read(self._last.instruction), self.cache
        moved = [frame for frame in self._pending if frame.executed.shape[1]]
        executed = torch.cat([frame.executed for frame in moved], dim=1) if moved else None
        planned = torch.tensor([frame.planned for frame in moved])
        latents = torch.cat([frame.latent for frame in self._pending], dim=2)
        new = self.sampler.append(
            self._batch(latents), text, cache.memory(), cache.frames,
            None if executed is None else self._batch(executed), planned,
        )  # fmt: skip
        expected = cache.frames + len(self._pending)
        cache.write(new)
        if self._plan is not None:  # frame ids may have started low again
            frame = self._plan.frame - (expected - cache.frames)
            self._plan = replace(self._plan, frame=frame)
        self._pending = []

    def _context(
        self, memory: list[Memory], latent: Tensor, now: int, observation: Observation
    ) -> Context:
        joints = observation.joint_position, observation.joint_target
        proprio = self.transforms.proprioception(*joints).to(self.device)
        context, text = self.sampler.context, self._read(observation.instruction)
        if not self.guided:
            return context(memory, text, latent, now, proprio)
        with_text, without = (
            ([m.of(i) for m in memory], [(k[i : i + 1], v[i : i + 1]) for k, v in text])
            for i in (0, 1)
        )
        unguided = Context(tuple(without[0]), without[1], latent, now)
        return replace(context(*with_text, latent, now, proprio), unguided=unguided)

    def _images(self, observation: Observation) -> dict[str, Tensor]:
        views = self.transforms.images(observation.images)
        return {name: view.to(self.device) for name, view in views.items()}

    def _still(self, observation: Observation) -> Tensor:
        """Code of one picture by itself, float[1, C, 1, rows, columns]."""
        return self.model.encode(self._images(observation))

    def _batch(self, one: Tensor) -> Tensor:
        """With guidance the past is read twice: with the instruction and without."""
        return one.expand(1 + self.guided, *one.shape[1:])

    def _read(self, instruction: str) -> Text:
        """Keys of the instruction, and with guidance those of no instruction."""
        if instruction != self._instruction:
            encoder = self.model.text_encoder
            texts = [encoder.encode(instruction), *([encoder.empty()] if self.guided else [])]
            self._text = self.model.transformer.read_text(torch.stack(texts).to(self.device))
            self._instruction = instruction
        return self._text
