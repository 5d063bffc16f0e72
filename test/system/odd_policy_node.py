"""The policy node with a policy that misbehaves on command: its instruction says how."""

import sys
import time

import numpy as np

from aim_policy import registry
from aim_policy.baseline import HoldPolicy
from aim_ros import policy_node


class OddPolicy(HoldPolicy):
    """Moves joint 1 of both arms to and fro, and does what its instruction says."""

    description = 'odd'

    def infer(self, observation, committed=None):
        """Move slowly; every chunk turns round where the one before was to end."""
        output = super().infer(observation)
        rows, word = output.chunk.positions, observation.instruction
        side = 1.0 if observation.joint_target[0] < 0.2 else -1.0
        rows[:, [0, 7]] += side * 0.02 * np.arange(1, len(rows) + 1)[:, None]
        if word == 'spoil':
            rows[3, 2] = np.nan
        elif word == 'dawdle':
            time.sleep(1.2)
        elif word == 'freeze' and self._chunk_id > 1:
            time.sleep(60)
        elif word == 'break' and self._chunk_id > 1:
            raise RuntimeError('the network is broken')
        elif word == 'jump':
            rows[:, 1] += 1.0
        elif word == 'leave':
            rows[:, 1] = -0.5
        elif word == 'race':
            rows[1::2, 3] += 0.4
        return output


registry.FACTORIES['odd'] = f'{__name__}:make_odd'


def make_odd(robot, checkpoint, device, preset=''):
    """Build it for `aim_policy.registry`."""
    return OddPolicy(robot)


if __name__ == '__main__':
    sys.modules['odd_policy_node'] = sys.modules[__name__]
    registry.FACTORIES['odd'] = 'odd_policy_node:make_odd'
    sys.exit(policy_node.main())
