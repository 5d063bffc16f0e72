"""What the evaluation without ROS promises: the commands and results of the nodes."""

import json
from dataclasses import replace

import pytest
from observations import REMEMBERING, lively

from aim_policy.ablation import Ablation
from aim_policy.checkpoint import CheckpointInfo, save_checkpoint
from aim_policy.policy import make_aim
from aim_policy.rollout import Plan, Rollout, Scene
from aim_policy.transforms import Normalisation
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


def same(recorder, messages):
    """Compare all chunks of an episode; the node may think once more before it hears the end."""
    assert [message.chunk_id for message in messages] == list(range(len(messages)))
    chunks = [message.positions.tolist() for message in messages]
    assert chunks[: len(recorder.chunks)] == recorder.chunks


@pytest.fixture(scope='module')
def remembering(robot, tmp_path_factory):
    """A checkpoint that acts on what it saw and did before; nothing of it is trained."""
    policy = lively(replace(REMEMBERING, frames=4))  # key frames within a chunk, too
    figures = Normalisation.of_robot(robot, policy.config.action_unit_rad)
    info = CheckpointInfo(policy.config, robot, figures)
    folder = tmp_path_factory.mktemp('remembering')
    save_checkpoint(folder, info, policy.model.transformer, policy.model.tokenizer)
    return folder


@pytest.mark.parametrize('weights', ['untrained', 'remembering'])
def test_a_whole_episode_gives_the_same_chunks_and_the_same_result(
    evaluation, listener, robot, weights, request, tmp_path
):
    checkpoint = request.getfixturevalue(weights)
    listener.listen(ActionChunk, '/action_chunk', 1000)
    evaluator = evaluation('fake', checkpoint)[-1]
    assert evaluator.wait(180) == 0, evaluator.output
    (path,) = tmp_path.glob('*/results.json')
    (over_ros,) = json.loads(path.read_text())['episodes']
    recorder, rollout = offline(robot, 'fake', checkpoint)
    result = rollout.episode(SCENE)
    listener.wait('/action_chunk', lambda message: message.chunk_id >= result.chunks - 1)
    same(recorder, listener.received['/action_chunk'])
    for name in ('seed', 'success', 'steps', 'chunks', 'rejected_chunks', 'reason'):
        assert getattr(result, name) == over_ros[name], name


@pytest.mark.sapien
def test_pictures_and_physics_give_the_same_chunks(evaluation, listener, robot, untrained):
    listener.listen(ActionChunk, '/action_chunk', 1000)
    evaluation('builtin', untrained)
    listener.wait('/action_chunk', lambda message: message.chunk_id >= 6, 90)
    recorder, rollout = offline(robot, 'builtin', untrained, limit=7)
    with pytest.raises(Enough):
        rollout.play(SCENE)
    same(recorder, listener.received['/action_chunk'])
