"""`python -m sim_bridge.collect`: expert episodes in parallel, to HDF5 files in RoboTwin's layout.

Files are DIR/TASK/SETTING/data/episodeSEED.hdf5. Stop it at any time and start it again with the
same words: what is finished stays, what failed is not tried again, the rest is made.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from aim_policy.atomic import written_aside
from aim_policy.config import ConfigError
from sim_bridge.backend import FIRST_EVALUATION_SEED, check_setting
from sim_bridge.tasks import tasks_of
from sim_bridge.workers import Job, Workers

SETTINGS_FILE = 'collected_with.json'
OPTIONS_OF_A_FOLDER = (
    'noise', 'second_attempt', 'stray', 'nudge', 'picture_every', 'smaller', 'led_by', 'led_chunks'
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Entry point; 0 when everything asked for is there."""
    arguments = parse(argv)
    # Workers would outlive a main process that ends without telling them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return collect(arguments)
    except ConfigError as error:
        print(f'collect: {error}', file=sys.stderr)
        return 2


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m sim_bridge.collect', description=__doc__.splitlines()[0]
    )
    parser.add_argument('--tasks', nargs='+', required=True, help='task names, or all')
    parser.add_argument('--setting', default='easy', help='easy, hard, or one switch of hard')
    parser.add_argument('--episodes', type=int, required=True, help='successes per task')
    parser.add_argument('--workers', type=int, default=os.cpu_count(), help='processes')
    parser.add_argument('--out', type=Path, required=True, help='folder to fill')
    parser.add_argument('--first-seed', type=int, default=0, help='seeds count up from here')
    parser.add_argument('--picture-every', type=int, default=1, help='render every n-th step')
    parser.add_argument(
        '--smaller', type=int, default=1, help='pictures n times smaller in width and height'
    )
    parser.add_argument(
        '--noise', type=float, default=0.015, help='spread (m) of the points before a pick'
    )
    parser.add_argument(
        '--second-attempt', type=float, default=0.2, help='share of picks that first miss'
    )
    parser.add_argument(
        '--stray', type=float, default=0.0, help='share of episodes that begin gone astray'
    )
    parser.add_argument(
        '--nudge', type=float, default=0.0, help='share of episodes with things pushed elsewhere'
    )
    parser.add_argument(
        '--led-by',
        default='',
        metavar='CHECKPOINT',
        help='let this policy begin, so that experts go on from where it errs',
    )
    parser.add_argument(
        '--led-chunks',
        type=float,
        default=8.0,
        help='so many chunks in the mean; few where a first mistake cannot be put right',
    )
    return parser.parse_args(argv)


def collect(arguments: argparse.Namespace) -> int:
    """Make what is missing of each task and tell what came out."""
    tasks = tasks_of(arguments.tasks)
    _check(arguments)
    collections: list[Collection] = []
    status = 0
    try:
        collections += [Collection(task, arguments) for task in tasks]
        _run(collections, arguments)
    except KeyboardInterrupt:
        print('\ncollect: interrupted; the same command goes on from here', file=sys.stderr)
        status = 130
    except (OSError, BrokenProcessPool) as error:
        print(f'\ncollect: stopped: {error}; finished episodes are whole', file=sys.stderr)
        status = 1
    print(summary(collections))
    return status


def _run(collections: list[Collection], arguments: argparse.Namespace) -> None:
    total = len(collections) * arguments.episodes
    done = sum(len(c.seeds) for c in collections)
    with (
        Workers(arguments.workers) as workers,
        tqdm(total=total, initial=done, unit='episode', smoothing=0.05) as bar,
    ):
        for collection in collections:
            collection.run(workers, bar)


def _check(arguments: argparse.Namespace) -> None:
    check_setting(arguments.setting)
    for name in ('episodes', 'workers', 'picture_every', 'smaller'):
        if getattr(arguments, name) < 1:
            raise ConfigError(
                f'--{name.replace("_", "-")} is {getattr(arguments, name)}, expected 1 or more'
            )
    if not 0 <= arguments.noise < 1:
        raise ConfigError(f'--noise is {arguments.noise}, expected metres from 0 to below 1')
    for name in ('second_attempt', 'stray', 'nudge'):
        share = getattr(arguments, name)
        if not 0 <= share <= 1:
            option = name.replace('_', '-')
            raise ConfigError(f'--{option} is {share}, expected 0 to 1')
    if not 1 <= arguments.led_chunks < math.inf:
        raise ConfigError(f'--led-chunks is {arguments.led_chunks}, expected 1 or more')
    if arguments.led_by and arguments.smaller > 1:
        raise ConfigError('--smaller and --led-by: a policy that leads needs whole pictures')
    last = arguments.first_seed + arguments.episodes - 1
    if arguments.first_seed < 0 or last >= FIRST_EVALUATION_SEED:
        raise ConfigError(
            f'seeds {arguments.first_seed} to {last}: training seeds lie below '
            f'{FIRST_EVALUATION_SEED}, the others are for evaluation'
        )


