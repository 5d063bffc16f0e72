"""The stand-ins of tools/pip_ros behave as launch, launch_ros, launch_pytest and ros2 do."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

PIP_ROS = Path(__file__).resolve().parents[2] / 'tools' / 'pip_ros'
sys.path.append(str(PIP_ROS))  # last: a real launch must be found before ours
from pip_ros import find_real_launch  # noqa: E402

pytest.importorskip('rclpy', reason='needs rclpy')
real_launch = find_real_launch()
sys.path.remove(str(PIP_ROS))  # other tests of the same run must not see it
if real_launch is not None:
    pytest.skip('the real launch package is installed', allow_module_level=True)

ROS2 = 'import sys; from pip_ros.cli import main; sys.exit(main())'
WAITER = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = 'import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); ' + WAITER
HEAD = """
import os, sys
from launch import LaunchDescription
from launch.actions import *
from launch.conditions import IfCondition, UnlessCondition
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import *
from launch_ros.actions import Node
def python(code, **kwargs):
    return ExecuteProcess(cmd=[sys.executable, '-c', code], output='screen', **kwargs)
def generate_launch_description():
    return LaunchDescription(make())
"""
SHOWER = """#!{python}
import sys
import rclpy
rclpy.init()
node = rclpy.create_node('unnamed', automatically_declare_parameters_from_overrides=True)
print(node.get_fully_qualified_name(), node.resolve_topic_name('in'), sys.argv[1])
for name in sorted(node._parameters):
    print(name, repr(node.get_parameter(name).value))
if 'stay' in sys.argv:
    from std_msgs.msg import String
    publisher = node.create_publisher(String, 'in', 1)
    node.create_timer(0.1, lambda: publisher.publish(String(data='hello')))
    node.declare_parameter('speed', 1.5)
    sys.stdout.flush()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass
