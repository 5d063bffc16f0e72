"""`python -m aim_policy.checkpoint inspect|convert|average PATH`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aim_policy.checkpoint_average import average
from aim_policy.checkpoint_convert import convert
from aim_policy.checkpoint_report import inspect
from aim_policy.config import ConfigError
from aim_policy.model.config import load_model_config
from aim_policy.robot import load_robot


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(argv)
    try:
        if options.command == 'inspect':
            lines = inspect(options.path)
        elif options.command == 'average':
            lines = average(options.paths, options.out, load_robot(options.robot))
        else:
            config, robot = load_model_config(options.model), load_robot(options.robot)
            lines = convert(
                options.path, options.out, config, robot,
                options.wan, options.allow_pickle, options.licence,
            ).lines()  # fmt: skip
            lines.append(f'written to {options.out}; m and a must be trained before use')
    except ConfigError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print('\n'.join(lines))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m aim_policy.checkpoint', description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    look = commands.add_parser('inspect', help='say what a checkpoint of any kind holds')
    turn = commands.add_parser('convert', help='make a checkpoint of ours out of a foreign one')
    for command in (look, turn):
        command.add_argument('path', type=Path, metavar='PATH')
    mix = commands.add_parser('average', help='make one out of several trained alike')
    mix.add_argument('paths', type=Path, nargs='+', metavar='PATH')
    for command in (turn, mix):
        command.add_argument('--out', type=Path, required=True, help='folder to write')
        command.add_argument('--robot', default='aloha_agilex', help='robot, name or YAML')
    turn.add_argument('--model', default='aim_5b', help='model config, name or YAML')
    turn.add_argument('--wan', type=Path, help='folder with vae/, text_encoder/ and tokenizer/')
    turn.add_argument('--licence', default='', help='of the weights, to be recorded')
    turn.add_argument(
        '--allow-pickle', action='store_true',
        help='read the .pth files of an original Wan release, as tensors only',
    )  # fmt: skip
    return parser
