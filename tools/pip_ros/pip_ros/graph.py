"""`ros2 topic`, `ros2 node`, `ros2 service` and `ros2 param`."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import Any

import rclpy
import yaml
from rcl_interfaces.msg import Parameter
from rclpy.node import Node
from rclpy.parameter import get_parameter_value, parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import qos_profile_best_available
from rclpy.signals import SignalHandlerOptions

# A missed announcement is repeated after three seconds.
FIRST_NODE_S, OTHER_NODES_S = 4.0, 3.3
WAIT_S = 5.0
LONGEST = 128  # of what is printed of a list or a text
NODE_INFO = (('Subscribers', 'subscriber'), ('Publishers', 'publisher'))
NODE_INFO += (('Service Servers', 'service'), ('Service Clients', 'client'))
KINDS = ('Boolean', 'Integer', 'Double', 'String', 'Byte')


@contextmanager
def _graph_node() -> Iterator[Node]:
    """Offer a hidden node; an interrupt stays a KeyboardInterrupt."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    name = f'_ros2cli_{os.getpid()}'
    node = rclpy.create_node(name, start_parameter_services=False, enable_rosout=False)
    try:
        yield node
    finally:
        node.destroy_node()  # says good-bye: else others hold the next command for this one
        rclpy.try_shutdown()


def _spin_until(node: Node, check: Callable[[], Any], timeout_s: float = float('inf')) -> Any:
    """Let the node work until check() is true or the time is over; return its last value."""
    deadline = time.monotonic() + timeout_s
    while not (value := check()) and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.05)
    return value


def _await(node: Node, future: Any) -> Any:
    _spin_until(node, future.done)
    return future.result()


def _discover(node: Node) -> list[str]:
    """Wait for the graph to become known; return the names of the nodes that are not hidden."""

    def names() -> list[str]:
        found = [(space.rstrip('/'), name) for name, space in node.get_node_names_and_namespaces()]
        return sorted(f'{space}/{name}' for space, name in found if not name.startswith('_'))

    _spin_until(node, names, FIRST_NODE_S)
    _spin_until(node, lambda: False, OTHER_NODES_S)
    return names()


def _load_type(name: str) -> Any:
    try:
        package, kind, short = name.split('/')
        return getattr(import_module(f'{package}.{kind}'), short)
    except (ValueError, ImportError, AttributeError) as error:
        raise RuntimeError(f"'{name}' is no installed PACKAGE/KIND/NAME") from error


def _to_plain(value: Any) -> Any:
    """Return a message as dictionaries, lists and scalars; long ones cut."""
    if hasattr(value, 'SLOT_TYPES'):
        return {name: _to_plain(getattr(value, name)) for name in value._fields_and_field_types}
    if isinstance(value, (bool, int, float)):
        return value
    if hasattr(value, 'item') and not hasattr(value, '__len__'):
        return value.item()  # of numpy
    is_long, shown = len(value) > LONGEST, value[:LONGEST]
    if isinstance(value, str):
        return shown + '...' * is_long
    return [_to_plain(item) for item in shown] + ['...'] * is_long


def _visible(names_and_types: list[tuple[str, list[str]]]) -> Iterator[tuple[str, str]]:
    shown = (entry for entry in sorted(names_and_types) if '/_' not in entry[0])
    return ((name, ', '.join(types)) for name, types in shown)


def _print_names(find: Callable, show_types: bool = False) -> None:
    with _graph_node() as node:
        _discover(node)
        for name, types in _visible(find(node)):
            print(f'{name} [{types}]' if show_types else name)


topic_list = partial(_print_names, Node.get_topic_names_and_types)
service_list = partial(_print_names, Node.get_service_names_and_types)


def node_list() -> None:
    """Print all nodes."""
    with _graph_node() as node:
        print('\n'.join(_discover(node)))


def node_info(node_name: str) -> None:
    """Print what a node subscribes, publishes, serves and calls."""
    namespace, _, name = node_name.rpartition('/')
    with _graph_node() as node:
        if node_name not in _discover(node):
            raise RuntimeError(f"node '{node_name}' is not running; its name starts with /")
        print(node_name)
        for title, kind in NODE_INFO:
            find = getattr(node, f'get_{kind}_names_and_types_by_node')
            print(f'  {title}:')
            for entry, types in _visible(find(name, namespace or '/')):
                print(f'    {entry}: {types}')


