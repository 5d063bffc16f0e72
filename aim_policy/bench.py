"""How fast AIM runs here: `python -m aim_policy.bench --model aim_tiny --preset realtime`.

Weights are random and pictures are noise: speed does not depend on them. Each stage is timed after
a warm-up, on a GPU with CUDA events, and compared with what this device could do at best: the
larger of arithmetic at its measured matmul rate and memory traffic at its measured bandwidth.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from aim_policy.config import ConfigError
from aim_policy.interface import Observation
from aim_policy.model.aim import AimModel
from aim_policy.model.config import PRESETS, ModelConfig, load_model_config
from aim_policy.policy import AimPolicy
from aim_policy.robot import load_robot
from aim_policy.roofline import count_flops, measure_device, stage_bytes, synchronize, tokens
from aim_policy.scratch import Scratch, saved_by_cache

STAGES = 'observe', 'append', 'imagine', 'act', 'decode'
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}


class Bench:
    """One policy in a loop of key frames and chunks."""

    def __init__(self, config: ModelConfig, preset: str, device: str, dtype: torch.dtype) -> None:
        robot = load_robot('aloha_agilex')
        model = AimModel.random(config, 0, device, dtype)
        self.policy = AimPolicy(robot, config, model, device=device, preset=preset)
        self.policy.reset('press the bell', 0)
        self.config, self.robot, self._frame = config, robot, 0
        draw = np.random.default_rng(0)
        self._images = {
            c.name: draw.integers(0, 256, (c.height, c.width, 3), np.uint8) for c in robot.cameras
        }

    def fill(self) -> None:
        """Let the history grow to its full length."""
        while self.config.remembers and self._frame < self.config.frames_in_sight:
            self._advance()

    def chunk(self) -> dict[str, float]:
        """One chunk: the key frames of the last one, then the next; stage -> ms."""
        start = time.perf_counter()
        for _ in range(self.config.frames):
            self._advance()
        synchronize(self.policy.device)
        observe = 1e3 * (time.perf_counter() - start)
        return {'observe': observe, **self.policy.infer(self.observation()).timings_ms}

    def observation(self) -> Observation:
        """The newest key frame."""
        frame_ns = self.config.steps_per_frame * self.robot.dt_ns
        home, stamp_ns = self.robot.home, self._frame * frame_ns
        return Observation(self._images, {}, home, home, 'press the bell', stamp_ns)

    def _advance(self) -> None:
        self._frame += 1
        executed = np.tile(self.robot.home, (self.config.steps_per_frame, 1))
        self.policy.observe(self.observation(), executed)

    @torch.inference_mode()
    def flops(self) -> dict[str, float]:
        """Floating-point operations of each stage of a chunk, counted in passing."""
        policy, counts, generator = self.policy, {}, torch.Generator().manual_seed(0)

        def counted(stage: str, work: Callable):
            result, counts[stage] = count_flops(work)
            return result

        counted('observe', lambda: [self._advance() for _ in range(self.config.frames)])
        context = counted('append', lambda: policy.history.context(self.observation()))
        intent = counted('imagine', lambda: policy.sampler.imagine(context, generator))
        counted('act', lambda: policy.sampler.act(context, intent, generator))
        self.past = context.memory
        return counts


def summary(samples: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Stage -> median, 90th and 99th percentile, ms; 'total' is of whole chunks."""
    columns = {stage: [sample[stage] for sample in samples] for stage in STAGES}
    columns['total'] = [sum(sample.values()) for sample in samples]
    marks = {'median': 50, 'p90': 90, 'p99': 99}
    return {
        stage: {name: float(np.percentile(times, mark)) for name, mark in marks.items()}
        for stage, times in columns.items()
    }