"""


@pytest.fixture
def environment(tmp_path):
    prefix = tmp_path / 'prefix'
    for folder in ('lib/demo', 'share/demo/launch', 'share/ament_index/resource_index/packages'):
        (prefix / folder).mkdir(parents=True)
    (prefix / 'share/ament_index/resource_index/packages/demo').touch()
    program = prefix / 'lib/demo/shower'
    program.write_text(SHOWER.format(python=sys.executable))
    program.chmod(0o755)
    before = os.environ.get('AMENT_PREFIX_PATH', sys.prefix)
    return os.environ | {
        'AMENT_PREFIX_PATH': f'{prefix}{os.pathsep}{before}',
        'PYTHONPATH': f'{PIP_ROS}{os.pathsep}{os.environ.get("PYTHONPATH", "")}',
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_DOMAIN_ID': str(os.getpid() % 100),
        'TMPDIR': str(tmp_path),
        'PYTHONUNBUFFERED': '1',
    }


@pytest.fixture
def start(environment, tmp_path):
    """Start `ros2 ...`; a launch file is given as the source of its function make()."""
    processes = []

    def start(*words, make=None):
        if make is not None:
            path = tmp_path / 'prefix/share/demo/launch/test.launch.py'
            path.write_text(f'{HEAD}\ndef make():\n    return [{make}]\n')
        command = [sys.executable, '-c', ROS2, *words]
        pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT, 'text': True}
        process = subprocess.Popen(
            command, env=environment, start_new_session=True, stdin=subprocess.DEVNULL, **pipes
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def ros2(start):
    def ros2(*words, make=None):
        process = start(*words, make=make)
        output, _ = process.communicate(timeout=20)
        return process.returncode, output

    return ros2


def wait_for_line(process, text, count=1):
    late = threading.Timer(60, process.kill)  # ends the output, too
    late.start()
    try:
        for line in process.stdout:
            count -= text in line
            if count == 0:
                return
    finally:
        late.cancel()
    raise AssertionError(f'{text} was never printed')


def group_is_empty(process):
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_show_args_lists_name_description_choices_and_default(ros2):
    make = """
        DeclareLaunchArgument('mode', default_value='a', description='How', choices=['a', 'b']),
        DeclareLaunchArgument('path', default_value=[LaunchConfiguration('mode'), '/x'])"""
    code, output = ros2('launch', 'demo', 'test.launch.py', '--show-args', make=make)
    assert code == 0
    assert output == (
        "Arguments (pass arguments as '<name>:=<value>'):\n"
        "\n    'mode':\n        How. Valid choices are: ['a', 'b']\n        (default: 'a')\n"
        "\n    'path':\n        no description given\n"
        "        (default: LaunchConfig('mode') + '/x')\n"
    )


@pytest.mark.parametrize('words', [['mode:=c'], []])
def test_a_bad_argument_is_one_line_and_exit_1(ros2, words):
    make = "DeclareLaunchArgument('mode', choices=['a', 'b'])"
    code, output = ros2('launch', 'demo', 'test.launch.py', *words, make=make)
    assert code == 1
    assert output.startswith('[ERROR] [launch]: Caught exception in launch (see debug')
    assert "'mode'" in output
    assert len(output.splitlines()) == 1


def test_a_malformed_argument_is_named(ros2):
    code, output = ros2('launch', 'demo', 'test.launch.py', 'mode', make='')
    assert code == 1
    assert "malformed launch argument 'mode'" in output


def test_actions_conditions_and_includes(ros2, tmp_path):
    inner = tmp_path / 'inner.launch.py'
    shown = "LogInfo(msg=['in ', LaunchConfiguration('x'), ' ', LaunchConfiguration('y')])"
    declared = "DeclareLaunchArgument('x'), DeclareLaunchArgument('y', default_value='b')"
    inner.write_text(f'{HEAD}\ndef make():\n    return [{declared}, {shown}]\n')
    make = f"""SetEnvironmentVariable('X_TEST', 'out'),
        IncludeLaunchDescription(PythonLaunchDescriptionSource({str(inner)!r}),
            launch_arguments={{'x': 'a'}}.items()),
        LogInfo(msg=[PathJoinSubstitution(['p', 'q']), EnvironmentVariable('X_TEST')]),
        LogInfo(msg='not shown', condition=UnlessCondition(TextSubstitution(text='1'))),
        LogInfo(msg='shown', condition=IfCondition('True')),
        TimerAction(period=0.1, actions=[LogInfo(msg='late')]),
        TimerAction(period=50.0, actions=[LogInfo(msg='never')]),
        TimerAction(period=0.3, actions=[Shutdown()])"""
    code, output = ros2('launch', 'demo', 'test.launch.py', make=make)
    assert code == 0
    shown = [line.removeprefix('[INFO] [launch.user]: ') for line in output.splitlines()]
    assert shown == ['in a b', 'p/qout', 'shown', 'late']


def test_a_dying_process_makes_a_raising_handler_fail_the_launch(ros2):
    make = f"""python('import time; time.sleep(0.2); raise SystemExit(3)', name='weak'),
        python({WAITER!r}, name='other'),
        RegisterEventHandler(OnProcessExit(on_exit=[OpaqueFunction(function=fail)]))
        ]\ndef fail(context):\n    raise RuntimeError('weak died')\n    [0"""
    code, output = ros2('launch', 'demo', 'test.launch.py', make=make)
    assert code == 1
    assert '[launch]: Caught exception in launch (see debug for traceback): weak died' in output
    assert 'Traceback' not in output.partition('weak died')[0]
    assert "[other-2]: sending signal 'SIGINT' to process[other-2]" in output


def test_on_exit_shutdown_ends_the_launch_with_0(ros2):
    make = (
        f"""python('pass', on_exit=Shutdown(), name='first'), python({WAITER!r}, name='second')"""
    )
    code, output = ros2('launch', 'demo', 'test.launch.py', make=make)
    assert code == 0
    assert 'process[first-1] was required: shutting down launched system' in output


@pytest.mark.parametrize(('number', 'expected'), [(signal.SIGINT, 0), (signal.SIGTERM, 1)])
def test_a_signal_ends_every_process(start, number, expected):
    make = f"""python({WAITER!r}, name='soft'),
        python({STUBBORN!r}, name='hard', sigterm_timeout='0.3', sigkill_timeout='0.3')"""
    process = start('launch', 'demo', 'test.launch.py', make=make)
    wait_for_line(process, '] up', count=2)
    os.kill(process.pid, number)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == expected
    assert "failed to terminate '0.3' seconds after receiving 'SIGINT'" in output
    assert group_is_empty(process)


def test_parameters_names_and_remaps_reach_a_node(ros2, tmp_path):
    (tmp_path / 'p.yaml').write_text('/**:\n  ros__parameters:\n    from_file: 12\n')
    make = f"""DeclareLaunchArgument('n', default_value='7'),
        Node(package='demo', executable='shower', name='shower', namespace='arm', output='screen',
             parameters=[{{'i': LaunchConfiguration('n'), 'l': [1, 2.5], 'w': ['y', 'no'],
                           's': ['_', LaunchConfiguration('n')],
                           'a': {{'b': True, 'c': 'a b'}}}}, {str(tmp_path / 'p.yaml')!r}],
             remappings=[('in', 'out')], arguments=['word'])"""
    code, output = ros2('launch', 'demo', 'test.launch.py', 'n:=5', make=make)
    assert code == 0
    shown = [line[10:] for line in output.splitlines() if line.startswith('[shower-1] ')]
    shown = [line.strip() for line in shown]
    assert shown[0] == '/arm/shower /arm/out word'
    expected = {'a.b True', "a.c 'a b'", 'from_file 12', 'i 5', 'l [1.0, 2.5]', "s '_5'"}
    assert expected | {"w ['y', 'no']"} <= set(shown)
    assert not list(tmp_path.glob('launch_params_*'))


def test_commands_see_a_running_node(start):
    node = start('run', 'demo', 'shower', 'stay', '--ros-args', '-r', '__node:=shower')
    wait_for_line(node, 'shower')
    call = ('service', 'call', '/shower/get_parameters', 'rcl_interfaces/srv/GetParameters')
    expected = {
        ('topic', 'echo', '--once', '/in'): 'data: hello\n---\n',
        ('topic', 'list', '-t'): '/in [std_msgs/msg/String]\n',
        ('node', 'list'): '/shower\n',
        ('node', 'info', '/shower'): '  Publishers:\n    /in: std_msgs/msg/String\n',
        ('param', 'get', '/shower', 'speed'): 'Double value is: 1.5\n',
        (*call, '{names: [speed]}'): 'double_value=1.5',
        (*call, '{nams: [speed]}'): 'Invalid arguments passed to constructor: nams',
    }
    commands = {words: start(*words) for words in expected}
    for words, text in expected.items():
        assert text in commands[words].communicate(timeout=30)[0], words
    change = start('param', 'set', '/shower', 'speed', '2.5')
    assert change.communicate(timeout=20)[0] == 'Set parameter successful\n'
    os.kill(node.pid, signal.SIGINT)
    assert node.wait(10) == 0


LAUNCH_TEST = """
import launch_pytest
import pytest
from launch import LaunchDescription
from launch.actions import ExecuteProcess
from launch_pytest.tools import process
ECHO = ExecuteProcess(cmd=['bash', '-c', 'sleep 0.2; echo hello; read line'], cached_output=True)
@launch_pytest.fixture(scope='module')
def description():
    return LaunchDescription([ECHO, launch_pytest.actions.ReadyToTest()])
@pytest.mark.launch(fixture=description)
def test_output(launch_context):
    assert process.wait_for_output_sync(launch_context, ECHO, lambda text: 'hello' in text, 5)
    assert not process.wait_for_exit_sync(launch_context, ECHO, timeout=0.1)
    assert ECHO.return_code is None
@pytest.mark.launch(fixture=description, shutdown=True)
def test_after():
    assert ECHO.return_code is not None
"""


def test_launch_pytest_runs_tests_beside_and_after_a_launch(environment, tmp_path):
    (tmp_path / 'test_beside.py').write_text(LAUNCH_TEST)
    command = [sys.executable, '-m', 'pytest', '-p', 'launch_pytest.plugin', '-v', str(tmp_path)]
    settings = environment | {'PYTEST_DISABLE_PLUGIN_AUTOLOAD': '1'}
    result = subprocess.run(
        command, env=settings, capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert result.returncode == 0, result.stdout
    assert '2 passed' in result.stdout


def test_it_refuses_to_run_beside_the_real_launch(environment, tmp_path):
    (tmp_path / 'real/launch').mkdir(parents=True)
    (tmp_path / 'real/launch/__init__.py').touch()
    path = {'PYTHONPATH': f'{PIP_ROS}{os.pathsep}{tmp_path / "real"}'}
    command = [sys.executable, '-c', ROS2, 'topic', 'list']
    result = subprocess.run(
        command, env=environment | path, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert 'stands in for a missing launch package' in result.stderr
    assert len(result.stderr.splitlines()) == 1
