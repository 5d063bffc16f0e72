"""Processes that record expert episodes, each in a simulator of its own."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aim_policy.atomic import written_aside
from aim_policy.config import ConfigError
from aim_policy.episode import write_episode
from sim_bridge.backend import ExpertFailed

if TYPE_CHECKING:
    from sim_bridge.builtin import BuiltinBackend
    from sim_bridge.recorder import Begin


@dataclass(frozen=True)
class Job:
    """One scene to record. All but `task` and `seed` holds for the whole run.

    `led_by` is a checkpoint whose policy begins, for `led_chunks` in the mean. If it is '', nobody
    does, and pictures are so many times `smaller`. `noise` is in metres.
    """

    task: str
    seed: int
    setting: str
    folder: Path
    noise: float
    second_attempt: float
    stray: float = 0.0
    nudge: float = 0.0
    picture_every: int = 1
    smaller: int = 1
    led_by: str = ''
    led_chunks: float = 8.0

    @property
    def path(self) -> Path:
        """Where its episode goes."""
        return self.folder / 'data' / f'episode{self.seed}.hdf5'


class Workers:
    """Processes that record one job at a time."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context('spawn')
        threads = max(1, (os.cpu_count() or 1) // count)
        # Read by Mesa's CPU driver when a worker loads it: workers should not fight for cores.
        os.environ.setdefault('LP_NUM_THREADS', str(threads))
        self._pool = ProcessPoolExecutor(count, mp_context=context, initializer=_ignore_interrupts)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)  # returns when what has begun is finished

    def submit(self, job: Job) -> Future:
        """Start a job; its result is the seed and why it failed, '' if it did not."""
        return self._pool.submit(_record, job)


def _ignore_interrupts() -> None:
    """Let only the main process hear Ctrl-C: it ends the workers after their episode."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _record(job: Job) -> tuple[int, str]:
    stage = _stage(job)  # what fails here fails for every seed
    try:
        return job.seed, _write_episode(job, *stage)
    except (ConfigError, OSError):  # a mistake of the user or a full disk, not this scene's fault
        raise
    except ExpertFailed as error:
        return job.seed, str(error)
    except Exception as error:  # the process's outermost callback: one odd scene ends no run
        return job.seed, f'{type(error).__name__}: {error}'


def _stage(job: Job) -> tuple[BuiltinBackend, Begin | None]:
    """Return this process's simulator, and what begins scenes in it."""
    if job.led_by:
        from sim_bridge.leader import leader

        first = leader(job.led_by)
        return first.backend, partial(first.begin, job.led_chunks)
    from sim_bridge.builtin import shared_backend

    return shared_backend(job.smaller), None


def _write_episode(job: Job, backend: BuiltinBackend, begin: Begin | None) -> str:
    """Record the job's scene; returns why that gave no episode."""
    from sim_bridge.expert import Habits
    from sim_bridge.recorder import Failure, record

    habits = Habits(job.noise, job.second_attempt, job.stray, job.nudge)
    scene = job.task, job.seed, job.setting
    episode = record(backend, *scene, habits, job.picture_every, begin)
    if isinstance(episode, Failure):
        return episode.reason
    wordings = job.folder / 'instructions' / f'{job.path.stem}.json'  # where RoboTwin looks
    with written_aside(wordings) as aside:
        aside.write_text(json.dumps(episode.instructions))
    write_episode(job.path, episode, overwrite=True)
    return ''
