"""Conditions under which an action is executed."""

from collections.abc import Callable
from typing import Any

from .launch_service import LaunchContext
from .substitutions import perform_text


def IfCondition(predicate_expression: Any) -> Callable[[LaunchContext], bool]:
    """Return what holds when the text is true or 1."""

    def holds(context: LaunchContext) -> bool:
        word = perform_text(context, predicate_expression).strip().lower()
        if word not in ('true', '1', 'false', '0'):
            raise ValueError(f"condition is '{word}', expected true, 1, false or 0")
        return word in ('true', '1')

    return holds


def UnlessCondition(predicate_expression: Any) -> Callable[[LaunchContext], bool]:
    """Return what holds when the text is false or 0."""
    return lambda context: not IfCondition(predicate_expression)(context)
