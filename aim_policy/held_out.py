"""Figures on episodes that were never trained on: motion, where maps point, imagined frames."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from aim_policy.data import ClipDataset, Clips, collate
from aim_policy.model.codec import Codec
from aim_policy.stage1 import StageOne
from aim_policy.transforms import Transforms

Key = tuple[int, int, int, int]
BATCH = 32
HEAD_CAMERA = 'head_camera'
WARM = 0.5
"""Heat that a map reaches where there is a contact ahead."""


PEAK_NEAR = 0.08


def random_keys(dataset: ClipDataset, count: int, seed: int) -> list[Key]:
    """Draw clips of all episodes."""
    keys = [(i, j, 1, 0) for i, e in enumerate(dataset.episodes) for j in range(len(e.steps) - 1)]
    order = torch.randperm(len(keys), generator=torch.Generator().manual_seed(seed))
    return [keys[int(i)] for i in order[:count]]


class HeldOut:
    """Clips before contacts of held-out episodes, and how well a model does on them."""

    def __init__(
        self, dataset: ClipDataset, codec: Codec, transforms: Transforms, keys: Sequence[Key]
    ) -> None:
        """Choose clips.

        Args:
            dataset: held-out episodes.
            codec: that their latents were made with.
            transforms: of the robot.
            keys: of the clips to look at, see `random_keys`.
        """
        self.dataset, self.codec, self.transforms = dataset, codec, transforms
        self.keys = keys

    def figures(self, stage: StageOne, seed: int = 0) -> dict[str, float]:
        """Means over the clips of what `measures` gives, and the share of peaks within 8 %."""
        measures = self.measures(stage, seed)
        if 'peak' in measures:
            away = peak_errors(measures.pop('peak'), measures.pop('contact'))
            measures['peak_error'] = away
            near = torch.where(away.isnan(), away, (away < PEAK_NEAR).float())
            measures['peaks_within_8_percent'] = near
        return {name: float(value.nanmean()) for name, value in measures.items()}

    def measures(self, stage: StageOne, seed: int = 0) -> dict[str, Tensor]:
        """Measure each clip, float[n] per name.

        Action errors are in rad, and PSNRs in dB, of the imagined frame and of the last real one.
        `peak` and `contact` are float[n, 2]: where the map is highest in the head camera, and the
        contact nearest to that (NaN without one); right and down, as shares of the image width.
        """
        parts: dict[str, list[Tensor]] = {}
        for first in range(0, len(self.keys), BATCH):
            clips = collate([self.dataset[key] for key in self.keys[first : first + BATCH]])
            for name, value in self._batch(stage, clips, seed + first).items():
                parts.setdefault(name, []).append(value)
        return {name: torch.cat(values) for name, values in parts.items()}

    def samples(self, stage: StageOne, count: int = 6) -> dict[str, list[Tensor]]:
        """Pictures for people: now, imagined and true frames; imagined and true maps."""
        clips = collate([self.dataset[key] for key in self.keys[:count]])
        intent, _ = self._predict(stage, clips, 0)
        frames = [clips.observed[:, :, -1:], intent.rgb, clips.future[:, :, :1]]
        maps = [intent.value[:, :, :1], clips.maps[:, :, :1]]
        head = [self.codec.decode(f[:, :, :1].float().cpu())[HEAD_CAMERA][:, 0] for f in frames]
        heat = [self.codec.decode_maps(m.float().cpu())[HEAD_CAMERA] for m in maps]
        return {
            'imagined': [(frame + 1) / 2 for frame in head],
            'maps': [(head[0] + 1) / 2] + [h.expand(-1, 3, -1, -1) for h in heat],
        }

    def _predict(self, stage: StageOne, clips: Clips, seed: int):
        device = next(stage.parameters()).device
        generator = torch.Generator(device).manual_seed(seed)
        with torch.inference_mode():
            return stage.predict(clips.to(device), generator)

    def _batch(self, stage: StageOne, clips: Clips, seed: int) -> dict[str, Tensor]:
        intent, actions = self._predict(stage, clips, seed)
        result = {'action_error_rad': self._action_errors(actions.float().cpu(), clips)}
        if intent.rgb is None:
            return result
        imagined, now, true = (
            self.codec.decode(latents.float().cpu())
            for latents in (intent.rgb, clips.observed[:, :, -1:], clips.future)
        )
        result['psnr_imagined_db'] = _psnr(imagined, true)
        result['psnr_last_frame_db'] = _psnr(now, true)
        maps = self.codec.decode_maps(intent.value.float().cpu())[HEAD_CAMERA][:, 0]
        labels = self.codec.decode_maps(clips.maps)[HEAD_CAMERA][:, 0]
        pairs = [_places(heat, label) for heat, label in zip(maps, labels, strict=True)]
        result['peak'], result['contact'] = torch.stack(pairs).unbind(1)
        return result

    def _action_errors(self, actions: Tensor, clips: Clips) -> Tensor:
        """Largest joint error of each clip over the first half of the chunk."""
        scale = torch.tensor(self.transforms.figures.action_scale)
        half = actions.shape[1] // 2
        away = (actions - clips.actions).abs() * scale * clips.acting[..., None]
        return away[:, :half].flatten(1).amax(1)


def peak_errors(peaks: Tensor, places: Tensor) -> Tensor:
    """How far peaks float[n, 2] are from places of contacts float[n, 2]: float[n]."""
    return (peaks - places).norm(dim=1)


def contacts(label: Tensor) -> Tensor:
    """Local maxima of a map float[h, w] above `WARM`: int[m, 2], row and column."""
    highest = functional.max_pool2d(label[None, None], 3, 1, 1)[0, 0]
    return ((label == highest) & (label > WARM)).nonzero()


def _places(heat: Tensor, label: Tensor) -> Tensor:
    """The highest point of a map float[h, w], and the contact nearest to it: float[2, 2]."""
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    peak = torch.tensor([column, row]).float()
    if float(label.max()) <= WARM:
        return torch.stack([peak, torch.full((2,), math.nan)]) / heat.shape[1]
    places = contacts(label).flip(1).float()
    nearest = places[(places - peak).norm(dim=1).argmin()]
    return torch.stack([peak, nearest]) / heat.shape[1]


def _psnr(frames: dict[str, Tensor], true: dict[str, Tensor]) -> Tensor:
    """Peak signal-to-noise ratio over all cameras of each clip, pictures in [-1, 1]."""
    flat = [torch.cat([f[c].clamp(-1, 1).expand_as(true[c]).flatten(1) for c in true], dim=1)
            for f in (frames, true)]  # fmt: skip
    return 10 * torch.log10(4 / (flat[0] - flat[1]).square().mean(1).clamp(min=1e-9))
