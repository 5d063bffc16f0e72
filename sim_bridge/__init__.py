"""Worlds that look like a dual-arm robot: cameras, joint states, trajectory controllers.

A simulator is imported only when its backend is made, see `sim_bridge.backend`.
"""

from sim_bridge.backend import BACKENDS, Episode, SimBackend, SimState, make_backend

__all__ = ['BACKENDS', 'Episode', 'SimBackend', 'SimState', 'make_backend']
