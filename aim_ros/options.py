"""What a setting is called, means and may be: one table for dataclass, node and documentation.

Knows no ROS: `aim_ros.ros_util.parameters` makes parameters of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from aim_policy.config import ConfigError, unknown_name


def option(
    default: Any,
    text: str,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """Return a dataclass field with its description and what it may be.

    Args:
        default: value, which also gives the type.
        text: description, in one line.
        low: least number, inclusive.
        high: greatest number, inclusive.
        choices: all that a text may be, if not any.
    """
    metadata = {'help': text, 'low': low, 'high': high, 'choices': tuple(choices)}
    return dataclasses.field(default=default, metadata=metadata)


def check_options(config: Any) -> None:
    """Refuse a dataclass of options with a value that is not allowed; NaN never is.

    Raises:
        ConfigError: names the field, and what is expected.
    """
    for field in dataclasses.fields(config):
        value, about = getattr(config, field.name), field.metadata
        if about.get('choices') and value not in about['choices']:
            raise unknown_name(field.name, value, about['choices'])
        low, high = about.get('low'), about.get('high')
        if low is not None and not low <= value:
            raise ConfigError(f'{field.name} is {value}, expected {low} or more')
        if high is not None and not value <= high:
            raise ConfigError(f'{field.name} is {value}, expected {high} or less')
