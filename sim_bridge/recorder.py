"""Records a demonstration: sensors, object poses and events, one frame per policy step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sapien

from aim_policy.camera_track import CameraTrack, encode_jpeg
from aim_policy.episode import Episode
from aim_policy.interface import Vector
from sim_bridge.builtin import BuiltinBackend, random_stream
from sim_bridge.event_recorder import EventRecorder
from sim_bridge.expert import Habits
from sim_bridge.language import SPLITS, instructions
from sim_bridge.robot_model import TCP_OFFSET_M

Begin = Callable[[str, int, str], object]
WORDINGS_PER_EPISODE = {'seen': 12, 'unseen': 4}


@dataclass(frozen=True)
class Failure:
    """Why a seed gave no episode."""

    reason: str


def record(
    backend: BuiltinBackend,
    task: str,
    seed: int,
    setting: str,
    habits: Habits,
    picture_every: int = 1,
    begin: Begin | None = None,
) -> Episode | Failure:
    """Let the expert do one scene and record it.

    Args:
        backend: where; it is reset.
        task: names the scene, with `seed` and `setting`.
        seed: of the scene.
        setting: of the scene.
        habits: of the expert.
        picture_every: render every n-th policy step only; the other frames have no pictures.
        begin: resets the backend too, and leads up to where the demonstration begins; None: it
            begins at the reset.

    Raises:
        ExpertFailed: the expert cannot do this scene.
    """
    backend.reset(task, seed, setting)
    recorder = Recorder(backend, picture_every)
    if begin:
        begin(task, seed, setting)
        recorder.begin()
    if backend.success():
        return Failure('done at the start')
    backend.demonstrate(habits, recorder.observe, recorder.begin)
    if recorder.done_before:
        return Failure('done before the demonstration began')
    if not backend.success():
        return Failure('the expert moved, but the task was not done')
    return recorder.finish()


class Recorder:
    """Collects the frames of one episode; frame 0 is taken at once.

    Attributes:
        done_before: whether the task was done before the episode began.
    """

    def __init__(self, backend: BuiltinBackend, picture_every: int = 1) -> None:
        """Begin right after the reset: a policy would see these pictures first."""
        self._backend = backend
        self._picture_every = picture_every
        self.begin()
        self._at_reset = {name: pictures[0] for name, pictures in self._pictures.items()}

    def begin(self) -> None:
        """Begin here and now; what was recorded before is forgotten."""
        assert self._backend.task is not None
        self._world = self._backend.world
        self._watched = [*self._world.things.values(), self._world.table]
        self.done_before = self._backend.success()
        self._events = EventRecorder(self._world, self._backend.task.pressed)
        self._frames: list[dict[str, Vector]] = []
        self._pictures: dict[str, list[bytes]] = {name: [] for name in self._world.cameras}
        self._picture_steps: list[int] = []
        self._take()

    def observe(self) -> None:
        """Take the frame after a policy step."""
        self._events.observe()
        self._take()

    def _take(self) -> None:
        step = len(self._frames)
        if step % self._picture_every == 0:
            self._picture_steps.append(step)
            for name, picture in self._backend.render().items():
                self._pictures[name].append(encode_jpeg(picture))
        world, robot = self._world, self._backend.robot
        state = self._backend.state()
        measured = dict(zip(state.joint_names, state.position, strict=True))
        frame = {
            'target': world.command,
            'position': robot.to_action(np.array([measured[n] for n in robot.joint_names])),
        }
        for arm in robot.arms:
            hand = world.model.tcp(arm.name) * sapien.Pose([-TCP_OFFSET_M, 0, 0])
            frame[f'hand {arm.name}'] = _seven(hand)
        for thing in self._watched:
            frame[f'pose {thing.name}'] = _seven(thing.pose)
        for name, camera in world.cameras.items():
            frame[f'extrinsic {name}'] = np.asarray(camera.get_extrinsic_matrix(), float)[:3]
        self._frames.append(frame)

    def finish(self) -> Episode:
        """Return the episode."""
        episode, robot = self._backend.episode, self._backend.robot
        assert episode is not None
        return Episode(
            task=episode.task,
            setting=episode.setting,
            seed=episode.seed,
            robot=robot.name,
            instructions=self._wordings(),
            dt_s=robot.dt_s,
            joint_target=self._track('target'),
            joint_position=self._track('position'),
            endpose={arm.name: self._track(f'hand {arm.name}') for arm in robot.arms},
            cameras={camera.name: self._camera(camera.name) for camera in robot.cameras},
            object_pose={t.name: self._track(f'pose {t.name}') for t in self._watched},
            events=self._events.finish(),
        )

    def _track(self, name: str) -> Vector:
        return np.array([frame[name] for frame in self._frames])

    def _camera(self, name: str) -> CameraTrack:
        same = self._pictures[name][0] == self._at_reset[name]
        (spec,) = [camera for camera in self._backend.robot.cameras if camera.name == name]
        return CameraTrack(
            intrinsic=np.tile(spec.intrinsic, (len(self._frames), 1, 1)),
            extrinsic=self._track(f'extrinsic {name}'),
            image_steps=np.array(self._picture_steps),
            jpeg=tuple(self._pictures[name]),
            at_reset=b'' if same else self._at_reset[name],
        )

    def _wordings(self) -> dict[str, tuple[str, ...]]:
        episode, task = self._backend.episode, self._backend.task
        assert episode is not None
        assert task is not None
        words, rng = task.words(), random_stream(episode.seed, 'wordings')
        return {
            split: instructions(episode.task, words, split, rng, WORDINGS_PER_EPISODE[split])
            for split in SPLITS
        }


def _seven(pose: sapien.Pose) -> Vector:
    """Pose -> float64[7], xyz + wxyz."""
    return np.concatenate([pose.p, pose.q]).astype(np.float64)
