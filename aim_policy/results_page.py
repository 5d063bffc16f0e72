"""`python -m aim_policy.results_page`: evaluation runs as Markdown tables.

python -m aim_policy.results_page NAME=FOLDER ... --out FILE
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aim_policy.atomic import written_aside
from aim_policy.config import ConfigError
from aim_policy.weights import read_json
from aim_ros.results import ALL_TASKS, FILE


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog='python -m aim_policy.results_page', description=__doc__.splitlines()[0]
    )
    parser.add_argument('runs', nargs='+', metavar='NAME=FOLDER', help='a row or column each')
    parser.add_argument('--out', type=Path, help='file to write; printed if left out')
    arguments = parser.parse_args(argv)
    try:
        text = page(dict(_named(run) for run in arguments.runs))
    except ConfigError as error:
        print(f'results_page: {error}', file=sys.stderr)
        return 2
    if arguments.out:
        with written_aside(arguments.out) as aside:
            aside.write_text(text + '\n', encoding='utf-8')
    else:
        print(text)
    return 0


def _named(run: str) -> tuple[str, dict[str, Any]]:
    name, equals, folder = run.partition('=')
    if not equals:
        raise ConfigError(f'"{run}" names no run, expected NAME=FOLDER')
    return name, read_json(Path(folder) / FILE)


def page(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one table: tasks and settings down, runs across."""
    cells = {
        name: {(row['task'], row['setting']): cell(row) for row in run['summary']}
        for name, run in runs.items()
    }
    rows = sorted({key for column in cells.values() for key in column}, key=_order)
    lines = [_line(['task', 'setting', *cells]), _line(['---'] * (2 + len(cells)))]
    for key in rows:
        lines.append(_line([*key, *(column.get(key, '-') for column in cells.values())]))
    return '\n'.join(lines)


def cell(row: Mapping[str, Any]) -> str:
    """Return successes, rate and interval of one row of a summary."""
    low, high = (round(100 * bound) for bound in row['interval_95'])
    count = f'{row["successes"]}/{row["episodes"]}'
    return f'{count}, {row["success_rate"]:.0%} ({low} to {high})'


def _order(key: tuple[str, str]) -> tuple[str, bool, str]:
    task, setting = key
    return setting, task == ALL_TASKS, task


def _line(words: Iterable[str]) -> str:
    return f'| {" | ".join(words)} |'


if __name__ == '__main__':
    sys.exit(main())