def run(
    config: ModelConfig, preset: str, device: str, dtype: torch.dtype, warmup: int, repeats: int
) -> dict:
    """Measure one model; returns what goes into the JSON."""
    bench = Bench(config, preset, device, dtype)
    bench.fill()
    for _ in range(warmup):
        bench.chunk()
    if bench.policy.device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(bench.policy.device)
    scratch = Scratch(bench.policy, bench.observation()) if config.remembers else None
    samples, again = [], []
    for _ in range(repeats):
        samples.append(bench.chunk())
        again += [scratch.history_ms()] if scratch else []
    times, flops = summary(samples), bench.flops()
    limit = measure_device(bench.policy.device, dtype)
    sizes = stage_bytes(bench.policy.model.transformer, bench.policy.sampling, bench.past)
    floors = {
        stage: 1e3 * max(flops.get(stage, 0.0) / limit.flops, size / limit.bandwidth)
        for stage, size in sizes.items()
    }
    cache = saved_by_cache(samples, flops, scratch, again) if scratch else {}
    floors['total'] = sum(floors.values())
    flops['total'] = sum(flops.values())
    for stage, row in times.items():
        row['gflop'] = flops.get(stage, 0.0) / 1e9
        row['floor_ms'] = floors[stage]
        row['share'] = floors[stage] / row['median'] if row['median'] else 0.0
    return {
        'model': config.name,
        'preset': preset or 'of the model',
        'sampling': dataclasses.asdict(bench.policy.sampling),
        'history_frames': config.history_frames,
        'pin_first_frame': config.pin_first_frame,
        'device': dataclasses.asdict(limit),
        'dtype': str(dtype).removeprefix('torch.'),
        'versions': {'torch': torch.__version__, 'python': platform.python_version()},
        'tokens': tokens(config),
        'memory': memory(bench),
        'stages': times,
        'cache': cache,
    }


def memory(bench: Bench) -> dict[str, float]:
    """Megabytes: weights, cache, and the most that a GPU held."""
    device, history = bench.policy.device, bench.policy.history
    pools = history.cache.pool.values() if history.remembers else []
    parameters = bench.policy.model.transformer.parameters()
    result = {
        'weights_mb': _megabytes(parameters),
        'cache_mb': _megabytes(pools),
    }
    if device.type == 'cuda':
        result['peak_mb'] = torch.cuda.max_memory_allocated(device) / 1e6
    return result


def _megabytes(tensors: Iterable[torch.Tensor]) -> float:
    return sum(t.numel() * t.element_size() for t in tensors) / 1e6


def show(result: dict) -> None:
    """Print what was measured."""
    device, kept = result['device'], result['memory']
    print(f'{result["model"]}, preset {result["preset"]}, {result["dtype"]}, {device["name"]}')
    print(f'peak {device["flops"] / 1e12:.2f} TFLOP/s, {device["bandwidth"] / 1e9:.0f} GB/s')
    print(', '.join(f'{name} {count}' for name, count in result['tokens'].items()), 'tokens')
    print(', '.join(f'{name.removesuffix("_mb")} {size:.1f} MB' for name, size in kept.items()))
    columns = 'median', 'p90', 'p99', 'floor_ms', 'gflop', 'share'
    print(f'{"stage":10}' + ''.join(f'{name:>11}' for name in columns))
    for stage, row in result['stages'].items():
        print(f'{stage:10}' + ''.join(f'{row[name]:11.2f}' for name in columns))
    if result['cache']:
        print(
            'history anew for each chunk {history_again_ms:.0f} ms, everything anew at each step '
            '{everything_again_ms:.0f} ms; the cache is {faster_than_history_again:.2f} (by '
            'arithmetic alone {fewer_flops_than_history_again:.2f}) and '
            '{faster_than_everything_again:.2f} times as fast'.format(**result['cache'])
        )


def main(argv: list[str] | None = None) -> int:
    """Run the bench from the command line."""
    parser = argparse.ArgumentParser(prog='aim_policy.bench', description=__doc__)
    parser.add_argument('--model', default='aim_tiny', help='name under config/model, or a YAML')
    parser.add_argument('--preset', default='', choices=PRESETS)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--dtype', choices=DTYPES, help='bfloat16 on a GPU, else float32')
    parser.add_argument('--history', type=int, help='latent frames, by default those of the model')
    parser.add_argument('--warmup', type=int, default=3)
    parser.add_argument('--repeats', type=int, default=20)
    parser.add_argument('--output', type=Path, default=Path('bench.json'))
    args = parser.parse_args(argv)
    dtype = DTYPES[args.dtype or ('bfloat16' if args.device.startswith('cuda') else 'float32')]
    try:
        config = load_model_config(args.model)
        if args.history is not None:
            config = dataclasses.replace(config, history_frames=args.history)
        result = run(config, args.preset, args.device, dtype, args.warmup, args.repeats)
    except ConfigError as error:
        print(f'aim_policy.bench: {error}', file=sys.stderr)
        return 2
    show(result)
    args.output.write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
