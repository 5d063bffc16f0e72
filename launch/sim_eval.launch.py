"""Evaluate a policy on simulated scenes over ROS topics: bridge, policy and evaluator."""

from pathlib import Path

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
from aim_policy.interface import EXECUTIONS
from aim_policy.model.config import PRESETS
from aim_policy.registry import POLICIES
from aim_ros.installation import has_executable
from launch import LaunchContext, LaunchDescription
from sim_bridge.backend import BACKENDS, SETTINGS, WORDINGS
from sim_bridge.tasks import TASKS

SHARE = Path(get_package_share_directory('aim_ros'))
LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')
YES_NO = ('true', 'false')

ARGUMENTS = (  # name, default, choices, description
    ('task', 'click_bell', (*sorted(TASKS), 'all'), 'what to do'),
    ('setting', 'easy', SETTINGS, 'difficulty of the scenes'),
    ('episodes', '3', None, 'episodes per task'),
    ('seed', '0', None, 'scene seeds start at 100000 x (1 + seed)'),
    ('instruction', 'auto', WORDINGS, 'wording; auto: unseen in hard scenes, seen in others'),
    ('policy', 'aim', (*POLICIES, 'expert'), 'who drives; expert is scripted and sees the scene'),
    (
        'checkpoint',
        '',
        None,
        'folder for policy:=aim; empty: models/aim_tiny',
    ),
    (
        'preset',
        '',
        ('', *PRESETS),
        'how many steps policy:=aim takes; empty: those of the weights',
    ),
    ('backend', 'builtin', tuple(BACKENDS), 'simulator'),
    ('execution', 'lockstep', EXECUTIONS, 'lockstep: reproducible; realtime: latency counts'),
    ('rviz', 'false', YES_NO, 'show cameras, value maps and robot in RViz'),
    ('record', 'false', YES_NO, 'write a video of each episode'),
    ('bag', 'false', YES_NO, 'record all topics in a bag (MCAP) in results_dir'),
    ('namespace', '', None, 'namespace of all nodes and topics'),
    (
        'params_file',
        str(SHARE / 'config' / 'ros' / 'params.yaml'),
        None,
        'parameters of all nodes',
    ),
    ('log_level', 'info', LEVELS, 'of all nodes'),
    ('results_dir', 'results', None, 'each run makes a new folder in it'),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; nodes are made once the arguments are known to be good."""
    declared = [
        DeclareLaunchArgument(
            name,
            default_value=default,
            description=text,
            **({'choices': list(choices)} if choices else {}),
        )
        for name, default, choices, text in ARGUMENTS
    ]
    return LaunchDescription(
        [
            OpaqueFunction(function=check_arguments),
            *declared,
            # Threads of the network that wait for each other leave the cores to the simulator.
            SetEnvironmentVariable('OMP_WAIT_POLICY', 'passive'),
            OpaqueFunction(function=make_nodes),
        ]
    )


def check_arguments(context: LaunchContext) -> None:
    """Refuse what is misspelt with the nearest good word, before launch says less about it."""
    names = [name for name, *_ in ARGUMENTS]
    for name in context.launch_configurations:
        if name not in names:
            error = unknown_name('launch argument', name, names)
            if 'did you mean' in str(error):
                raise error
    for name, _, choices, _ in ARGUMENTS:
        value = context.launch_configurations.get(name)
        if value is not None and choices and value not in choices:
            raise unknown_name(name, value, filter(None, choices))
        if value is not None and name in ('episodes', 'seed') and not value.isdecimal():
            raise ConfigError(f'{name} is "{value}", expected a whole number')


def make_nodes(context: LaunchContext) -> list:
    """Start the nodes of the chosen policy and end everything when the evaluator ends."""
    value = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    if not Path(value['params_file']).is_file():
        raise ConfigError(f'params_file is "{value["params_file"]}", no such file')
    backend, execution = value['backend'], value['execution']
    expert = value['policy'] == 'expert'
    depth = value['rviz'] == 'true' and backend == 'builtin'
    bridge = node(
        value, 'bridge_node', 'sim_bridge', backend=backend, execution=execution, depth=depth
    )
    if expert:
        driver = node(value, 'expert_node', 'expert', backend=backend)
    else:
        driver = node(
            value,
            'policy_node',
            'policy',
            policy=value['policy'],
            checkpoint=value['checkpoint'],
            preset=value['preset'],
            execution=execution,
            **({'safety.velocities': 'finite_difference'} if execution == 'realtime' else {}),
        )
    evaluator = node(
        value,
        'evaluator_node',
        'evaluator',
        task=value['task'],
        setting=value['setting'],
        episodes=int(value['episodes']),
        seed=int(value['seed']),
        instruction=value['instruction'],
        policy=value['policy'],
        policy_node='expert' if expert else 'policy',
        record=value['record'] == 'true',
        results_dir=value['results_dir'],
    )
    nodes = [bridge, driver, evaluator]
    if value['bag'] == 'true':
        nodes.insert(0, node(value, 'recorder_node', 'recorder', bags_dir=value['results_dir']))
    return [*nodes, *(end_with(action, action is evaluator) for action in nodes), *rviz(value)]


def node(value: dict, executable: str, name: str, **parameters: object) -> Node:
    """Return a node of this package."""
    return Node(
        package='aim_ros',
        executable=executable,
        name=name,
        namespace=value['namespace'],
        # The bridge makes the time that the others use.
        parameters=[
            value['params_file'],
            {'use_sim_time': executable != 'bridge_node', **parameters},
        ],
        ros_arguments=['--log-level', value['log_level']],
        output='screen',
        sigterm_timeout='3',
        sigkill_timeout='1',
    )


def end_with(action: Node, may_end: bool) -> RegisterEventHandler:
    """End the launch when a node ends; with an error unless it had done its work."""

    def ended(event: object, context: LaunchContext) -> list:
        if may_end and event.returncode == 0:
            return [EmitEvent(event=Shutdown(reason='evaluation finished'))]
        if context.is_shutdown:
            return []
        reason = f'{event.process_name} ended with exit code {event.returncode}'
        return [EmitEvent(event=Shutdown(reason=reason)), OpaqueFunction(function=fail)]

    def fail(_: LaunchContext) -> None:
        raise RuntimeError('a node ended before the evaluation was finished')

    return RegisterEventHandler(OnProcessExit(target_action=action, on_exit=ended))


def rviz(value: dict) -> list:
    """Return RViz where it was asked for and is installed."""
    if value['rviz'] != 'true':
        return []
    if not has_executable('rviz2', 'rviz2'):
        return [
            LogInfo(msg='rviz:=true, but the package rviz2 is not installed; going on without')
        ]
    return [
        node(value, 'robot_state_node', 'robot_state'),
        node(value, 'cloud_node', 'cloud'),
        Node(
            package='rviz2',
            executable='rviz2',
            namespace=value['namespace'],
            arguments=['-d', str(SHARE / 'rviz' / 'aim.rviz')],
            parameters=[{'use_sim_time': True}],
        ),
    ]
