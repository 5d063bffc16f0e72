"""Latents, actions and joints -> tokens with a place in time and on the canvas (section 3.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from aim_policy.model.canvas import Canvas
from aim_policy.model.config import ModelConfig
from aim_policy.model.layers import FeedForward, PatchEmbedding, TimeEmbedding
from aim_policy.model.mask import Group, Ids, Place
from aim_policy.model.rotary import rotary_table

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
    """One method per token group.

    Sigma is float[B, 1], or float[B, F] for one level per frame. `now` is the frame at which a
    chunk is planned; int[n] for n chunks of a training clip, whose data stand one after another.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, narrow = config.width, config.action_width
        patch = config.latent_channels, config.patch, width
        self.patch = PatchEmbedding(*patch)
        self.value_patch = PatchEmbedding(*patch) if config.own_value_weights else None
        self.value_type = nn.Parameter(torch.zeros(width))  # e_m
        self.value_noise = nn.Parameter(0.02 * torch.randn(width))  # n^m
        self.action = FeedForward(config.action_dim, narrow, narrow)
        video_time = TimeEmbedding(config.frequency_dim, width)
        action_time = TimeEmbedding(config.frequency_dim, narrow)
        self.time = nn.ModuleDict({'video': video_time, 'action': action_time})
        if config.proprioception:
            self.proprio = FeedForward(2 * config.action_dim, narrow, narrow)
        if config.align_current:
            self.current_to_rgb = PatchEmbedding(*patch)
            self.current_to_value = PatchEmbedding(*patch)
        if config.coordinate_features:
            self._add_coordinates()

    def observed(self, latents: Tensor, first_frame: int = 0) -> Segment:
        """o: clean latents float[B, C, T, rows, columns]."""
        frame = torch.arange(latents.shape[2]) + first_frame
        place = self._canvas_place(Group.OBSERVED, frame, frame)
        return self._segment(place, self._tokens(self.patch, latents), _clean(latents))

    def rgb(self, noisy: Tensor, sigma: Tensor, current: Tensor, now: Ids) -> Segment:
        """u_x = E_patch(x): float[B, C, F, rows, columns]; current: o_t, float[B, C, n, ...]."""
        hidden = self._tokens(self.patch, noisy)
        if self.config.align_current:
            hidden = hidden + self._repeated(self.current_to_rgb, current)
        place = self._canvas_place(Group.RGB, *_future(noisy.shape[2], now))
        return self._segment(place, hidden, sigma)

    def value(self, noisy: Tensor, sigma: Tensor, current: Tensor, now: Ids) -> Segment:
        """[n^m, u_m = E_patch(m) + e_m] of each frame; arguments as in `rgb`."""
        hidden = self._tokens(self.value_patch or self.patch, noisy) + self.value_type
        if self.config.align_current:
            hidden = hidden + self._repeated(self.current_to_value, current)
        hidden = rearrange(hidden, 'b (f n) d -> b f n d', f=noisy.shape[2])
        noise = self.value_noise.expand(*hidden.shape[:2], 1, -1)
        hidden = torch.cat([noise, hidden], dim=2).flatten(1, 2)
        place = self._canvas_place(Group.VALUE, *_future(noisy.shape[2], now), noise=True)
        return self._segment(place, hidden, sigma)

    def actions(self, noisy: Tensor, sigma: Tensor, now: Ids) -> Segment:
        """u_a = E_a(a): float[B, K, A]."""
        blocks = noisy.shape[1] // self.config.steps_per_frame
        return self._actions(Group.ACTION, noisy, sigma, *_future(blocks, now))

    def executed(self, actions: Tensor, frame: Tensor, now: Tensor) -> Segment:
        """What was done: float[B, blocks of n_a, A].

        Args:
            actions: in the units of the chunk that they were planned in.
            frame: int[blocks], the frame that each led to.
            now: int[blocks], the frame that each was planned at.
        """
        return self._actions(Group.EXECUTED, actions, _clean(actions), frame, now)

    def proprioception(self, joints: Tensor, now: Ids) -> Segment:
        """Measured and commanded joints: float[B, 2 A], or float[B, n, 2 A]."""
        frame = torch.as_tensor(now).reshape(-1)
        aside = torch.full((len(frame),), -1.0)
        place = Place(Group.PROPRIO, frame, frame, torch.stack([frame, aside, aside], dim=1))
        hidden = self.proprio(joints.to(self.proprio[0].weight.dtype))
        return self._segment(place, hidden.reshape(len(joints), len(frame), -1), _clean(joints))

    def _actions(
        self, group: Group, actions: Tensor, sigma: Tensor, frame: Tensor, now: Tensor
    ) -> Segment:
        """Action j of n in frame f stands at time f + j / (n + 1)."""
        n = self.config.steps_per_frame
        j = torch.arange(n)
        time = (frame[:, None] + (j + 1) / (n + 1)).flatten()
        aside = torch.full_like(time, -1.0)
        ids = frame.repeat_interleave(n), now.repeat_interleave(n)
        place = Place(group, *ids, torch.stack([time, aside, aside], dim=1))
        hidden = self.action(actions.to(self.action[0].weight.dtype))
        if self.config.coordinate_features:
            step = ((frame - now - 1)[:, None] * n + j).flatten()
            hidden = hidden + self.step_coordinates(self.steps[step.to(self.steps.device)])
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
        frames, nows = (ids.repeat_interleave(len(cells)) for ids in (frame, now))
        position = torch.cat([frames[:, None], cells.repeat(len(frame), 1)], dim=1).float()
        return Place(group, frames, nows, position)

    def to_canvas(self, tokens: Tensor, group: Group) -> Tensor:
        """Numbers of tokens float[B, N, p p C] -> float[B, C, F, rows, columns]."""
        config, noise = self.config, int(group == Group.VALUE)
        rows, columns = config.rows // config.patch, config.columns // config.patch
        frames = rearrange(tokens, 'b (f n) c -> b f n c', n=rows * columns + noise)
        return rearrange(
            frames[:, :, noise:],  # n^m, first in its frame, predicts nothing
            'b f (h w) (p q c) -> b c f (h p) (w q)', h=rows, p=config.patch, q=config.patch,
        )  # fmt: skip

    def _tokens(self, patch: PatchEmbedding, latents: Tensor) -> Tensor:
        tokens = patch(latents)
        if self.config.coordinate_features:
            tokens = tokens + self.cell_coordinates(self.cells).repeat(latents.shape[2], 1)
        return tokens

    def _repeated(self, patch: PatchEmbedding, current: Tensor) -> Tensor:
        frames, chunks = self.config.frames, current.shape[2]
        return repeat(patch(current), 'b (n c) d -> b (n f c) d', n=chunks, f=frames)

    def _add_coordinates(self) -> None:
        coordinates = Canvas(self.config).token_coordinates()
        cells = torch.cat([_waves(coordinates[:, :2]), coordinates[:, 2:]], dim=1)
        steps = _waves(torch.linspace(-1, 1, self.config.steps)[:, None])
        self.register_buffer('cells', cells, persistent=False)
        self.register_buffer('steps', steps, persistent=False)
        self.cell_coordinates = nn.Linear(cells.shape[1], self.config.width)
        self.step_coordinates = nn.Linear(steps.shape[1], self.config.action_width)


def _future(count: int, now: Ids) -> tuple[Tensor, Tensor]:
    """Frame and now of `count` frames that chunks planned at `now` predict: int[count] each."""
    nows = torch.as_tensor(now).reshape(-1, 1)
    frames = nows + 1 + torch.arange(count // len(nows))
    return frames.flatten(), nows.expand_as(frames).flatten()


def _clean(like: Tensor) -> Tensor:
    return like.new_zeros(len(like), 1)


def _waves(coordinates: Tensor) -> Tensor:
    """Coordinates float[N, n] in [-1, 1] with their sines and cosines at four octaves."""
    octaves = math.pi * 2.0 ** torch.arange(-1, OCTAVES - 1)
    angle = (coordinates[..., None] * octaves).flatten(1)
    return torch.cat([coordinates, angle.sin(), angle.cos()], dim=1)
