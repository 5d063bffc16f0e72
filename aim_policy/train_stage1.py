"""`python -m aim_policy.train_stage1`: teaches AIM to imagine, to point and to act (Stage I).

OUT/checkpoint is what a policy loads; OUT/state_N lets the same command go on after a stop.
With many processes: `torchrun --nproc-per-node N -m aim_policy.train_stage1 ...`.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from aim_policy.augment import Augmentation
from aim_policy.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from aim_policy.config import ConfigError, load_config
from aim_policy.data import ClipDataset
from aim_policy.encoded_episode import EncodedEpisode
from aim_policy.episode_files import find_episodes, split_held_out
from aim_policy.held_out import HeldOut, random_keys
from aim_policy.latent_cache import encode_episodes
from aim_policy.model.aim import AimModel
from aim_policy.model.config import ModelConfig, load_model_config
from aim_policy.model.transformer import AimTransformer
from aim_policy.normalise import normalisation_of
from aim_policy.parallel import Processes, end_process
from aim_policy.robot import RobotSpec, load_robot
from aim_policy.run_folder import RunFolder
from aim_policy.stage1 import StageOne
from aim_policy.tokenizers.linear import LinearTokenizer
from aim_policy.train_config import Stage1Config
from aim_policy.trainer import Trainer, TrainingStopped
from aim_policy.transforms import Normalisation, Transforms
from aim_policy.weights import load_weights, read_weights


def main(argv: list[str] | None = None) -> int:
    """Entry point: 0 at the end of the run, 130 when it was interrupted and can go on."""
    arguments = parse(argv)
    try:
        processes = Processes(arguments.device)
        try:
            return 0 if Run(arguments, processes).train() else 130
        finally:
            processes.close()
    except (ConfigError, TrainingStopped) as error:
        print(f'train_stage1: {error}', file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m aim_policy.train_stage1', description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add('--config', type=Path, required=True, help='YAML, see config/train')
    add('--set', action='append', default=[], metavar='KEY=VALUE',
        help='change an entry of the YAML, for example noise.action_draws=4')  # fmt: skip
    add('--data', type=Path, nargs='+', required=True, help='folders of episodes')
    add('--tokenizer', type=Path, required=True, help='folder that fit_tokenizer wrote')
    add('--init', type=Path, help='checkpoint whose weights and normalisation to begin with')
    add('--cache', type=Path, help='folder for latents; by default OUT/latents')
    add('--device', default='cpu', help='cpu or cuda')
    add('--workers', type=int, default=os.cpu_count(), help='processes that encode episodes')
    add('--loaders', type=int, default=0, help='processes that load batches')
    add('--out', type=Path, required=True, help='folder of the run')
    return parser.parse_args(argv)


class Run:
    """Everything that a run is put together from."""

    def __init__(self, arguments: argparse.Namespace, processes: Processes) -> None:
        self.arguments, self.processes = arguments, processes
        self.config = load_config(Stage1Config, arguments.config, arguments.set)
        self.robot: RobotSpec = load_robot(self.config.robot)
        config = self.config
        self.model_config: ModelConfig = load_model_config(config.model, config.model_changes)
        all_options = {**asdict(config), 'model_options': asdict(self.model_config)}
        with processes.first_alone():
            self.folder = RunFolder(arguments.out, all_options)
        tokenizer = LinearTokenizer(self.model_config.cell_px, self.model_config.latent_channels)
        tensors = read_weights(arguments.tokenizer, 'tokenizer')
        load_weights(tokenizer, tensors, str(arguments.tokenizer / 'tokenizer.safetensors'))
        self.model = AimModel.random(self.model_config, self.config.seed)
        self.model.tokenizer = tokenizer

    def train(self) -> bool:
        """Train; returns whether the run came to its end."""
        paths = find_episodes(self.arguments.data)
        train_paths, held_out_paths = split_held_out(paths)
        episodes = self._episodes(train_paths)
        if not episodes:
            raise ConfigError(f'none of {len(train_paths)} episodes can be used, expected some')
        figures = self._begin_with(episodes)
        transforms = Transforms(self.robot, self.model_config, figures)
        config, noise = self.config, self.config.noise
        stage = StageOne(self.model.transformer.train(), config.losses, noise.action_draws)
        held_out, unseen = None, self._episodes(held_out_paths)
        if unseen:
            dataset = self._dataset(unseen, transforms)
            keys = random_keys(dataset, config.validate_clips, config.seed)
            held_out = HeldOut(dataset, self.model, transforms, keys)
        info = CheckpointInfo(
            self.model_config, self.robot, figures,
            provenance=f'Stage I on {len(episodes)} episodes of {_tasks(episodes)}',
        )  # fmt: skip
        seen = self._dataset(episodes, transforms, changed=True)
        trainer = Trainer(
            config, stage, seen, held_out, self.processes, self.folder,
            lambda weights: self._export(info, weights), self.arguments.loaders,
        )  # fmt: skip
        return trainer.run()

    def _episodes(self, paths: list[Path]) -> list[EncodedEpisode]:
        """Encode, once for all processes; tell what is left out."""
        cache = self.arguments.cache or self.folder.path / 'latents'
        with self.processes.first_alone():
            episodes, errors = encode_episodes(
                paths, self.model.codec(), self.robot, cache, self.arguments.workers
            )
        if self.processes.rank == 0:
            for path, reason in errors.items():
                tqdm.write(f'left out: {path}: {reason}', file=sys.stderr)
        tasks = self.config.tasks
        return [e for e in episodes if not tasks or e.task in tasks]

    def _begin_with(self, episodes: list[EncodedEpisode]) -> Normalisation:
        """Weights of a checkpoint and its figures, or random ones and figures of the data."""
        start = self.arguments.init
        if start is None:
            unit = self.model_config.action_unit_rad
            return normalisation_of(episodes, self.robot, self.model_config.steps, unit)
        info, model = load_checkpoint(start, self.robot)
        load_weights(self.model.transformer, model.transformer.state_dict(), str(start))
        return info.normalisation

    def _dataset(
        self, episodes: list[EncodedEpisode], transforms: Transforms, changed: bool = False
    ) -> ClipDataset:
        config, text_encoder = self.config.augment, self.model.text_encoder
        augmentation = Augmentation(self.model.codec(), config) if changed else None
        return ClipDataset(episodes, self.model_config, transforms, text_encoder, augmentation)

    def _export(self, info: CheckpointInfo, weights: dict[str, Tensor]) -> None:
        with torch.device('meta'):
            transformer = AimTransformer(self.model_config)
        transformer.load_state_dict(weights, assign=True, strict=False)
        save_checkpoint(self.folder.checkpoint, info, transformer, self.model.tokenizer)


def _tasks(episodes: list[EncodedEpisode]) -> str:
    return ', '.join(sorted({f'{e.task} ({e.setting})' for e in episodes}))


if __name__ == '__main__':
    end_process(main())
