"""A policy on a robot: simulated, mocked or real, with the same topics.

The policy waits for a goal of its action `policy/run`. On a real robot nothing moves before the
operator turns control on.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from aim_policy.config import ConfigError
from aim_policy.registry import POLICIES
from aim_policy.robot import RobotSpec, load_robot
from aim_ros.connections import missing, remappings, report
from aim_ros.installation import find_launch_file, has_executable
from launch import LaunchContext, LaunchDescription
from sim_bridge.tasks import TASKS

SHARE = Path(get_package_share_directory('aim_ros'))
LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')
HARDWARE = ('sim', 'mock', 'real')
BACKENDS = {'sim': 'builtin', 'mock': 'fake'}
YES_NO = ('true', 'false')
FROZEN_S = 2.0

ARGUMENTS = (  # name, default, choices, description
    (
        'hardware',
        'mock',
        HARDWARE,
        'sim: SAPIEN; mock: arms in numpy; real: the driver of the robot',
    ),
    ('robot', 'aloha_agilex', None, 'YAML under config/robot, or a path'),
    ('policy', 'aim', tuple(POLICIES), 'who drives'),
    ('checkpoint', '', None, 'folder for policy:=aim; empty: models/aim_tiny'),
    ('task', 'click_bell', tuple(sorted(TASKS)), 'scene for hardware:=sim'),
    ('controllers', '', None, 'YAML of ros2_control that emulated controllers follow'),
    ('rviz', 'false', YES_NO, 'show cameras, value maps and robot in RViz'),
    ('dry_run', 'false', YES_NO, 'only print what would be connected'),
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
    return LaunchDescription([*declared, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list:
    """Start the robot, the policy, and what shows them."""
    value = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    robot = load_robot(value['robot'])
    if value['dry_run'] == 'true':
        return [LogInfo(msg='\n' + report(robot))]
    real = value['hardware'] == 'real'
    names = remappings(robot) if real else []
    policy = node(
        value,
        'policy_node',
        'policy',
        names,
        policy=value['policy'],
        checkpoint=value['checkpoint'],
        execution='realtime',
        enable_control=not real,
        **{
            'safety.velocities': 'finite_difference',
            'sync.max_frozen_s': FROZEN_S if real else 0.0,  # simulated pictures have no noise
        },
    )
    side = real_side(value, robot) if real else [simulated_side(value)]
    nodes = [policy, node(value, 'robot_state_node', 'robot_state')]
    watched = [action for action in (*side, *nodes) if isinstance(action, Node)]
    ends = [end_with(action, real) for action in watched]
    return [*ends, *side, *nodes, *rviz(value, names)]


def simulated_side(value: dict) -> Node:
    """Return the bridge to a simulated robot that no judge interrupts."""
    return node(
        value,
        'bridge_node',
        'sim_bridge',
        backend=BACKENDS[value['hardware']],
        controllers=value['controllers'],
        execution='realtime',
        task=value['task'],
        judge=False,
    )


def real_side(value: dict, robot: RobotSpec) -> list:
    """Return the driver that a robot names, and what stands between it and the policy."""
    faults = missing(robot)
    if faults and robot.driver:
        raise ConfigError(faults[0])
    actions = [LogInfo(msg=f'real {robot.name}: control is off until the operator turns it on')]
    if robot.driver:
        source = PythonLaunchDescriptionSource(
            str(find_launch_file(robot.driver.package, robot.driver.file))
        )
        arguments = robot.driver.arguments.items()
        actions.append(IncludeLaunchDescription(source, launch_arguments=arguments))
    else:
        actions.append(LogInfo(msg=faults[0]))
    drivers = [arm.driver for arm in robot.arms if arm.driver]
    if drivers:
        actions.append(node(value, 'driver_node', 'driver_names'))
    if any(driver.set_points for driver in drivers):
        controllers = value['controllers']
        actions.append(node(value, 'set_point_node', 'set_points', controllers=controllers))
    return actions


def node(
    value: dict, executable: str, name: str, names: list | None = None, **parameters: object
) -> Node:
    """Return a node of this package; a simulated robot makes the time of the others."""
    sim_time = value['hardware'] != 'real' and executable != 'bridge_node'
    return Node(
        package='aim_ros',
        executable=executable,
        name=name,
        namespace=value['namespace'],
        parameters=[
            value['params_file'],
            {'use_sim_time': sim_time, 'robot': value['robot'], **parameters},
        ],
        remappings=names,
        ros_arguments=['--log-level', value['log_level']],
        output='screen',
        sigterm_timeout='3',
        sigkill_timeout='1',
    )


def end_with(action: Node, real: bool) -> RegisterEventHandler:
    """End the launch when a node ends, but never take a real robot's driver away."""

    def ended(event: object, context: LaunchContext) -> list:
        if context.is_shutdown:
            return []
        reason = f'{event.process_name} ended with exit code {event.returncode}'
        if real:
            return [LogInfo(msg=f'{reason}; the driver goes on')]
        return [EmitEvent(event=Shutdown(reason=reason)), OpaqueFunction(function=fail)]

    def fail(_: LaunchContext) -> None:
        raise RuntimeError('a node ended before the launch was')

    return RegisterEventHandler(OnProcessExit(target_action=action, on_exit=ended))


def rviz(value: dict, names: list) -> list:
    """Return RViz where it was asked for and is installed."""
    if value['rviz'] != 'true':
        return []
    if not has_executable('rviz2', 'rviz2'):
        return [
            LogInfo(msg='rviz:=true, but the package rviz2 is not installed; going on without')
        ]
    return [
        Node(
            package='rviz2',
            executable='rviz2',
            namespace=value['namespace'],
            arguments=['-d', str(SHARE / 'rviz' / 'aim.rviz')],
            parameters=[{'use_sim_time': value['hardware'] != 'real'}],
            remappings=names,
        )
    ]
