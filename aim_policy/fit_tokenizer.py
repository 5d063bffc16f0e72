"""`python -m aim_policy.fit_tokenizer`: fits aim_tiny's linear tokenizer to recorded episodes.

Writes OUT/tokenizer.safetensors, and what is lost by encoding and decoding to OUT/figures.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from aim_policy.config import ConfigError
from aim_policy.episode import Episode, EpisodeError, read_episode
from aim_policy.episode_files import find_episodes, split_held_out
from aim_policy.model.config import ModelConfig, load_model_config
from aim_policy.tokenizers.fit import fit
from aim_policy.transforms import resize_images
from aim_policy.value_map import chunk_maps
from aim_policy.weights import write_json, write_weights

FRAMES_PER_EPISODE = 4


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    arguments = parse(argv)
    try:
        run(arguments)
    except (ConfigError, OSError) as error:
        print(f'fit_tokenizer: {error}', file=sys.stderr)
        return 2
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m aim_policy.fit_tokenizer', description=__doc__.splitlines()[0]
    )
    parser.add_argument('--data', type=Path, nargs='+', required=True, help='folders of episodes')
    parser.add_argument('--model', default='aim_tiny', help='YAML under config/model, or a path')
    parser.add_argument('--frames', type=int, default=2400, help='pictures per camera to fit to')
    parser.add_argument('--seed', type=int, default=0, help='of the choice of pictures')
    parser.add_argument('--out', type=Path, required=True, help='folder to write')
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> None:
    """Fit, write, and tell the figures."""
    config = load_model_config(arguments.model)
    paths, _ = split_held_out(find_episodes(arguments.data))
    generator = np.random.default_rng(arguments.seed)
    count = -(-arguments.frames // FRAMES_PER_EPISODE)
    chosen = [paths[i] for i in generator.permutation(len(paths))[:count]]
    frames, maps = load_frames(chosen, config, generator)
    tokenizer, figures = fit(frames, maps, config.cell_px, config.latent_channels)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_weights(arguments.out, 'tokenizer', tokenizer.state_dict())
    about = {'episodes': len(chosen), 'pictures per camera': len(frames[0]), **asdict(figures)}
    write_json(arguments.out / 'figures.json', about)
    for name, value in about.items():
        print(f'{name.replace("_", " "):20} {value:.4g}')


def load_frames(
    paths: Sequence[Path], config: ModelConfig, generator: np.random.Generator
) -> tuple[list[Tensor], list[Tensor]]:
    """Draw frames of episodes at the size that the model sees.

    Returns:
        Per view pictures float[N, 3, h, w] in [-1, 1], and maps float[N, h, w] in [0, 1].
    """
    pictures: dict[str, list[Tensor]] = {view.camera: [] for view in config.views}
    maps: dict[str, list[Tensor]] = {view.camera: [] for view in config.views}
    for path in tqdm(paths, 'read', unit='episode'):
        try:
            episode = read_episode(path)
            _add_frames(episode, config, generator, pictures, maps)
        except EpisodeError as error:
            tqdm.write(f'left out: {path}: {error}', file=sys.stderr)
    if not pictures[config.views[0].camera]:
        raise ConfigError(f'none of {len(paths)} episodes can be read, expected some')
    return [torch.cat(p) for p in pictures.values()], [torch.cat(m) for m in maps.values()]


def _add_frames(
    episode: Episode,
    config: ModelConfig,
    generator: np.random.Generator,
    pictures: dict[str, list[Tensor]],
    maps: dict[str, list[Tensor]],
) -> None:
    for view in config.views:
        if view.camera not in episode.cameras:
            raise EpisodeError(f'camera {view.camera} is missing')
    known = episode.cameras[config.views[0].camera].image_steps
    steps = np.sort(generator.choice(known, min(FRAMES_PER_EPISODE, len(known)), replace=False))
    for view in config.views:
        track, size = episode.cameras[view.camera], (view.height, view.width)
        images = np.stack([track.image(track.latest(int(step))) for step in steps])
        heat = [
            chunk_maps(episode, view.camera, int(s), 1, config.steps_per_frame, size)
            for s in steps
        ]
        pictures[view.camera].append(resize_images(images, view))
        maps[view.camera].append(torch.from_numpy(np.concatenate(heat)))


if __name__ == '__main__':
    sys.exit(main())
