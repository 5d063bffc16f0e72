"""Node `policy`: camera and joint topics in, joint trajectories and value maps out."""

from __future__ import annotations

import sys
import time
import traceback

import rclpy
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from aim_policy.config import ConfigError
from aim_policy.interface import Policy
from aim_policy.registry import make_policy
from aim_policy.robot import load_robot
from aim_ros.action import RunPolicy
from aim_ros.arm_trajectory import ArmTrajectory
from aim_ros.command_topics import CommandTopics
from aim_ros.gate_config import ChunkConfig
from aim_ros.health_topics import HealthTopics
from aim_ros.mismatches import Mismatches
from aim_ros.msg import PolicyStatus
from aim_ros.observer import Observer, ObserverConfig
from aim_ros.operator_services import OperatorServices
from aim_ros.permission import Permission
from aim_ros.policy_loop import PolicyLoop, Sent
from aim_ros.policy_parameters import PolicyParameters
from aim_ros.ros_util import parameters, run_node
from aim_ros.run_server import RunServer
from aim_ros.run_worker import RunWorker
from aim_ros.sensor_topics import SensorTopics
from aim_ros.trajectory import GateConfig, TrajectoryGate
from aim_ros.value_map_topics import ValueMapTopics

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
POLL_S, PATIENCE_S = 0.2, 2.0


class PolicyNode(LifecycleNode):
    """Sends nothing and takes no goal unless active; inference never happens in a callback.

    Configuring loads the policy, activating arms it.
    """

    def __init__(self) -> None:
        super().__init__('policy')
        self._config = config = parameters(self, PolicyParameters)
        self._gate_config = parameters(self, GateConfig, 'safety.')
        self._chunk_config = parameters(self, ChunkConfig, 'chunk.')
        self._robot = load_robot(config.robot)
        self._observer = Observer(self._robot, parameters(self, ObserverConfig, 'sync.'))
        self._permission = Permission(config.enable_control)
        self._fault: ConfigError | None = None
        self._worker: RunWorker | None = None
        self._maps: ValueMapTopics | None = None
        mismatches = Mismatches(self)
        self._commands = CommandTopics(self, self._robot, mismatches)
        self._server = RunServer(self, lambda: self._permission.refusal, self._on_cancel)
        self._operator = OperatorServices(self, self._server, self._permission, self._observer)
        self._sensors = SensorTopics(self, self._observer, mismatches)
        period_s = config.status_period_s
        self._health = HealthTopics(self, self._observer, mismatches, self._permission, period_s)
        if config.autostart:  # before callbacks run: goals that come early find it active
            self._autostart()

    def _autostart(self) -> None:
        if self.trigger_configure() != SUCCESS:
            raise self._fault or RuntimeError('the node could not be configured')
        self.trigger_activate()

    def _on_cancel(self) -> None:
        if self._worker and self._config.execution == 'realtime':
            self._worker.hold()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the policy."""
        config = self._config
        try:
            policy = make_policy(
                config.policy, self._robot, config.checkpoint, config.device, config.preset
            )
        except Exception as error:  # rclpy would say of it no more than that there was one
            known = isinstance(error, ConfigError)
            text = str(error) if known else f'{type(error).__name__}: {error}'
            self._fault = ConfigError(text)
            self.get_logger().error(text)
            return FAILURE
        self._employ(policy)
        return super().on_configure(state)

    def _employ(self, policy: Policy) -> None:
        config, lockstep = self._config, self._config.execution == 'lockstep'
        gate = TrajectoryGate(self._robot, self._gate_config)
        loop = PolicyLoop(self._robot, policy, self._observer, gate, lockstep, self._chunk_config)
        self._maps = ValueMapTopics(self, self._robot, policy)
        description = getattr(policy, 'description', config.policy)
        self._worker = RunWorker(config, loop, self._server, self._permission, self)
        self._operator.worker = self._worker
        self._health.watch(self._worker, loop, description, lockstep)
        self.get_logger().info(f'{description}, {config.execution}')

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take goals from now on."""
        super().on_activate(state)
        self._permission.active = True
        assert self._worker is not None
        self._worker.rest()
        control = 'on' if self._permission.control_enabled else 'off: see ~/enable_control'
        self.get_logger().info(f'waiting for ~/run; control is {control}')
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold the arms, then be silent."""
        self._disarm('the node was deactivated')
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the policy away."""
        self._dismiss()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold the arms; the process goes on until it is told to end."""
        self._disarm('the node was shut down')
        self._dismiss()
        return super().on_shutdown(state)

    def _disarm(self, reason: str) -> None:
        self._permission.active = False
        if self._worker:
            self._worker.stop(RunPolicy.Result.ABORTED, reason)
            self._worker.enter(PolicyStatus.INACTIVE, reason)

    def _dismiss(self) -> None:
        self._quieten()
        self._worker = self._operator.worker = None
        if self._maps:
            self._maps.close()
            self._maps = None

    def _quieten(self) -> None:
        """End what works in threads of its own; the topics stay."""
        if self._worker:
            self._worker.close(PATIENCE_S)
        if self._maps:
            self._maps.stop()

    def now_ns(self) -> int:
        """Return the present in the time of the sensors."""
        return self.get_clock().now().nanoseconds

    def send(self, trajectories: tuple[ArmTrajectory, ...]) -> None:
        """Tell the controllers."""
        self._commands.send(trajectories)

    def missing_controller(self) -> str:
        """Name an arm that no controller listens for, '' if there is none."""
        return self._commands.missing_controller()

    def show(self, sent: Sent) -> None:
        """Show a chunk to whoever looks on."""
        self._commands.show(sent)
        if self._maps:
            self._maps.publish(sent)

    def tell(self) -> None:
        """Publish the state."""
        self._health.tell()

    def log_error(self, text: str) -> None:
        """Tell a person."""
        self.get_logger().error(text)

    def work(self) -> None:
        """Wait until the node is shut down."""
        while rclpy.ok():
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Come to rest while the topics are still there."""
        try:
            self._disarm('the node was ended')
            self._server.close(PATIENCE_S)
            self._quieten()
        except Exception:  # nobody is left to handle it, and the process must end
            self.get_logger().error(traceback.format_exc())


def main() -> int:
    """Entry point."""
    return run_node(PolicyNode, stops=True)


if __name__ == '__main__':
    sys.exit(main())
