"""Texts that are known only when the launch runs."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .launch_service import LaunchContext


@dataclass(eq=False)
class Substitution:
    """A function that returns a text, and the form in which --show-args shows it."""

    form: str
    perform: Callable[[LaunchContext], str]

    def __repr__(self) -> str:
        return self.form


def perform_text(context: LaunchContext, value: Any) -> str:
    """Return the text of a text, a path, a substitution, or a list of them joined."""
    if isinstance(value, Substitution):
        return value.perform(context)
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    if isinstance(value, Iterable):
        return ''.join(perform_text(context, item) for item in value)
    raise TypeError(f'{value!r} is neither text nor a substitution nor a list of them')


def _look_up(context: LaunchContext, values: Mapping[str, str], name: Any, default: Any) -> str:
    key = perform_text(context, name)
    if key not in values and default is None:
        raise RuntimeError(f"'{key}' is not set and has no default")
    return values[key] if key in values else perform_text(context, default)


def TextSubstitution(*, text: str) -> Substitution:
    """Return a fixed text."""
    return Substitution(repr(text), lambda context: text)


def LaunchConfiguration(variable_name: Any, *, default: Any = None) -> Substitution:
    """Return the value of a launch argument."""
    form, name = f'LaunchConfig({variable_name!r})', variable_name
    return Substitution(form, lambda c: _look_up(c, c.launch_configurations, name, default))


def EnvironmentVariable(name: Any, *, default_value: Any = None) -> Substitution:
    """Return the value of an environment variable."""
    form = f'EnvVar({name!r})'
    return Substitution(form, lambda context: _look_up(context, os.environ, name, default_value))


def PathJoinSubstitution(substitutions: Iterable[Any]) -> Substitution:
    """Return parts joined to one path; a list inside is one part."""
    parts = list(substitutions)
    form = f'PathJoin({parts})'
    return Substitution(form, lambda c: os.path.join(*(perform_text(c, part) for part in parts)))