def _subscribe(node: Node, topic: str, react: Callable[[Any], None], raw: bool = False) -> None:
    topic = '/' + topic.lstrip('/')

    def types() -> list[str]:
        return dict(node.get_topic_names_and_types()).get(topic, [])

    if not _spin_until(node, types, WAIT_S):
        raise RuntimeError(f'topic [{topic}] has no publisher and no subscriber')
    message_type = _load_type(types()[0])
    node.create_subscription(message_type, topic, react, qos_profile_best_available, raw=raw)


def topic_echo(topic_name: str, once: bool = False) -> None:
    """Print the messages of a topic."""
    received: list[Any] = []

    def show(message: Any) -> None:
        if not (once and received):
            print(yaml.safe_dump(_to_plain(message), sort_keys=False, width=1 << 30), end='---\n')
        received[:] = [message]

    with _graph_node() as node:
        _subscribe(node, topic_name, show)
        _spin_until(node, lambda: once and received)


def topic_hz(topic_name: str) -> None:
    """Print the rate of a topic every second."""
    times: deque[float] = deque(maxlen=10000)
    with _graph_node() as node:
        _subscribe(node, topic_name, lambda _: times.append(time.monotonic()), raw=True)
        while True:
            _spin_until(node, lambda: False, 1.0)
            if len(times) > 1:
                gaps = [later - earlier for earlier, later in pairwise(times)]
                print(f'average rate: {len(gaps) / sum(gaps):.3f}')
                print(f'\tmin: {min(gaps):.3f}s max: {max(gaps):.3f}s window: {len(times)}')


def service_call(service_name: str, service_type: str, values: str | None = None) -> None:
    """Call a service and print its response."""
    loaded = _load_type(service_type)
    request = loaded.Request(check_fields=True, **yaml.safe_load(values or '{}'))
    with _graph_node() as node:
        client = node.create_client(loaded, service_name)
        client.wait_for_service()
        print(f'requester: making request: {request!r}\n')
        print(f'response:\n{_await(node, client.call_async(request))!r}\n')


def _ask(node: Node, node_name: str, question: str, *words: Any) -> Any:
    client = AsyncParameterClient(node, node_name)
    if not client.wait_for_services(WAIT_S):
        raise RuntimeError(f"node '{node_name}' does not answer to parameter requests")
    return _await(node, getattr(client, question)(*words))


def param_list(node_name: str | None = None) -> None:
    """Print the parameters of one node or of all."""
    with _graph_node() as node:
        for name in [node_name] if node_name else _discover(node):
            lines = [] if node_name else [f'{name}:']
            parameters = _ask(node, name, 'list_parameters', [], 0).result.names
            print('\n'.join(lines + [f'  {parameter}' for parameter in sorted(parameters)]))


def param_get(node_name: str, parameter_name: str) -> None:
    """Print the value of a parameter."""
    with _graph_node() as node:
        (value,) = _ask(node, node_name, 'get_parameters', [parameter_name]).values
    if value.type == 0:
        raise RuntimeError(f"parameter '{parameter_name}' is not set")
    plain, kind = parameter_value_to_python(value), (*KINDS, *KINDS)[value.type - 1]
    print(f'{kind} value is: {plain}' if value.type < 5 else f'{kind} values are: {list(plain)}')


def param_set(node_name: str, parameter_name: str, value: str) -> None:
    """Set a parameter."""
    wanted = Parameter(name=parameter_name, value=get_parameter_value(value))
    with _graph_node() as node:
        (outcome,) = _ask(node, node_name, 'set_parameters', [wanted]).results
    if not outcome.successful:
        raise RuntimeError(f'Setting parameter failed: {outcome.reason}')
    print('Set parameter successful' + (f': {outcome.reason}' if outcome.reason else ''))


def param_describe(node_name: str, parameter_names: list[str] = ()) -> None:
    """Print the descriptions of parameters."""
    with _graph_node() as node:
        answer = _ask(node, node_name, 'describe_parameters', parameter_names)
    for found in answer.descriptors:
        print(f'Parameter name: {found.name}\n  Description: {found.description}')
