"""Play the sensors of a bag to a policy: what would it do, and where does it look?"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from aim_policy.config import ConfigError
from aim_policy.interface import EXECUTIONS
from aim_policy.registry import POLICIES
from launch import LaunchContext, LaunchDescription

SHARE = Path(get_package_share_directory('aim_ros'))
LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')
YES_NO = ('true', 'false')

ARGUMENTS = (  # name, default, choices, description
    ('bag', None, None, 'folder of the bag, or one .mcap file'),
    ('policy', 'aim', tuple(POLICIES), 'who is shown the bag'),
    (
        'checkpoint',
        '',
        None,
        'folder for policy:=aim; empty: models/aim_tiny',
    ),
    ('preset', '', None, 'how many steps policy:=aim takes; empty: those of the weights'),
    ('instruction', '', None, 'what to do; empty: as the bag says'),
    (
        'execution',
        'lockstep',
        EXECUTIONS,
        'lockstep: wait for the policy; realtime: do not',
    ),
    ('rate', '1.0', None, 'realtime: how many times as fast as it was recorded'),
    ('rviz', 'false', YES_NO, 'show cameras and value maps in RViz'),
    ('namespace', '', None, 'namespace of all nodes and topics'),
    (
        'params_file',
        str(SHARE / 'config' / 'ros' / 'params.yaml'),
        None,
        'parameters of all nodes',
    ),
    ('log_level', 'info', LEVELS, 'of all nodes'),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; nodes are made once they are known."""
    declared = [
        DeclareLaunchArgument(
            name,
            default_value=default,
            description=text,
            **({'choices': list(choices)} if choices else {}),
        )
        for name, default, choices, text in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=make_nodes)])


def make_nodes(context: LaunchContext) -> list:
    """Start the policy and the node that plays the bag; the end of the bag ends both."""
    value = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    try:
        rate = float(value['rate'])
    except ValueError as error:
        raise ConfigError(f'rate is "{value["rate"]}", expected a number') from error
    # The recorded robot goes on as it went, whatever is said now, so what is said may lie far
    # from where it is. Nothing moves: a refused chunk is no reason to stop.
    anyhow = {'max_rejected_chunks': 1_000_000, 'safety.max_start_jump_rad': 1000.0}
    anyhow = anyhow if value['execution'] == 'realtime' else {}
    named = ('policy', 'checkpoint', 'preset', 'execution')
    policy = node(value, 'policy_node', 'policy', *named, **anyhow)
    replay = node(value, 'replay_node', 'replay', 'bag', 'instruction', 'execution', rate=rate)
    view = Node(
        package='rviz2',
        executable='rviz2',
        namespace=value['namespace'],
        arguments=['-d', str(SHARE / 'rviz' / 'aim.rviz')],
        parameters=[{'use_sim_time': True}],
    )
    views = [view] if value['rviz'] == 'true' else []
    return [policy, replay, *views, end_with(policy), end_with(replay, 'the bag was played')]


def node(value: dict, executable: str, name: str, *arguments: str, **parameters: object) -> Node:
    """Return a node of this package that takes launch arguments and more as parameters."""
    return Node(
        package='aim_ros',
        executable=executable,
        name=name,
        namespace=value['namespace'],
        # The player makes the time that the policy uses.
        parameters=[
            value['params_file'],
            {'use_sim_time': executable != 'replay_node', **parameters},
            {argument: value[argument] for argument in arguments},
        ],
        ros_arguments=['--log-level', value['log_level']],
        output='screen',
        sigterm_timeout='3',
        sigkill_timeout='1',
    )


def end_with(action: Node, done: str = '') -> RegisterEventHandler:
    """End the launch when a node ends; with an error unless it had done its work."""

    def ended(event: object, context: LaunchContext) -> list:
        if done and event.returncode == 0:
            return [EmitEvent(event=Shutdown(reason=done))]
        if context.is_shutdown:
            return []
        reason = f'{event.process_name} ended with exit code {event.returncode}'
        return [EmitEvent(event=Shutdown(reason=reason)), OpaqueFunction(function=fail)]

    def fail(_: LaunchContext) -> None:
        raise RuntimeError('a node ended before the bag was played')

    return RegisterEventHandler(OnProcessExit(target_action=action, on_exit=ended))
