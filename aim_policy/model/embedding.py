"""Latents, actions and joints -> tokens with a place in time and on the canvas (section 3.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from aim_policy.model.attention import Group, Place, rotary_table
from aim_policy.model.canvas import Canvas
from aim_policy.model.config import ModelConfig
from aim_policy.model.layers import FeedForward, TimeEmbedding

ACTION_GROUPS = (Group.EXECUTED, Group.PROPRIO, Group.ACTION)
BRANCH = {group: 'action' if group in ACTION_GROUPS else 'video' for group in Group}
OCTAVES = 4


@dataclass(frozen=True)
class Segment:
    """The tokens of one group on their way into the layers."""

    place: Place
    rotary: Tensor  # complex[N, head_dim / 2]
    hidden: Tensor  # float[B, N, D]
    time: Tensor  # float[B, N or 1, D], the noise level for the output layer
    modulation: Tensor  # float[B, N or 1, 6, D], the noise level for the layers


class TokenEmbedding(nn.Module):
    """One method per token group. Sigma is float[B, 1], or float[B, F] for one level per frame."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, narrow, numbers = config.width, config.action_width, config.token_numbers
        self.patch = nn.Linear(numbers, width)
        self.value_patch = nn.Linear(numbers, width) if config.own_value_weights else None
        self.value_type = nn.Parameter(torch.zeros(width))  # e_m
        self.value_noise = nn.Parameter(0.02 * torch.randn(width))  # n^m
        self.action = FeedForward(config.action_dim, narrow, narrow)
        video_time = TimeEmbedding(config.frequency_dim, width)
        action_time = TimeEmbedding(config.frequency_dim, narrow)
        self.time = nn.ModuleDict({'video': video_time, 'action': action_time})
        if config.proprioception:
            self.proprio = FeedForward(2 * config.action_dim, narrow, narrow)
        if config.align_current:
            self.current_to_rgb = nn.Linear(numbers, width)
            self.current_to_value = nn.Linear(numbers, width)
        if config.coordinate_features:
            self._add_coordinates()

    def observed(self, latents: Tensor, first_frame: int = 0) -> Segment:
        """o: clean latents float[B, C, T, rows, columns]."""
        frame = torch.arange(latents.shape[2]) + first_frame
        place = self._canvas_place(Group.OBSERVED, frame, frame)
        return self._segment(place, self._tokens(self.patch, latents), _clean(latents))

    def rgb(self, noisy: Tensor, sigma: Tensor, current: Tensor, now: int) -> Segment:
        """u_x = E_patch(x): float[B, C, F, rows, columns]; current: o_t, float[B, C, 1, ...]."""
        hidden = self._tokens(self.patch, noisy)
        if self.config.align_current:
            hidden = hidden + self._repeated(self.current_to_rgb, current)
        frame = now + 1 + torch.arange(self.config.frames)
        place = self._canvas_place(Group.RGB, frame, torch.full_like(frame, now))
        return self._segment(place, hidden, sigma)

    def value(self, noisy: Tensor, sigma: Tensor, current: Tensor, now: int) -> Segment:
        """[n^m, u_m = E_patch(m) + e_m] of each frame; arguments as in `rgb`."""
        hidden = self._tokens(self.value_patch or self.patch, noisy) + self.value_type
        if self.config.align_current:
            hidden = hidden + self._repeated(self.current_to_value, current)
        hidden = rearrange(hidden, 'b (f n) d -> b f n d', f=self.config.frames)
        noise = self.value_noise.expand(*hidden.shape[:2], 1, -1)
        hidden = torch.cat([noise, hidden], dim=2).flatten(1, 2)
        frame = now + 1 + torch.arange(self.config.frames)
        place = self._canvas_place(Group.VALUE, frame, torch.full_like(frame, now), noise=True)
        return self._segment(place, hidden, sigma)

    def actions(self, noisy: Tensor, sigma: Tensor, now: int) -> Segment:
        """u_a = E_a(a): float[B, K, A]."""
        return self._actions(Group.ACTION, noisy, sigma, now)

    def executed(self, actions: Tensor, now: int) -> Segment:
        """What was done of the chunk planned at `now`: float[B, whole frames of steps, A]."""
        return self._actions(Group.EXECUTED, actions, _clean(actions), now)

    def proprioception(self, joints: Tensor, now: int) -> Segment:
        """Measured and commanded joints: float[B, 2 A]."""
        frame = torch.tensor([now])
        place = Place(Group.PROPRIO, frame, frame, torch.tensor([[now, -1.0, -1.0]]))
        return self._segment(place, self.proprio(joints)[:, None], _clean(joints))

    def _actions(self, group: Group, actions: Tensor, sigma: Tensor, now: int) -> Segment:
        """Action j of n in frame f stands at time f + j / (n + 1)."""
        n, count = self.config.steps_per_frame, actions.shape[1]
        frame = now + 1 + torch.arange(count) // n
        time = frame + (torch.arange(count) % n + 1) / (n + 1)
        aside = torch.full_like(time, -1.0)
        place = Place(
            group, frame, torch.full_like(frame, now), torch.stack([time, aside, aside], dim=1)
        )
        hidden = self.action(actions)
        if self.config.coordinate_features:
            hidden = hidden + self.step_coordinates(self.steps[:count])
        return self._segment(place, hidden, sigma)

    def _segment(self, place: Place, hidden: Tensor, sigma: Tensor) -> Segment:
        time, modulation = self.time[BRANCH[place.group]](sigma)
        if sigma.shape[1] > 1:
            per_frame = hidden.shape[1] // sigma.shape[1]
            time = time.repeat_interleave(per_frame, dim=1)
            modulation = modulation.repeat_interleave(per_frame, dim=1)
        rotary = rotary_table(place.position, self.config.head_dim).to(hidden.device)
        return Segment(place, rotary, hidden, time, modulation)

    def _canvas_place(
        self, group: Group, frame: Tensor, now: Tensor, noise: bool = False
    ) -> Place:
        sides = self.config.rows, self.config.columns
        cells = torch.cartesian_prod(*(torch.arange(side // self.config.patch) for side in sides))
        if noise:
            cells = torch.cat([torch.tensor([[-1, -1]]), cells])
        cells, frames = cells.repeat(len(frame), 1), frame.repeat_interleave(len(cells))
        position = torch.cat([frames[:, None], cells], dim=1).float()
        return Place(group, frames, now.repeat_interleave(len(frames) // len(now)), position)

    def to_canvas(self, tokens: Tensor) -> Tensor:
        """Numbers of tokens float[B, N, p p C] -> float[B, C, F, rows, columns]."""
        config = self.config
        rows, columns = config.rows // config.patch, config.columns // config.patch
        frames = rearrange(tokens, 'b (f n) c -> b f n c', f=config.frames)
        return rearrange(
            frames[:, :, -rows * columns :],  # n^m, first in its frame, predicts nothing
            'b f (h w) (p q c) -> b c f (h p) (w q)', h=rows, p=config.patch, q=config.patch,
        )  # fmt: skip

    def _patches(self, latents: Tensor) -> Tensor:
        size = self.config.patch
        return rearrange(latents, 'b c f (h p) (w q) -> b (f h w) (c p q)', p=size, q=size)

    def _tokens(self, patch: nn.Linear, latents: Tensor) -> Tensor:
        tokens = patch(self._patches(latents))
        if self.config.coordinate_features:
            tokens = tokens + self.cell_coordinates(self.cells).repeat(latents.shape[2], 1)
        return tokens

    def _repeated(self, patch: nn.Linear, current: Tensor) -> Tensor:
        return patch(self._patches(current)).repeat(1, self.config.frames, 1)

    def _add_coordinates(self) -> None:
        coordinates = Canvas(self.config).token_coordinates()
        cells = torch.cat([_waves(coordinates[:, :2]), coordinates[:, 2:]], dim=1)
        steps = _waves(torch.linspace(-1, 1, self.config.steps)[:, None])
        self.register_buffer('cells', cells, persistent=False)
        self.register_buffer('steps', steps, persistent=False)
        self.cell_coordinates = nn.Linear(cells.shape[1], self.config.width)
        self.step_coordinates = nn.Linear(steps.shape[1], self.config.action_width)


def _clean(like: Tensor) -> Tensor:
    return like.new_zeros(len(like), 1)


def _waves(coordinates: Tensor) -> Tensor:
    """Coordinates float[N, n] in [-1, 1] with their sines and cosines at four octaves."""
    octaves = math.pi * 2.0 ** torch.arange(-1, OCTAVES - 1)
    angle = (coordinates[..., None] * octaves).flatten(1)
    return torch.cat([coordinates, angle.sin(), angle.cos()], dim=1)
