"""What tests do in scenes of the builtin backend."""

from sim_bridge.backend import ramp


def replay(backend, actions):
    """Let arms follow action vectors from home."""
    last = backend.robot.home
    for action in actions:
        backend.step(*ramp(backend.robot, last, action))
        last = action
