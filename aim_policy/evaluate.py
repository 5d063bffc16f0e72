"""`python -m aim_policy.evaluate`: success of a policy on simulated scenes, in parallel, no ROS.

In lockstep, with what the nodes of sim_eval.launch.py are made of: the same seed, the same result,
bit for bit where torch has the same number of threads. Stop it at any time and start it again with
the same words: finished episodes are kept.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from aim_policy.ablation import ABLATIONS
from aim_policy.config import ConfigError, unknown_name
from aim_policy.model.config import PRESETS
from aim_policy.registry import POLICIES
from aim_policy.robot import load_robot, share_dir
from aim_policy.rollout import Plan, Scene, run_scene, start_worker
from aim_ros.results import EpisodeResult, ResultWriter, table
from sim_bridge.backend import BACKENDS, FIRST_EVALUATION_SEED, check_setting, wording_of
from sim_bridge.tasks import tasks_of


def main(argv: list[str] | None = None) -> int:
    """Entry point; 0 when every episode was run, whatever came out."""
    arguments = parse(argv)
    # Workers would outlive a main process that ends without telling them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return evaluate(arguments)
    except ConfigError as error:
        print(f'evaluate: {error}', file=sys.stderr)
        return 2


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m aim_policy.evaluate', description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add('--policy', default='aim', help=f'one of {", ".join(POLICIES)}')
    add('--checkpoint', default='', help='folder of weights; default: those that are shipped')
    add('--preset', default='', help=f'of sampling, one of {", ".join(PRESETS)}; default: its own')
    add('--device', default='cpu', help='torch device')
    add('--tasks', nargs='+', required=True, help='task names, or all')
    add('--setting', nargs='+', default=['easy'], help='easy, hard, or single switches of hard')
    add('--episodes', type=int, required=True, help='per task and setting')
    add('--seed', type=int, default=0, help='scene seeds count up from 100000 x (1 + seed)')
    add('--instruction', default='auto', help='seen, unseen, or auto (unseen if hard)')
    add('--backend', default='builtin', help=f'one of {", ".join(BACKENDS)}')
    add('--robot', default='aloha_agilex', help='YAML under config/robot, or a path')
    add('--execute-steps', type=int, help='rows of a chunk to execute; default: as the node')
    add('--ablate', default='', help=f'take away one of {", ".join(ABLATIONS)}')
    add('--workers', type=int, default=os.cpu_count(), help='processes')
    add('--out', type=Path, required=True, help='folder for results.json')
    return parser.parse_args(argv)


def evaluate(arguments: argparse.Namespace) -> int:
    """Run what is missing and tell what came out."""
    plan = plan_of(arguments)
    scenes = scenes_of(plan, arguments)
    threads = max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // arguments.workers))
    about = {'command': sys.argv, 'execution': 'lockstep', 'torch_threads': threads}
    writer = ResultWriter.resumed(arguments.out, same_words(plan, arguments), about)
    status = 0
    try:
        _run(plan, scenes, writer, arguments.workers, threads)
    except KeyboardInterrupt:
        print('\nevaluate: interrupted; the same command goes on from here', file=sys.stderr)
        status = 130
    except (OSError, BrokenProcessPool) as error:
        print(f'\nevaluate: stopped: {error}; finished episodes are kept', file=sys.stderr)
        status = 1
    print(f'\n{table(writer.summary())}\n{failures(writer.episodes)}\nresults: {writer.path}')
    return status


def failures(episodes: Iterable[EpisodeResult]) -> str:
    """Return the most frequent reasons for failures, a line each."""
    reasons = Counter(episode.reason for episode in episodes if not episode.success)
    return ''.join(f'{count} x {reason}\n' for reason, count in reasons.most_common(5))


def plan_of(arguments: argparse.Namespace) -> Plan:
    """Check what can be checked before anything is loaded.

    Raises:
        ConfigError: an unknown name or a number that makes no sense.
    """
    a = arguments
    for kind, name, known in (
        ('policy', a.policy, POLICIES),
        ('preset', a.preset, ('', *PRESETS)),
        ('backend', a.backend, BACKENDS),
        ('ablation', a.ablate, ('', *ABLATIONS)),
    ):
        if name not in known:
            raise unknown_name(kind, name, filter(None, known))
    for setting in a.setting:
        check_setting(setting)
        wording_of(setting, a.instruction)
    load_robot(a.robot)
    _check_numbers(a)
    names = 'policy', 'checkpoint', 'device', 'preset', 'backend', 'robot', 'instruction', 'ablate'
    words = {name: getattr(a, name) for name in names}
    return Plan(tasks=tasks_of(a.tasks), execute_steps=a.execute_steps, **words)


def _check_numbers(arguments: argparse.Namespace) -> None:
    for name, least in (('episodes', 1), ('workers', 1), ('seed', 0), ('execute_steps', 1)):
        value, option = getattr(arguments, name), name.replace('_', '-')
        if value is not None and value < least:
            raise ConfigError(f'--{option} is {value}, expected {least} or more')
    count = arguments.episodes
    if count >= FIRST_EVALUATION_SEED:
        raise ConfigError(f'--episodes is {count}, expected below {FIRST_EVALUATION_SEED}')


def scenes_of(plan: Plan, arguments: argparse.Namespace) -> list[Scene]:
    """Return every scene to be played, one task after another."""
    first = FIRST_EVALUATION_SEED * (1 + arguments.seed)
    return [
        Scene(task, setting, first + index)
        for setting in dict.fromkeys(arguments.setting)
        for task in plan.tasks
        for index in range(arguments.episodes)
    ]


def same_words(plan: Plan, arguments: argparse.Namespace) -> dict:
    """Return what decides about results, as JSON gives it back."""
    return {
        **asdict(plan),
        'tasks': list(plan.tasks),
        'setting': list(dict.fromkeys(arguments.setting)),
        'episodes_per_task': arguments.episodes,
        'seed': arguments.seed,
        'weights_sha256': weights_sha256(plan),
    }


def weights_sha256(plan: Plan) -> str:
    """Return the hash of the weights, '' for a policy without: a folder may change meanwhile."""
    folder = Path(plan.checkpoint) if plan.checkpoint else share_dir() / 'models' / 'aim_tiny'
    files = sorted(folder.glob('*.safetensors')) if plan.policy == 'aim' else []
    digest = hashlib.sha256()
    for path in files:
        with path.open('rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest() if files else ''


def _run(
    plan: Plan, scenes: list[Scene], writer: ResultWriter, workers: int, threads: int
) -> None:
    done = {Scene(e.task, e.setting, e.seed) for e in writer.episodes}
    missing = [scene for scene in scenes if scene not in done]
    with (
        _processes(min(workers, max(1, len(missing))), threads) as pool,
        tqdm(total=len(scenes), initial=len(done), unit='episode', smoothing=0.05) as bar,
    ):
        futures = [pool.submit(run_scene, plan, scene) for scene in missing]
        for future in as_completed(futures):
            writer.add(future.result())
            successes = sum(episode.success for episode in writer.episodes)
            bar.set_postfix_str(f'{successes} succeeded', refresh=False)
            bar.update()


@contextmanager
def _processes(workers: int, threads: int) -> Iterator[ProcessPoolExecutor]:
    """Give processes to work in; an exception ends them in the middle of their episodes."""
    # Read by Mesa's CPU driver when a worker loads it: workers should not fight for cores.
    os.environ.setdefault('LP_NUM_THREADS', str(threads))
    context = multiprocessing.get_context('spawn')
    pool = ProcessPoolExecutor(workers, context, start_worker, (threads,))
    try:
        yield pool
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


if __name__ == '__main__':
    sys.exit(main())
