"""What an operator can ask of a policy node besides the action `~/run`."""

from __future__ import annotations

from rclpy.node import Node
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from aim_ros.action import RunPolicy
from aim_ros.observer import Observer
from aim_ros.permission import Permission
from aim_ros.ros_util import LATCHED, SENSOR_IN
from aim_ros.run_server import RunServer
from aim_ros.run_worker import RunWorker
from aim_ros.srv import SetInstruction

CANCELLED, ABORTED = RunPolicy.Result.CANCELLED, RunPolicy.Result.ABORTED


class OperatorServices:
    """Services and topics with which people start, stop and stop for good.

    Attributes:
        worker: who has to obey; None before there is one.
    """

    def __init__(
        self, node: Node, server: RunServer, permission: Permission, observer: Observer
    ) -> None:
        self.worker: RunWorker | None = None
        self._node, self._server = node, server
        self._permission, self._observer = permission, observer
        self._instruction = ''
        for name, kind, callback in (
            ('set_instruction', SetInstruction, self._on_instruction),
            ('start', Trigger, self._on_start),
            ('stop', Trigger, self._on_stop),
            ('reset', Trigger, self._on_reset),
            ('enable_control', SetBool, self._on_enable),
            ('estop', Trigger, self._on_estop),
            ('clear_estop', Trigger, self._on_clear),
        ):
            node.create_service(kind, f'~/{name}', callback)
        for topic, kind, heard, qos in (
            ('estop', Bool, self.on_estop_topic, LATCHED),
            ('estop', Bool, self.on_estop_topic, SENSOR_IN),  # buttons that latch nothing
            ('instruction', String, self.on_instruction_topic, LATCHED),
        ):
            node.create_subscription(kind, topic, heard, qos)

    def on_estop_topic(self, message: Bool) -> None:
        """Stop when the button is pressed; releasing it starts nothing."""
        if self._permission.hear_estop(message.data):
            self._halt()

    def on_instruction_topic(self, message: String) -> None:
        """Take note of what `~/start` shall begin with."""
        self._instruction = message.data.strip()

    def _on_instruction(
        self, request: SetInstruction.Request, response: SetInstruction.Response
    ) -> SetInstruction.Response:
        response.success = bool(request.instruction.strip())
        if response.success:
            self._instruction = request.instruction
            self._observer.set_instruction(request.instruction)
        else:
            response.message = 'instruction is empty, expected at least one word'
        return response

    def _on_start(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.message = self._server.begin(RunPolicy.Goal(instruction=self._instruction))
        return self._answer(response, f'started: {self._instruction}')

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        running = self._server.active is not None
        if self.worker:
            self.worker.stop(CANCELLED, 'stopped by ~/stop')
        return self._answer(response, 'stopped' if running else 'no run was active')

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._on_stop(request, response)
        self._observer.clear()
        return self._answer(response, 'stopped; what was seen is forgotten')

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._permission.control_enabled = request.data
        if self.worker:
            if not request.data:
                self.worker.hold()
            self.worker.tell()
        word = 'on: the arms may move' if request.data else 'off: chunks are only shown'
        self._node.get_logger().warning(f'control is {word}')
        return self._answer(response, f'control is {word}')

    def _on_estop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._permission.stop('~/estop was called'):
            self._halt()
        return self._answer(response, self._permission.refusal)

    def _on_clear(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        refusal = self._permission.clear_estop()
        if self.worker:
            self.worker.tell()
        response.success, response.message = not refusal, refusal or 'runs may begin again'
        self._node.get_logger().warning(f'clear_estop: {response.message}')
        return response

    def _halt(self) -> None:
        """Hold both arms and end the run: after that nothing is sent."""
        reason = self._permission.estop_reason
        self._node.get_logger().error(f'stopped: {reason}')
        if self.worker:
            self.worker.stop(ABORTED, reason)
            self.worker.tell()

    @staticmethod
    def _answer(response: Trigger.Response, done: str) -> Trigger.Response:
        response.success = not response.message
        response.message = response.message or done
        return response
