"""What our launch files share: their arguments, nodes, how a launch ends, and RViz.

Uses only what the real `launch` and `launch_ros` offer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from aim_policy.config import ConfigError, unknown_name
from aim_ros.installation import has_executable, transport
from launch import LaunchContext, LaunchDescription

Argument = tuple[str, str | None, Sequence[str] | None, str]
"""Name, default (None: must be given), choices (None: anything), description."""

Values = dict[str, str]

SHARE = Path(get_package_share_directory('aim_ros'))
PARAMS_FILE = str(SHARE / 'config' / 'ros' / 'params.yaml')
YES_NO = ('true', 'false')
CHECKPOINT: Argument = ('checkpoint', '', None, 'folder for policy:=aim; empty: models/aim_tiny')
EVERYWHERE: tuple[Argument, ...] = (
    ('namespace', '', None, 'namespace of all nodes and topics'),
    ('params_file', PARAMS_FILE, None, 'parameters of all nodes'),
    ('log_level', 'info', ('debug', 'info', 'warn', 'error', 'fatal'), 'of all nodes'),
)


def describe(
    arguments: Sequence[Argument], start: Callable[[Values], list[Any]]
) -> LaunchDescription:
    """Declare arguments; once they are known to be good, start what they ask for.

    Args:
        arguments: of the launch file, without those of `EVERYWHERE`.
        start: from the values of all arguments to actions.
    """
    arguments = (*arguments, *EVERYWHERE)
    declared = [
        DeclareLaunchArgument(
            name,
            default_value=default,
            description=text,
            **({'choices': list(choices)} if choices else {}),
        )
        for name, default, choices, text in arguments
    ]

    def check(context: LaunchContext) -> None:
        _check(context.launch_configurations, arguments)

    def make(context: LaunchContext) -> list[Any]:
        values = {name: LaunchConfiguration(name).perform(context) for name, *_ in arguments}
        if not Path(values['params_file']).is_file():
            raise ConfigError(f'params_file is "{values["params_file"]}", no such file')
        return start(values)

    # Threads of the network that wait for each other leave the cores to the simulator.
    environment = {'OMP_WAIT_POLICY': 'passive', **transport()}
    variables = [SetEnvironmentVariable(*pair) for pair in environment.items()]
    return LaunchDescription(
        [OpaqueFunction(function=check), *declared, *variables, OpaqueFunction(function=make)]
    )


def _check(given: Values, arguments: Sequence[Argument]) -> None:
    """Refuse what is misspelt with the nearest good word, before launch says less about it."""
    names = [name for name, *_ in arguments]
    for name in given:
        if name not in names:
            error = unknown_name('launch argument', name, names)
            if 'did you mean' in str(error):
                raise error
    for name, _, choices, _ in arguments:
        if name in given and choices and given[name] not in choices:
            raise unknown_name(name, given[name], filter(None, choices))


def node(
    values: Values,
    executable: str,
    name: str,
    sim_time: bool = True,
    remappings: Sequence[tuple[str, str]] | None = None,
    **parameters: object,
) -> Node:
    """Return a node of this package; without `sim_time` it makes the time, or has the clock's."""
    return Node(
        package='aim_ros',
        executable=executable,
        name=name,
        namespace=values['namespace'],
        parameters=[values['params_file'], {'use_sim_time': sim_time, **parameters}],
        remappings=remappings,
        ros_arguments=['--log-level', values['log_level']],
        output='screen',
        sigterm_timeout='3',
        sigkill_timeout='1',
    )


def end_with(action: Node, done: str = '', goes_on: str = '') -> RegisterEventHandler:
    """End the launch when a node ends, with an error unless it had done its work.

    Args:
        action: the node.
        done: what to say when it ends without a fault, as it may; '' if it may not.
        goes_on: what goes on without it: then nothing ends, and this is said.
    """

    def ended(event: Any, context: LaunchContext) -> list[Any]:
        if done and event.returncode == 0:
            return [EmitEvent(event=Shutdown(reason=done))]
        if context.is_shutdown:
            return []
        reason = f'{event.process_name} ended with exit code {event.returncode}'
        if goes_on:
            return [LogInfo(msg=f'{reason}; {goes_on} goes on')]
        return [EmitEvent(event=Shutdown(reason=reason)), OpaqueFunction(function=fail)]

    def fail(_: LaunchContext) -> None:
        raise RuntimeError('a node ended before the launch was done')

    return RegisterEventHandler(OnProcessExit(target_action=action, on_exit=ended))


def rviz(
    values: Values,
    sim_time: bool = True,
    remappings: Sequence[tuple[str, str]] | None = None,
    beside: Sequence[Node] = (),
) -> list[Any]:
    """Return RViz, and what it needs beside it, where it was asked for and is installed."""
    if values['rviz'] != 'true':
        return []
    if not has_executable('rviz2', 'rviz2'):
        missing = 'rviz:=true, but the package rviz2 is not installed; going on without'
        return [LogInfo(msg=missing)]
    shown = Node(
        package='rviz2',
        executable='rviz2',
        namespace=values['namespace'],
        arguments=['-d', str(SHARE / 'rviz' / 'aim.rviz')],
        parameters=[{'use_sim_time': sim_time}],
        remappings=remappings,
    )
    return [*beside, shown]
