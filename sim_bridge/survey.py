"""`python -m sim_bridge.survey`: how well the experts do every task, as docs/tasks.md."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from aim_policy.episode import Episode
from sim_bridge.backend import FIRST_EVALUATION_SEED, ExpertFailed
from sim_bridge.builtin import BuiltinBackend, shared_backend
from sim_bridge.expert import Habits
from sim_bridge.recorder import record
from sim_bridge.tasks import TASKS

SETTINGS = ('easy', 'hard')
FIRST_SEED = 50_000  # training seeds far above those that data is usually collected from
HEAD = """# Tasks of the builtin backend

Made by `{command}`: {seeds} scenes per task and setting (seeds {first} to {last}), scripted
experts without noise. *Steps* are policy steps of 60 ms. *Seconds* is what one recorded episode
costs with three 320x240 pictures at every step, one process on {cores} cores without a GPU; *key
frames only* is the same with pictures at every fourth step.

| task | easy | hard | steps | seconds | key frames only | failures (easy and hard) | |
|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """What was found of one task."""

    task: str
    successes: dict[str, int]
    steps: float
    seconds: tuple[float, float]
    failures: tuple[str, ...]


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog='python -m sim_bridge.survey', description=__doc__)
    parser.add_argument('--tasks', nargs='+', default=sorted(TASKS), choices=sorted(TASKS))
    parser.add_argument('--seeds', type=int, default=50)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--out', type=Path, default=Path('docs/tasks.md'))
    parser.add_argument(
        '--fail-below',
        nargs=2,
        type=float,
        default=(0.0, 0.0),
        metavar=('EASY', 'HARD'),
        help='exit 1 when an expert does a smaller share of its scenes',
    )
    arguments = parser.parse_args(argv)
    pictures = arguments.out.parent / 'tasks'
    pictures.mkdir(parents=True, exist_ok=True)
    context = get_context('spawn')
    with ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
        counts = {
            (task, setting): pool.submit(try_seeds, task, setting, arguments.seeds)
            for task in arguments.tasks
            for setting in SETTINGS
        }
        found = {key: future.result() for key, future in counts.items()}
    rows = []
    for task in arguments.tasks:
        rows.append(_row(task, found, pictures))
        print(line(rows[-1], arguments.seeds), flush=True)
    arguments.out.write_text(page(rows, arguments), encoding='utf-8')
    weak = too_weak(rows, arguments.seeds, dict(zip(SETTINGS, arguments.fail_below, strict=True)))
    for text in weak:
        print(f'survey: {text}', file=sys.stderr)
    return int(bool(weak))


def try_seeds(task: str, setting: str, count: int) -> tuple[int, list[int], list[str]]:
    """Run the expert without pictures; returns successes, lengths of those, why others failed."""
    backend = shared_backend()
    lengths, failures = [], []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        backend.reset(task, seed, setting)
        try:
            actions = backend.demonstrate()
        except ExpertFailed as error:
            failures.append(str(error))
            continue
        if backend.success():
            lengths.append(len(actions))
        else:
            failures.append('moved, but not done')
    return len(lengths), lengths, failures


def _row(task: str, found: dict, pictures: Path) -> Row:
    lengths = [n for setting in SETTINGS for n in found[task, setting][1]]
    failures = [text for setting in SETTINGS for text in found[task, setting][2]]
    return Row(
        task=task,
        successes={setting: found[task, setting][0] for setting in SETTINGS},
        steps=float(np.mean(lengths or [0])),
        seconds=_time_recording(task, pictures),
        failures=tuple(failures),
    )


def _time_recording(task: str, pictures: Path) -> tuple[float, float]:
    """Return wall seconds per recorded episode, full and key frames only; save a picture."""
    backend = _warm_backend()
    full_s, episode = _record_one(backend, task, picture_every=1)
    _save_picture(episode, pictures / f'{task}.png')
    return full_s, _record_one(backend, task, picture_every=4)[0]


def _record_one(backend: BuiltinBackend, task: str, picture_every: int) -> tuple[float, Episode]:
    """Record the first scene that the expert does; returns how long that took."""
    for seed in range(FIRST_SEED, FIRST_EVALUATION_SEED):
        begin_s = time.perf_counter()
        try:
            episode = record(backend, task, seed, 'easy', Habits(), picture_every)
        except ExpertFailed:
            continue
        if isinstance(episode, Episode):
            return time.perf_counter() - begin_s, episode
    raise ExpertFailed(f'the expert does no scene of {task}')


def _save_picture(episode: Episode, path: Path) -> None:
    """Put the head camera of the start, of the first event and of the end side by side."""
    camera = episode.cameras['head_camera']
    steps = (0, episode.events[0].step if episode.events else len(episode) // 2, len(episode) - 1)
    images = [camera.image(camera.latest(step)) for step in steps]
    Image.fromarray(np.concatenate(images, axis=1)).save(path, optimize=True)


def _warm_backend() -> BuiltinBackend:
    """Return this process's backend after its first picture, at which shaders are compiled."""
    backend = shared_backend()
    backend.reset('click_bell', 0, 'easy')
    backend.render()
    return backend


def line(row: Row, seeds: int) -> str:
    """Return a row of the table."""
    easy, hard = (f'{row.successes[setting]}/{seeds}' for setting in SETTINGS)
    full, keys = row.seconds
    reasons = '; '.join(sorted({' '.join(text.split()[:6]) for text in row.failures})[:3]) or '-'
    picture = f'![{row.task}](tasks/{row.task}.png)'
    return (
        f'| {row.task} | {easy} | {hard} | {row.steps:.0f} | {full:.1f} | {keys:.1f} | '
        f'{reasons} | {picture} |'
    )


def too_weak(rows: list[Row], seeds: int, least: dict[str, float]) -> list[str]:
    """Tell which experts do a smaller share of the scenes of a setting than `least` says."""
    return [
        f'{row.task} {setting}: {row.successes[setting]}/{seeds}, expected {share:.0%} or more'
        for row in rows
        for setting, share in least.items()
        if row.successes[setting] < share * seeds
    ]


def page(rows: list[Row], arguments: argparse.Namespace) -> str:
    """Return the whole document."""
    head = HEAD.format(
        command='python -m sim_bridge.survey',
        seeds=arguments.seeds,
        first=FIRST_SEED,
        last=FIRST_SEED + arguments.seeds - 1,
        cores=os.cpu_count(),
    )
    return head + '\n'.join(line(row, arguments.seeds) for row in rows) + '\n'


if __name__ == '__main__':
    sys.exit(main())
