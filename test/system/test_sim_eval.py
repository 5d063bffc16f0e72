"""`ros2 launch aim_ros sim_eval.launch.py` as a person starts it."""

import json
import os
import signal
import time

import pytest

from aim_ros.msg import ActionChunk

pytestmark = pytest.mark.ros


def read_results(folder):
    (path,) = folder.glob('*/results.json')
    return json.loads(path.read_text())


@pytest.mark.sapien
def test_expert_on_builtin_over_topics(sim_eval, tmp_path):
    """SAPIEN pictures and physics, rendered on whatever this machine has."""
    launched = sim_eval(policy='expert', task='beat_block_hammer', episodes=2)
    assert launched.wait(180) == 0, launched.output
    assert '[2/2] beat_block_hammer seed 100001: success' in launched.output
    results = read_results(tmp_path)
    assert results['summary'][0]['successes'] == 2
    assert f'results: {tmp_path}' in launched.output


def test_progress_table_and_results_of_a_run(sim_eval, tmp_path):
    launched = sim_eval(backend='fake', policy='expert', task='click_bell', episodes=2, seed=3)
    assert launched.wait() == 0, launched.output
    assert '[2/2] click_bell seed 400001: success' in launched.output
    assert '2/2   100%' in launched.output
    results = read_results(tmp_path)
    assert [episode['seed'] for episode in results['episodes'][:2]] == [400_000, 400_001]
    assert results['versions']['numpy']
    assert launched.members() == {}


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        ({'task': 'clik_bell'}, 'unknown task "clik_bell" (did you mean "click_bell"?); known: '),
        ({'backend': 'fakes'}, 'unknown backend "fakes" (did you mean "fake"?); known: builtin'),
        ({'policy': 'experts'}, 'unknown policy "experts" (did you mean "expert"?); known: aim'),
        ({'execution': 'lock'}, 'unknown execution "lock" (did you mean "lockstep"?)'),
        ({'episodes': 'ten'}, 'episodes is "ten", expected a whole number'),
        ({'taks': 'click_bell'}, 'unknown launch argument "taks" (did you mean "task"?)'),
        ({'params_file': 'none.yaml'}, 'params_file is "none.yaml", no such file'),
    ],
)
def test_a_mistake_in_an_argument_is_one_line(sim_eval, argument, message):
    launched = sim_eval(**argument)
    assert launched.wait(30) != 0
    assert message in launched.output
    assert 'Traceback' not in launched.output
    assert len([line for line in launched.output.splitlines() if '[ERROR]' in line]) == 1


def test_show_args_explains_every_argument(start):
    launched = start('ros2', 'launch', 'aim_ros', 'sim_eval.launch.py', '--show-args')
    assert launched.wait(30) == 0
    for name in ('task', 'setting', 'episodes', 'seed', 'policy', 'backend', 'execution', 'rviz'):
        assert f"'{name}':" in launched.output
    assert 'no description given' not in launched.output
    assert "'beat_block_hammer'" in launched.output


@pytest.mark.parametrize('victim', ['bridge_node', 'policy_node', 'evaluator_node'])
def test_killing_a_node_ends_the_launch(sim_eval, tmp_path, victim):
    launched = sim_eval(backend='fake', policy='hold', episodes=50)
    launched.wait_for('[1/50]')
    (pid,) = [p for p, line in launched.members().items() if f'/{victim}' in line]
    os.kill(pid, signal.SIGKILL)
    begin_s = time.monotonic()
    assert launched.wait(10) != 0
    assert time.monotonic() - begin_s < 5
    assert launched.members() == {}
    assert read_results(tmp_path)['episodes']


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_node(sim_eval, number):
    launched = sim_eval(backend='fake', policy='hold', episodes=50)
    launched.wait_for('waiting for ~/run')
    launched.process.send_signal(number)
    launched.wait(10)
    end = time.monotonic() + 5
    while launched.members() and time.monotonic() < end:
        time.sleep(0.1)
    assert launched.members() == {}


@pytest.mark.parametrize(
    ('backend', 'last'), [('fake', 20), pytest.param('builtin', 6, marks=pytest.mark.sapien)]
)
def test_same_seed_same_commands_over_topics(evaluation, listener, untrained, backend, last):
    """Lockstep promises that a run depends neither on the machine nor on the transport.

    What is commanded follows from the pictures and joints that all commands before it led to.
    """
    listener.listen(ActionChunk, '/action_chunk', 1000)
    runs = []
    for _ in range(2):
        listener.received['/action_chunk'].clear()
        nodes = evaluation(backend, untrained)
        listener.wait('/action_chunk', lambda message: message.chunk_id == last, 60)
        for node in nodes:
            node.end()
        received = listener.received['/action_chunk'][: last + 1]
        assert [message.chunk_id for message in received] == list(range(last + 1))
        runs.append([message.positions.tolist() for message in received])
    assert runs[0] == runs[1]
