"""A policy on a robot: simulated, mocked or real, with the same topics.

The policy waits for a goal of its action `policy/run`. On a real robot nothing moves before the
operator turns control on.
"""

from launch.actions import IncludeLaunchDescription, LogInfo
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from aim_policy.config import ConfigError
from aim_policy.registry import POLICIES
from aim_policy.robot import RobotSpec, load_robot
from aim_ros import launching
from aim_ros.connections import missing, remappings, report
from aim_ros.installation import find_launch_file
from aim_ros.launching import CHECKPOINT, YES_NO, Values, describe, end_with, rviz
from launch import LaunchDescription
from sim_bridge.tasks import TASKS

HARDWARE = ('sim', 'mock', 'real')
BACKENDS = {'sim': 'builtin', 'mock': 'fake'}
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
    CHECKPOINT,
    ('task', 'click_bell', tuple(sorted(TASKS)), 'scene for hardware:=sim'),
    ('controllers', '', None, 'YAML of ros2_control that emulated controllers follow'),
    ('rviz', 'false', YES_NO, 'show cameras, value maps and robot in RViz'),
    ('record', 'false', YES_NO, 'record all topics in a bag (MCAP)'),
    ('bags_dir', '.', None, 'each bag makes a new folder in it'),
    ('dry_run', 'false', YES_NO, 'only print what would be connected'),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; nodes are made once they are known."""
    return describe(ARGUMENTS, start)


def start(value: Values) -> list:
    """Start the robot, the policy, and what shows them."""
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
    ends = [end_with(action, goes_on='the driver' if real else '') for action in watched]
    kept = recorder(value, names)
    cloud = node(value, 'cloud_node', 'cloud', names)
    return [*ends, *side, *nodes, *kept, *rviz(value, not real, names, beside=[cloud])]


def recorder(value: Values, names: list) -> list:
    """Return what writes a bag; the robot goes on without it."""
    if value['record'] != 'true':
        return []
    action = node(value, 'recorder_node', 'recorder', names, bags_dir=value['bags_dir'])
    return [end_with(action, goes_on='the robot'), action]


def simulated_side(value: Values) -> Node:
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
        depth=value['hardware'] == 'sim' and value['rviz'] == 'true',
    )


def real_side(value: Values, robot: RobotSpec) -> list:
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
    value: Values, executable: str, name: str, names: list | None = None, **parameters: object
) -> Node:
    """Return a node of this package; a simulated robot makes the time of the others."""
    sim_time = value['hardware'] != 'real' and executable != 'bridge_node'
    robot = value['robot']
    return launching.node(value, executable, name, sim_time, names, robot=robot, **parameters)
