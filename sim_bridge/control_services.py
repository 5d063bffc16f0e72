"""Services by which people and test benches run the simulation: reset, pause, step.

`~/reset_episode`, `~/pause` and `~/step` are always there. The services of simulation_interfaces
are there too where that package is installed, see `standard_services`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from std_srvs.srv import SetBool

from aim_policy.config import ConfigError
from aim_ros import convert
from aim_ros.ros_util import serve_apart
from aim_ros.srv import ResetEpisode, StepSimulation
from sim_bridge.backend import Episode
from sim_bridge.brake import WrongState
from sim_bridge.runner import Runner
from sim_bridge.sim_loop import SimLoop
from sim_bridge.standard_services import StandardServices

Reset = Callable[[ResetEpisode.Request, SimLoop], tuple[Episode, int]]


class ControlServices:
    """The services of one bridge. They wait for the simulation thread in threads of their own."""

    def __init__(self, node: Node, runner: Runner, reset: Reset) -> None:
        """Offer the services; `reset` starts an episode in the simulation thread."""
        self._node, self._runner, self._reset = node, runner, reset
        self._offer(ResetEpisode, '~/reset_episode', self._on_reset)
        self._offer(SetBool, '~/pause', self._on_pause)
        self._offer(StepSimulation, '~/step', self._on_step)
        StandardServices(node, runner, reset)

    def _offer(self, kind: Any, name: str, answer: Callable[[Any, Any], None]) -> None:
        def callback(request: Any, response: Any) -> Any:
            try:
                answer(request, response)
                response.success = True
            except (ConfigError, WrongState) as error:
                response.message = str(error)
            except Exception as error:  # whatever breaks in a simulator: the caller must hear
                self._node.get_logger().error(traceback.format_exc())
                response.message = f'{type(error).__name__}: {error}'
            return response

        serve_apart(self._node, kind, name, callback)

    def _on_reset(self, request: ResetEpisode.Request, response: ResetEpisode.Response) -> None:
        episode, stamp_ns = self._runner.submit(lambda loop: self._reset(request, loop)).result()
        response.stamp = convert.to_time(stamp_ns)
        response.instruction, response.step_limit = episode.instruction, episode.step_limit

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> None:
        brake = self._runner.brake
        self._runner.submit(lambda _: brake.pull() if request.data else brake.release()).result()

    def _on_step(self, request: StepSimulation.Request, response: StepSimulation.Response) -> None:
        self._runner.step(request.steps)
        now_ns = self._runner.submit(lambda loop: loop.now_ns).result()
        response.stamp = convert.to_time(now_ns)
