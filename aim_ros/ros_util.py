"""What every node needs of rclpy: parameters from a dataclass, QoS choices, a clean end."""

from __future__ import annotations

import dataclasses
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from aim_policy.config import ConfigError, from_dict

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


def parameters(node: Node, cls: type[T], prefix: str = '') -> T:
    """Declare every field of a dataclass as a parameter and return what was set.

    A field's `metadata['help']` becomes the description. All are read-only: a node is configured
    once.

    Raises:
        ConfigError: a value that the dataclass refuses.
    """
    values = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        text = field.metadata.get('help', f'see {cls.__name__}.{field.name}')
        descriptor = ParameterDescriptor(description=text, read_only=True)
        name = f'{prefix}{field.name}'
        try:
            values[field.name] = node.declare_parameter(name, field.default, descriptor).value
        except rclpy.exceptions.InvalidParameterTypeException as error:
            raise ConfigError(f'parameter {name}: {error}') from error
    return from_dict(cls, values, f'parameters of {node.get_name()}')


def option(default: Any, text: str) -> Any:
    """Return a dataclass field with a default and a description for `parameters`."""
    return dataclasses.field(default=default, metadata={'help': text})


def run_node(make: Callable[[], Node], interrupted: int = 0) -> int:
    """Run a node that has a `work` method: callbacks in the background, the work here.

    Returns:
        Exit code: what `work` returns (None counts as 0), `interrupted` after SIGINT or SIGTERM, 1
        after an exception in a callback, 2 after a mistake of the user, told in one line.
    """
    sys.setswitchinterval(SWITCH_S)
    rclpy.init()
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
        return interrupted
    except Exception:
        if rclpy.ok():
            raise
        # Whatever breaks after a shutdown, breaks because of it.
        return 1 if callbacks and callbacks.failed else interrupted
    finally:
        rclpy.try_shutdown()
        if callbacks:
            callbacks.join()


class _Callbacks:
    """Runs a node's callbacks in threads of their own; one that raises ends the node.

    Attributes:
        failed: whether one has.
    """

    def __init__(self, node: Node) -> None:
        self.failed = False
        self._executor = MultiThreadedExecutor(num_threads=4)
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
        finally:
            rclpy.try_shutdown()

    def join(self) -> None:
        """Wait for what is still running, but not for long: the process is about to end."""
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(timeout=1.0)
