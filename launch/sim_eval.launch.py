"""Evaluate a policy on simulated scenes over ROS topics: bridge, policy and evaluator."""

from aim_policy.config import ConfigError
from aim_policy.interface import EXECUTIONS
from aim_policy.model.config import PRESETS
from aim_policy.registry import POLICIES
from aim_ros.launching import CHECKPOINT, YES_NO, Values, describe, end_with, node, rviz
from launch import LaunchDescription
from sim_bridge.backend import BACKENDS, SETTINGS, WORDINGS
from sim_bridge.tasks import TASKS

RECORDS = ('false', 'true', 'video', 'bag')
ARGUMENTS = (  # name, default, choices, description
    ('task', 'click_bell', (*sorted(TASKS), 'all'), 'what to do'),
    ('setting', 'easy', tuple(SETTINGS), 'difficulty of the scenes'),
    ('episodes', '3', None, 'episodes per task'),
    ('seed', '0', None, 'scene seeds start at 100000 x (1 + seed)'),
    ('instruction', 'auto', WORDINGS, 'wording; auto: unseen in hard scenes, seen in others'),
    ('policy', 'aim', (*POLICIES, 'expert'), 'who drives; expert is scripted and sees the scene'),
    CHECKPOINT,
    ('preset', '', ('', *PRESETS), 'steps of policy:=aim; empty: those of its weights'),
    ('backend', 'builtin', tuple(BACKENDS), 'simulator'),
    ('execution', 'lockstep', EXECUTIONS, 'lockstep: reproducible; realtime: latency counts'),
    ('rviz', 'false', YES_NO, 'show cameras, value maps and robot in RViz'),
    ('record', 'false', RECORDS, 'video of each episode, bag (MCAP) of all topics, or true: both'),
    ('results_dir', 'results', None, 'each run makes a new folder in it'),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; nodes are made once the arguments are known to be good."""
    return describe(ARGUMENTS, make_nodes)


def make_nodes(value: Values) -> list:
    """Start the nodes of the chosen policy and end everything when the evaluator ends."""
    for name in ('episodes', 'seed'):
        if not value[name].isdecimal():
            raise ConfigError(f'{name} is "{value[name]}", expected a whole number')
    backend, execution = value['backend'], value['execution']
    expert, bag = value['policy'] == 'expert', value['record'] in ('true', 'bag')
    depth = value['rviz'] == 'true' and backend == 'builtin'
    bridge = node(
        value, 'bridge_node', 'sim_bridge', sim_time=False,
        backend=backend, execution=execution, depth=depth,
    )  # fmt: skip
    if expert:
        driver = node(value, 'expert_node', 'expert', backend=backend)
    else:
        driver = policy_node(value)
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
        recorder='recorder' if bag else '',
        record=value['record'] in ('true', 'video'),
        results_dir=value['results_dir'],
    )
    nodes = [bridge, driver, evaluator]
    if bag:
        nodes.insert(0, node(value, 'recorder_node', 'recorder', bags_dir=value['results_dir']))
    ends = [end_with(n, 'evaluation finished' if n is evaluator else '') for n in nodes]
    frames, cloud = (node(value, f'{n}_node', n) for n in ('robot_state', 'cloud'))
    return [*nodes, *ends, *rviz(value, beside=[frames, cloud])]


def policy_node(value: Values) -> object:
    """Return the node of a policy that looks at pictures."""
    named = {name: value[name] for name in ('policy', 'checkpoint', 'preset', 'execution')}
    smooth = {'safety.velocities': 'finite_difference'} if value['execution'] == 'realtime' else {}
    return node(value, 'policy_node', 'policy', **named, **smooth)
