"""What every node needs of rclpy: parameters from a dataclass, QoS choices, a clean end."""

from __future__ import annotations

import dataclasses
import gc
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from aim_policy.config import ConfigError, from_dict
from aim_ros.options import option as option

T = TypeVar('T')

# How long a worker may wait for the interpreter behind a callback; Python's default is 5 ms.
SWITCH_S = 0.0005

# A best-effort subscription hears every publisher, a reliable one only reliable publishers
# (REP-2003).
SENSOR_IN = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.BEST_EFFORT
)
RELIABLE = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE
)
LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
# Latched too, for what must not be passed over when it changes twice in a row.
STATES = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=10,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
HEARTBEAT = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT
)
# Lets users change history, depth and reliability by parameters `qos_overrides.<topic>...`.
OVERRIDES = QoSOverridingOptions.with_default_policies()


def parameters(node: Node, cls: type[T], prefix: str = '') -> T:
    """Declare every field of a dataclass as a parameter and return what was set.

    `aim_ros.options.option` gives a field its description and what it may be. All are read-only: a
    node is configured once.

    Raises:
        ConfigError: a value that is refused.
    """
    values = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        name, descriptor = f'{prefix}{field.name}', _descriptor(field, cls.__name__)
        try:
            values[field.name] = node.declare_parameter(name, field.default, descriptor).value
        except InvalidParameterTypeException as error:
            raise ConfigError(f'parameter {name}: {error}') from error
        except InvalidParameterValueException as error:
            expected = f'{field.metadata["low"]} to {field.metadata["high"]}'
            raise ConfigError(f'parameter {name}: {error}; expected {expected}') from error
    return from_dict(cls, values, f'parameters of {node.get_name()}')


def _descriptor(field: dataclasses.Field, owner: str) -> ParameterDescriptor:
    about = field.metadata
    descriptor = ParameterDescriptor(
        description=about.get('help', f'see {owner}.{field.name}'), read_only=True
    )
    if about.get('choices'):
        descriptor.additional_constraints = f'one of {", ".join(about["choices"])}'
    low, high = about.get('low'), about.get('high')
    if low is not None and high is not None:
        if isinstance(field.default, int):
            whole = IntegerRange(from_value=low, to_value=high, step=1)
            descriptor.integer_range = [whole]
        else:
            real = FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
            descriptor.floating_point_range = [real]
    return descriptor


def run_node(make: Callable[[], Node], interrupted: int = 0, stops: bool = False) -> int:
    """Run a node that has a `work` method: callbacks in the background, the work here.

    Args:
        make: the node.
        interrupted: exit code after SIGINT or SIGTERM.
        stops: it has a `stop` method too, to be called before its topics are taken away: after
            these signals, when its work is done, and when a callback raises.

    Returns:
        Exit code: what `work` returns (None counts as 0), `interrupted` after SIGINT or SIGTERM, 1
        after an exception in a callback, 2 after a mistake of the user, told in one line.
    """
    sys.setswitchinterval(SWITCH_S)
    if stops:  # a signal must not take the topics away at once
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
    else:
        rclpy.init()
    try:
        return _run(make, interrupted)
    finally:
        gc.collect()  # nodes refer to themselves; without an end they leave their shared memory
        gc.freeze()  # once was enough: the interpreter would look several times


def _run(make: Callable[[], Node], interrupted: int) -> int:
    callbacks = None
    try:
        node = make()
        callbacks = _Callbacks(node)
        code = node.work() or 0  # type: ignore[attr-defined]
        return 1 if callbacks.failed else code
    except ConfigError as error:
        print(error, file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        return 1 if callbacks and callbacks.failed else interrupted
    except Exception:
        if rclpy.ok():
            raise
        # Whatever breaks after a shutdown, breaks because of it.
        return 1 if callbacks and callbacks.failed else interrupted
    finally:
        if callbacks:
            callbacks.stop_node()
        rclpy.try_shutdown()
        if callbacks:
            callbacks.join()


def _interrupt(*_: object) -> None:
    """End the work once; what comes after must not be interrupted again."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def apart(node: Node, callback: Callable[..., T]) -> Any:
    """Return a callback of a node that may take its time: it runs in a thread of its own."""

    async def begin(*arguments: Any) -> T:
        done: Future = Future()

        def work() -> None:
            try:
                done.set_result(callback(*arguments))
            except Exception as error:  # belongs to who awaits it
                done.set_exception(error)
            if node.executor:
                node.executor.wake()

        threading.Thread(target=work, daemon=True, name=callback.__qualname__).start()
        return await done

    return begin


def serve_apart(node: Node, kind: type, name: str, answer: Callable[[Any, Any], Any]) -> None:
    """Offer a service whose answers may take their time, while others are called back."""
    group = ReentrantCallbackGroup()  # the default one waits for the answer
    node.create_service(kind, name, apart(node, answer), callback_group=group)


class _Callbacks:
    """Runs a node's callbacks in a thread of their own; one that raises ends the node.

    Attributes:
        failed: whether one has.
    """

    def __init__(self, node: Node) -> None:
        self.failed = False
        self._node = node
        self._stopped = threading.Lock()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, daemon=True, name='callbacks')
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except (KeyboardInterrupt, ExternalShutdownException):
            pass
        except Exception:
            if rclpy.ok():
                self.failed = True
                traceback.print_exc()
                self.stop_node()
        finally:
            rclpy.try_shutdown()

    def stop_node(self) -> None:
        """Let the node come to rest while it still can, once."""
        stop = getattr(self._node, 'stop', None)
        if stop and rclpy.ok() and self._stopped.acquire(blocking=False):
            stop()

    def join(self) -> None:
        """Wait for what is still running, but not for long: the process is about to end."""
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(timeout=1.0)
