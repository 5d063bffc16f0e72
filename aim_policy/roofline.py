"""What a device could do at best, as measured, and what a chunk asks of its memory."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from aim_policy.model.config import ModelConfig, SamplingConfig
from aim_policy.model.transformer import AimTransformer, Memory

T = TypeVar('T')


@dataclass(frozen=True)
class Device:
    """What the machine could do at best, as measured."""

    name: str
    flops: float  # per second, large matrix product
    bandwidth: float  # bytes per second, large copy


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def best_seconds(work: Callable[[], object], device: torch.device, repeats: int = 10) -> float:
    """Shortest time of several runs, after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def count_flops(work: Callable[[], T]) -> tuple[T, float]:
    """Do some work; returns what it gives and its floating-point operations."""

    def attention(query: list[int], key: list[int], value: list[int], *_: object, **__: object):
        return sdpa_flop_count(query, key, value)

    # torch counts attention on a GPU only.
    on_cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    with FlopCounterMode(display=False, custom_mapping={on_cpu: attention}) as counter:
        result = work()
    return result, float(counter.get_total_flops())


def measure_device(device: torch.device, dtype: torch.dtype) -> Device:
    """Measure the peaks that shares are taken of."""
    size, numbers = (8192, 2**30) if device.type == 'cuda' else (1024, 2**25)
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    source = torch.zeros(numbers, device=device, dtype=dtype)
    goal = torch.empty_like(source)
    product = best_seconds(lambda: torch.mm(matrix, matrix), device)
    copy = best_seconds(lambda: goal.copy_(source), device)
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else _processor()
    traffic = 2 * numbers * source.element_size()
    return Device(name, 2 * size**3 / product, traffic / copy)


def _processor() -> str:
    lines = Path('/proc/cpuinfo')
    names = lines.read_text(encoding='utf-8').splitlines() if lines.is_file() else []
    found = next((n.split(':')[1].strip() for n in names if n.startswith('model name')), '')
    return f'{found or platform.machine()}, {torch.get_num_threads()} threads'


def stage_bytes(
    network: AimTransformer, sampling: SamplingConfig, past: tuple[Memory, ...]
) -> dict[str, float]:
    """Memory that each stage must at least read: weights, and keys of the past, per pass."""
    sizes = {'video': 0, 'value': 0, 'action': 0}
    for name, parameter in network.layers.named_parameters():
        stream = next((s for s in ('value', 'action') if f'attention.{s}.' in name), 'video')
        stream = 'action' if '.action' in name else stream
        # The text's own keys and values are made once per instruction.
        used = not name.split('.', 1)[1].startswith(('text.key', 'text.value'))
        sizes[stream] += used * parameter.numel() * parameter.element_size()
    config, seen = network.config, _memory_bytes(past)
    remembers = config.remembers
    joint = sizes['video'] + sizes['value'] + seen
    passes = max(sampling.video_steps, 1) + sampling.extra_freeze_pass
    blind = sampling.video_steps * (sampling.guidance != 1.0)
    return {
        'observe': remembers * (sizes['video'] + sizes['action'] + seen),
        'append': config.proprioception * sizes['action'] + (not remembers) * sizes['video'],
        'imagine': passes * joint + blind * (sizes['video'] + seen),
        'act': sampling.action_steps * sizes['action'],
        'decode': 0.0,
    }


def _memory_bytes(memories: tuple[Memory, ...]) -> int:
    tensors = [t for memory in memories for pair in memory.layers for t in pair]
    return sum(t.numel() * t.element_size() for t in tensors)


def tokens(config: ModelConfig) -> dict[str, int]:
    """Tokens of each group in a chunk."""
    cells = config.rows * config.columns // config.patch**2
    return {
        'observed': config.frames_in_sight * cells,
        'executed': config.remembers * config.history_frames * config.steps_per_frame,
        'rgb': config.frames * cells,
        'value': config.frames * (cells + 1),
        'action': config.steps,
    }
