"""What any backend must do; `test_backends.py` runs it for each."""

import numpy as np
import pytest

from aim_policy.config import ConfigError
from sim_bridge.backend import make_backend, ramp

TASK, SEED = 'click_bell', 7


class BackendContract:
    """Subclass it and set `name`."""

    name: str

    @pytest.fixture(scope='class')
    def backend(self, robot):
        backend = make_backend(self.name, robot)
        yield backend
        backend.close()

    def test_reset_says_what_the_episode_is(self, backend):
        episode = backend.reset(TASK, SEED, 'easy')
        assert (episode.task, episode.seed, episode.setting) == (TASK, SEED, 'easy')
        assert episode.instruction.strip()
        assert episode.step_limit > 0

    def test_unknown_names_are_refused_with_the_nearest(self, backend):
        with pytest.raises(ConfigError, match='did you mean "click_bell"'):
            backend.reset('clik_bell', SEED, 'easy')
        with pytest.raises(ConfigError, match='unknown setting "medium".*easy'):
            backend.reset(TASK, SEED, 'medium')

    def test_starts_at_home_and_not_done(self, backend, robot):
        backend.reset(TASK, SEED, 'easy')
        state = backend.state()
        position = dict(zip(state.joint_names, state.position, strict=True))
        found = np.array([position[name] for name in robot.joint_names])
        np.testing.assert_allclose(found, robot.to_joints(robot.home), atol=0.01)
        assert not backend.success()

    def test_pictures_have_the_size_that_the_robot_says(self, backend, robot):
        backend.reset(TASK, SEED, 'easy')
        pictures = backend.render()
        assert list(pictures) == [camera.name for camera in robot.cameras]
        for camera in robot.cameras:
            picture = pictures[camera.name]
            assert picture.shape == (camera.height, camera.width, 3)
            assert picture.dtype == np.uint8
        assert pictures[robot.cameras[0].name].std() > 5

    def test_joints_follow_their_targets(self, backend, robot):
        backend.reset(TASK, SEED, 'easy')
        goal = robot.home + 0.1 * (np.arange(len(robot.home)) % 7 == 1)
        backend.step(*ramp(robot, robot.home, goal))
        for _ in range(10):
            backend.step(*ramp(robot, goal, goal))
        state = backend.state()
        position = dict(zip(state.joint_names, state.position, strict=True))
        found = np.array([position[name] for name in robot.joint_names])
        np.testing.assert_allclose(found, robot.to_joints(goal), atol=0.01)

    def test_targets_that_are_not_finite_move_nothing(self, backend, robot):
        backend.reset(TASK, SEED, 'easy')
        positions, velocities = ramp(robot, robot.home, robot.home)
        before = backend.state().position
        positions[3, 2] = np.nan
        with pytest.raises(ValueError, match='not finite'):
            backend.step(positions, velocities)
        with pytest.raises(ValueError, match='shape'):
            backend.step(velocities[:, :3], velocities[:, :3])
        np.testing.assert_array_equal(backend.state().position, before)

    def test_same_seed_same_scene_same_motion(self, backend, robot):
        ends = []
        for _ in range(2):
            backend.reset(TASK, SEED, 'easy')
            picture = backend.render()[robot.cameras[0].name]
            actions = backend.demonstrate()
            ends.append((picture, actions, backend.state().position))
        for first, second in zip(*ends, strict=True):
            np.testing.assert_array_equal(first, second)

    def test_another_seed_another_scene(self, backend, robot):
        camera = robot.cameras[0].name
        backend.reset(TASK, 1, 'easy')
        first = backend.render()[camera]
        backend.reset(TASK, 2, 'easy')
        assert (backend.render()[camera] != first).any()

    def test_expert_succeeds(self, backend, robot):
        backend.reset(TASK, SEED, 'easy')
        actions = backend.demonstrate()
        assert backend.success()
        assert actions.shape[1] == len(robot.joint_names)

    def test_holding_still_does_not_succeed(self, backend, robot):
        backend.reset(TASK, SEED, 'easy')
        for _ in range(20):
            backend.step(*ramp(robot, robot.home, robot.home))
        assert not backend.success()
