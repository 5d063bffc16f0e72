"""Results of an evaluation: one folder per run, written again after every episode, never half."""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from aim_policy.config import ConfigError, from_dict

PACKAGES = ('numpy', 'torch', 'sapien')
Z_95 = 1.959963984540054
FILE = 'results.json'
ALL_TASKS = 'all tasks'
"""Row of the summary that holds the mean over tasks: each has the same number of episodes."""


@dataclass(frozen=True)
class EpisodeResult:
    """How one episode ended.

    Attributes:
        steps: policy steps of simulated time.
        wall_s: wall time from the reset to the end.
        reason: why it failed; '' after a success.
    """

    task: str
    setting: str
    seed: int
    success: bool
    steps: int
    wall_s: float
    chunks: int
    rejected_chunks: int
    inference_ms: float
    reason: str = ''


def wilson(successes: int, episodes: int) -> tuple[float, float]:
    """Return the 95 % interval of a success rate (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    if episodes == 0:
        return 0.0, 1.0
    share, z2 = successes / episodes, Z_95**2
    centre = share + z2 / (2 * episodes)
    spread = Z_95 * math.sqrt(share * (1 - share) / episodes + z2 / (4 * episodes**2))
    scale = 1 + z2 / episodes
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


class ResultWriter:
    """Collects episodes and keeps `results.json` up to date.

    Attributes:
        folder: of this run.
        episodes: what is in the file.
    """

    def __init__(
        self, folder: Path, about: dict[str, Any], episodes: Sequence[EpisodeResult] = ()
    ) -> None:
        """Begin a file.

        Args:
            folder: that nobody else writes to; made if it is missing.
            about: what is evaluated and how.
            episodes: that are finished already.
        """
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._about = {**about, 'versions': versions(), 'git': git_hash()}
        self.episodes = list(episodes)
        self._write()

    @classmethod
    def resumed(cls, folder: Path, same: dict[str, Any], about: dict[str, Any]) -> ResultWriter:
        """Go on in a folder with what is finished there, or begin in it.

        Args:
            folder: made if it is missing.
            same: what must not differ from what the folder was made with.
            about: what else to say about the run.

        Raises:
            ConfigError: the folder holds episodes that were made otherwise.
        """
        path = folder / FILE
        episodes = _episodes_made_with(same, path) if path.exists() else []
        return cls(folder, {**same, **about}, episodes)

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / FILE

    def add(self, episode: EpisodeResult) -> None:
        """Add a finished episode; it is on disk when this returns."""
        self.episodes.append(episode)
        self._write()

    def summary(self) -> list[dict[str, Any]]:
        """Return success per task and setting, then over all tasks where there are several."""
        groups: dict[tuple[str, str], list[EpisodeResult]] = defaultdict(list)
        settings: dict[str, list[EpisodeResult]] = defaultdict(list)
        for episode in self.episodes:
            groups[episode.task, episode.setting].append(episode)
            settings[episode.setting].append(episode)
        rows = [_summarise(*key, episodes) for key, episodes in sorted(groups.items())]
        for setting, episodes in sorted(settings.items()):
            if len({episode.task for episode in episodes}) > 1:
                rows.append(_summarise(ALL_TASKS, setting, episodes))
        return rows

    def _write(self) -> None:
        content = {
            **self._about,
            'summary': self.summary(),
            'episodes': [asdict(episode) for episode in self.episodes],
        }
        aside = self.path.with_suffix('.json.part')
        with aside.open('w', encoding='utf-8') as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path)


def _episodes_made_with(same: dict[str, Any], path: Path) -> list[EpisodeResult]:
    """Read the episodes of a file that says the same of how they were made."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        found = {name: content.get(name) for name in same}
        episodes = [from_dict(EpisodeResult, e, str(path)) for e in content['episodes']]
    except (ValueError, KeyError, AttributeError) as error:
        raise ConfigError(f'{path} holds no results ({error}); choose another folder') from error
    for name, value in same.items():
        if episodes and found[name] != value:
            raise ConfigError(
                f'{path} was made with {name} {json.dumps(found[name])}, expected '
                f'{json.dumps(value)}; choose another folder'
            )
    return episodes


def _summarise(task: str, setting: str, episodes: list[EpisodeResult]) -> dict[str, Any]:
    successes = sum(episode.success for episode in episodes)
    low, high = wilson(successes, len(episodes))
    return {
        'task': task,
        'setting': setting,
        'successes': successes,
        'episodes': len(episodes),
        'success_rate': successes / len(episodes),
        'interval_95': [low, high],
        'mean_steps': sum(episode.steps for episode in episodes) / len(episodes),
    }


def table(summary: Iterable[dict[str, Any]]) -> str:
    """Return the success table for people."""
    lines = [f'{"task":24} {"setting":8} {"success":>9} {"rate":>6}  95 % interval  mean steps']
    for row in summary:
        low, high = (round(100 * bound) for bound in row['interval_95'])
        count = f'{row["successes"]}/{row["episodes"]}'
        lines.append(
            f'{row["task"]:24} {row["setting"]:8} {count:>9} {row["success_rate"]:>6.0%}'
            f'  {f"{low} to {high} %":>13}  {row["mean_steps"]:>10.0f}'
        )
    return '\n'.join(lines)


def unique_folder(parent: Path | str, name: str) -> Path:
    """Make and return `parent`/time-name; a number is added where it exists."""
    parent = Path(parent).expanduser().absolute()
    stem = f'{time.strftime("%Y-%m-%d_%H-%M-%S")}_{name}'
    for number in range(1000):
        folder = parent / (f'{stem}_{number}' if number else stem)
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise FileExistsError(f'{parent} is full of folders called {stem}')


def versions() -> dict[str, str]:
    """Return the versions of what decides about results, '' for what is not installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ''
    return found


def git_hash() -> str:
    """Return the commit of the checkout that this file is in, '' outside of one."""
    command = ['git', 'describe', '--always', '--dirty', '--abbrev=40']
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=True, timeout=5
        )
    except (OSError, subprocess.SubprocessError):
        return ''
    return done.stdout.strip()