class Collection:
    """The episodes of one task in one setting.

    Attributes:
        seeds: recorded.
        failures: seed -> why it gave no episode.
    """

    def __init__(self, task: str, arguments: argparse.Namespace) -> None:
        self.task = task
        self._arguments = arguments
        self._options = {name: getattr(arguments, name) for name in OPTIONS_OF_A_FOLDER}
        self._folder = arguments.out / task / arguments.setting
        for part in ('data', 'instructions'):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        self._check_same_settings()
        self._log = self._folder / 'failed_seeds.jsonl'
        self.failures = self._read_failures()
        self.seeds = {
            int(path.stem.removeprefix('episode'))
            for path in (self._folder / 'data').glob('episode*.hdf5')
        }

    def _check_same_settings(self) -> None:
        """Refuse to mix episodes that were made with other figures in one folder."""
        mine, path = self._options, self._folder / SETTINGS_FILE
        if not path.exists():
            with written_aside(path) as aside:
                aside.write_text(json.dumps(mine) + '\n')
        try:
            found = json.loads(path.read_text())
        except ValueError as error:
            raise ConfigError(
                f'{path} is no JSON ({error}), expected {mine}; delete it if that is how the '
                'episodes beside it were made'
            ) from error
        if found != mine:
            raise ConfigError(f'{path} says {found}, expected {mine}; choose another --out')

    def _read_failures(self) -> dict[int, str]:
        """Read the log; a line that a kill or a full disk cut off counts as not written."""
        text = self._log.read_text() if self._log.exists() else ''
        if text and not text.endswith('\n'):
            with self._log.open('a') as file:  # what comes next starts on a line of its own
                file.write('\n')
        failures = {}
        for line in text.splitlines():
            with suppress(json.JSONDecodeError):
                failure = json.loads(line)
                failures[failure['seed']] = failure['reason']
        return failures

    def run(self, workers: Workers, bar: tqdm) -> None:
        """Record seeds in order until enough of them succeeded."""
        jobs = self._jobs()
        running: set[Future] = set()
        bar.set_description(self.task)
        while len(self.seeds) < self._arguments.episodes:
            while (
                len(self.seeds) + len(running) < self._arguments.episodes
                and len(running) < 2 * self._arguments.workers
            ):
                running.add(workers.submit(next(jobs)))
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                self._note(future, bar)

    def _jobs(self) -> Iterator[Job]:
        a = self._arguments
        for seed in range(a.first_seed, FIRST_EVALUATION_SEED):
            if seed not in self.seeds and seed not in self.failures:
                yield Job(self.task, seed, a.setting, self._folder, **self._options)
        raise ConfigError(f'{self.task}: no training seeds are left below {FIRST_EVALUATION_SEED}')

    def _note(self, future: Future, bar: tqdm) -> None:
        seed, reason = future.result()
        if not reason:
            self.seeds.add(seed)
            bar.update()
            return
        self.failures[seed] = reason
        with self._log.open('a') as file:
            file.write(json.dumps({'seed': seed, 'reason': reason}) + '\n')


def summary(collections: list[Collection]) -> str:
    """Return success per task and the most frequent reasons for failures."""
    lines = [f'{"task":24} {"episodes":>8} {"tried":>6} {"success":>8}  why seeds failed']
    for c in collections:
        tried = len(c.seeds) + len(c.failures)
        rate = f'{len(c.seeds) / tried:.0%}' if tried else '-'
        kinds = Counter(' '.join(reason.split()[:6]) for reason in c.failures.values())
        reasons = '; '.join(f'{n} x {kind}' for kind, n in kinds.most_common(3))
        lines.append(f'{c.task:24} {len(c.seeds):>8} {tried:>6} {rate:>8}  {reasons}')
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(main())
