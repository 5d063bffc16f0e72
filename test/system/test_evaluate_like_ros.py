"""What the evaluation without ROS promises: the commands and results of the nodes."""

import json
import signal

import pytest

from aim_policy.ablation import Ablation
from aim_policy.policy import make_aim
from aim_policy.rollout import Plan, Rollout, Scene
from aim_ros.msg import ActionChunk
from sim_bridge.backend import make_backend
from sim_bridge.sim_loop import SimLoop

pytestmark = pytest.mark.ros
SCENE = Scene('click_bell', 'easy', 200_000)


class Enough(Exception):
    """As many chunks as were asked for."""


class Recorder(Ablation):
    """Keeps the chunks of a policy; ends the episode after some of them."""

    def __init__(self, policy, limit):
        super().__init__(policy)
        self.chunks, self._limit = [], limit

    def infer(self, observation, committed=None):
        output = self.policy.infer(observation, committed)
        self.chunks.append(output.chunk.positions.ravel().tolist())
        if len(self.chunks) == self._limit:
            raise Enough
        return output


def offline(robot, backend, checkpoint, limit=None):
    """Chunks of the untrained network without ROS, and the world after them."""
    recorder = Recorder(make_aim(robot, str(checkpoint), 'cpu'), limit)
    world = SimLoop(make_backend(backend, robot))
    rollout = Rollout(Plan('aim', (SCENE.task,), backend=backend), recorder, world)
    return recorder, rollout


def same(recorder, messages, enough):
    """Compare chunks by number: the first may be sent before the listener is discovered."""
    both = [message for message in messages if message.chunk_id < len(recorder.chunks)]
    assert len({message.chunk_id for message in both}) > enough / 2
    for message in both:
        assert message.positions.tolist() == recorder.chunks[message.chunk_id]


def test_a_whole_episode_gives_the_same_chunks_and_the_same_result(
    sim_eval, listener, robot, untrained, tmp_path
):
    listener.listen(ActionChunk, '/action_chunk', 1000)
    launched = sim_eval(backend='fake', checkpoint=untrained, episodes=1, seed=1)
    assert launched.wait(180) == 0, launched.output
    (path,) = tmp_path.glob('*/results.json')
    (over_ros,) = json.loads(path.read_text())['episodes']
    recorder, rollout = offline(robot, 'fake', untrained)
    result = rollout.episode(SCENE)
    same(recorder, listener.received['/action_chunk'], enough=result.chunks)
    # The node may think once more before it hears of the end; nobody executes that chunk.
    assert over_ros['chunks'] - result.chunks in (0, 1)
    for name in ('seed', 'success', 'steps', 'rejected_chunks', 'reason'):
        assert getattr(result, name) == over_ros[name], name


@pytest.mark.sapien
def test_pictures_and_physics_give_the_same_chunks(sim_eval, listener, robot, untrained):
    listener.listen(ActionChunk, '/action_chunk', 1000)
    launched = sim_eval(backend='builtin', checkpoint=untrained, episodes=1, seed=1)
    listener.wait('/action_chunk', lambda message: message.chunk_id >= 6, 90)
    launched.process.send_signal(signal.SIGINT)
    launched.wait(30)
    recorder, rollout = offline(robot, 'builtin', untrained, limit=7)
    with pytest.raises(Enough):
        rollout.play(SCENE)
    same(recorder, listener.received['/action_chunk'], enough=6)
