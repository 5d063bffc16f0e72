"""Our nodes as processes, for programs that measure them. Needs no message of ours."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from aim_policy.config import ConfigError
from aim_ros.installation import transport

PAGE_BYTES, TICKS_PER_S = os.sysconf('SC_PAGE_SIZE'), os.sysconf('SC_CLK_TCK')
END_S = 10.0


def executable(name: str) -> Path:
    """Return the program that starts a node of this package.

    Raises:
        ConfigError: it was not built.
    """
    try:
        path = Path(get_package_prefix('aim_ros')) / 'lib' / 'aim_ros' / name
    except PackageNotFoundError as error:
        raise ConfigError('aim_ros is not built or not sourced: run make build') from error
    if not path.is_file():
        raise ConfigError(f'{path}: not there: run make build')
    return path


def arguments(**parameters: object) -> list[str]:
    """Return the words that set a node's parameters; two underscores stand for a dot."""
    words = ['--ros-args']
    for name, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words += ['-p', f'{name.replace("__", ".")}:={text}']
    return words


def answer(name: str, **parameters: object) -> str:
    """Run a node to its end and return the last line that it printed.

    Raises:
        ConfigError: it failed.
    """
    command = [str(executable(name)), *arguments(**parameters)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, env={**os.environ, **transport()}
    )
    if done.returncode:
        raise ConfigError(f'{name} ended with {done.returncode}')
    return done.stdout.strip().splitlines()[-1]


@contextmanager
def running(name: str, **parameters: object) -> Iterator[subprocess.Popen]:
    """Run a node, silent apart from errors, until the end of the block."""
    command = [str(executable(name)), *arguments(**parameters), '--log-level', 'error']
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**os.environ, **transport()}
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_s(pid: int) -> float:
    """Return what a process has computed so far, in seconds of one core."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, 0 if it is gone."""
    try:
        return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * PAGE_BYTES
    except FileNotFoundError:
        return 0
