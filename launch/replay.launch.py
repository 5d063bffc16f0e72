"""Play the sensors of a bag to a policy: what would it do, and where does it look?"""

from aim_policy.config import ConfigError
from aim_policy.interface import EXECUTIONS
from aim_policy.model.config import PRESETS
from aim_policy.registry import POLICIES
from aim_ros.launching import CHECKPOINT, YES_NO, Values, describe, end_with, node, rviz
from launch import LaunchDescription

ARGUMENTS = (  # name, default, choices, description
    ('bag', None, None, 'folder of the bag, or one .mcap file'),
    ('policy', 'aim', tuple(POLICIES), 'who is shown the bag'),
    CHECKPOINT,
    ('preset', '', ('', *PRESETS), 'steps of policy:=aim; empty: those of its weights'),
    ('instruction', '', None, 'what to do; empty: as the bag says'),
    ('execution', 'lockstep', EXECUTIONS, 'lockstep: wait for the policy; realtime: do not'),
    ('rate', '1.0', None, 'realtime: how many times as fast as it was recorded'),
    ('rviz', 'false', YES_NO, 'show cameras and value maps in RViz'),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; nodes are made once they are known."""
    return describe(ARGUMENTS, make_nodes)


def make_nodes(value: Values) -> list:
    """Start the policy and the node that plays the bag; the end of the bag ends both."""
    try:
        rate = float(value['rate'])
    except ValueError as error:
        raise ConfigError(f'rate is "{value["rate"]}", expected a number') from error
    # The recorded robot goes on as it went, whatever is said now, so what is said may lie far
    # from where it is. Nothing moves: a refused chunk is no reason to stop.
    anyhow = {'max_rejected_chunks': 1_000_000, 'safety.max_start_jump_rad': 1000.0}
    anyhow = anyhow if value['execution'] == 'realtime' else {}
    named = {name: value[name] for name in ('policy', 'checkpoint', 'preset', 'execution')}
    policy = node(value, 'policy_node', 'policy', **named, **anyhow)
    # The player makes the time that the policy uses.
    played = {name: value[name] for name in ('bag', 'instruction', 'execution')}
    replay = node(value, 'replay_node', 'replay', sim_time=False, **played, rate=rate)
    ends = [end_with(policy), end_with(replay, 'the bag was played')]
    return [policy, replay, *ends, *rviz(value)]
