"""`python -m aim_policy.map_report`: where predicted maps point, on held-out episodes.

For each pick and press of episodes that training never saw, the policy imagines from the last
picture before the contact. Reported is how far the map's peak lies from the nearest labelled
contact, whether it follows it from scene to scene (their correlation, across and down the image),
and how near imagined frames come to the true ones. The same of clips that begin anywhere.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

from aim_policy.checkpoint import load_checkpoint
from aim_policy.config import ConfigError
from aim_policy.data import ClipDataset
from aim_policy.episode import read_episode
from aim_policy.episode_files import find_episodes, held_out_of
from aim_policy.held_out import PEAK_NEAR, HeldOut, Key, peak_errors, random_keys
from aim_policy.latent_cache import encode_episodes
from aim_policy.losses import LossConfig
from aim_policy.model.config import PRESETS
from aim_policy.robot import load_robot
from aim_policy.stage1 import StageOne
from aim_policy.transforms import Transforms
from aim_policy.weights import write_json

KINDS = ('pick', 'press')
SHARES = (0.5, 0.75, 0.9, 0.95)
FOLLOWS = 'follows_across', 'follows_down'


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog='python -m aim_policy.map_report', description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add('--checkpoint', type=Path, required=True, help='folder of weights')
    add('--data', type=Path, nargs='+', required=True, help='folders of episodes')
    add('--cache', type=Path, required=True, help='folder for latents')
    add('--tasks', nargs='+', default=[], help='only these; by default all in the data')
    add('--preset', default='', help=f'of sampling, one of {", ".join(PRESETS)}; default: its own')
    add('--moments', type=int, default=512, help='random clips to measure likewise')
    add('--robot', default='aloha_agilex', help='YAML under config/robot, or a path')
    add('--workers', type=int, default=os.cpu_count(), help='processes that encode episodes')
    add('--out', type=Path, required=True, help='JSON file to write')
    try:
        report(parser.parse_args(argv))
    except ConfigError as error:
        print(f'map_report: {error}', file=sys.stderr)
        return 2
    return 0


def report(arguments: argparse.Namespace) -> None:
    """Measure, tell and write."""
    if arguments.moments < 1:
        raise ConfigError(f'--moments is {arguments.moments}, expected at least 1')
    robot = load_robot(arguments.robot)
    info, model = load_checkpoint(arguments.checkpoint, robot)
    paths = held_out_of(find_episodes(arguments.data))
    episodes, _ = encode_episodes(paths, model.codec(), robot, arguments.cache, arguments.workers)
    if arguments.tasks:
        episodes = [episode for episode in episodes if episode.task in arguments.tasks]
    transforms = Transforms(robot, info.model, info.normalisation)
    dataset = ClipDataset(episodes, info.model, transforms, model.text_encoder)
    sampling = info.model.sampling.preset(arguments.preset)
    stage = StageOne(model.transformer, LossConfig(), 1, sampling)
    keys = event_keys(dataset)
    if not keys:
        raise ConfigError('no pick or press in the held-out episodes, expected some')
    tasks = [f'{dataset.episodes[i].task} {dataset.episodes[i].setting}' for i, *_ in keys]
    rows = summary(tasks, HeldOut(dataset, model, transforms, keys).measures(stage), 'all')
    keys = random_keys(dataset, arguments.moments, 0)
    settings = [f'any moment, {dataset.episodes[i].setting}' for i, *_ in keys]
    anywhere = HeldOut(dataset, model, transforms, keys).measures(stage)
    rows |= summary(settings, anywhere, 'any moment')
    write_json(arguments.out, rows)
    print(as_table(rows))


def event_keys(dataset: ClipDataset) -> list[Key]:
    """The last clip before each pick and press."""
    keys: list[Key] = []
    for i, encoded in enumerate(dataset.episodes):
        for event in read_episode(encoded.path).events:
            before = (encoded.steps < event.step).nonzero()
            if event.kind in KINDS and len(before):
                keys.append((i, int(before[-1]), 1, 0))
    return list(dict.fromkeys(keys))


def summary(
    groups: list[str], measures: dict[str, Tensor], whole: str
) -> dict[str, dict[str, float]]:
    """Figures of each group of clips, then, under the name `whole`, of all."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    members[whole] = list(range(len(groups)))
    return {
        name: _figures({key: values[index] for key, values in measures.items()})
        for name, index in members.items()
    }


def _figures(measures: dict[str, Tensor]) -> dict[str, float]:
    seen = ~measures['contact'].isnan().any(1)
    peak, contact = measures['peak'][seen], measures['contact'][seen]
    known = peak_errors(peak, contact)
    if not len(known):
        known = torch.ones(1)  # no contact: none was found, as far away as the image is wide
    figures = {'n': float(len(peak)), 'near': float((known < PEAK_NEAR).float().mean())}
    for name, values in zip(FOLLOWS, zip(peak.T, contact.T, strict=True), strict=True):
        figures[name] = float(torch.corrcoef(torch.stack(values))[0, 1]) if len(peak) > 1 else 0.0
    figures |= {f'{share:.0%}': float(torch.quantile(known, share)) for share in SHARES}
    for name in ('psnr_imagined_db', 'psnr_last_frame_db'):
        figures[name] = float(measures[name].mean())
    return figures


def as_table(rows: dict[str, dict[str, float]]) -> str:
    """Return a Markdown table."""
    lines = [
        f'| task | contacts | within {PEAK_NEAR:.0%} | '
        + ' | '.join(f'{share:.0%} of peaks within' for share in SHARES)
        + ' | follows across, down | imagined, dB | last frame, dB |',
        '|---' * (6 + len(SHARES)) + '|',
    ]
    for task, row in rows.items():
        shares = ' | '.join(f'{row[f"{share:.0%}"]:.1%}' for share in SHARES)
        psnr = f'{row["psnr_imagined_db"]:.1f} | {row["psnr_last_frame_db"]:.1f}'
        follows = ', '.join(f'{row[name]:.2f}' for name in FOLLOWS)
        begin = f'| {task} | {row["n"]:.0f} | {row["near"]:.0%}'
        lines.append(f'{begin} | {shares} | {follows} | {psnr} |')
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(main())
