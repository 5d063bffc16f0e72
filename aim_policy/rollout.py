"""Episodes of a policy without ROS: the objects of the nodes in one process, in lockstep.

Pictures are taken only where the policy looks. What it sees and commands is, bit for bit, what the
nodes exchange, see `test/system/test_evaluate_like_ros.py`. A simulator is imported when a rollout
is made.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from aim_policy.ablation import ABLATIONS, Ablation
from aim_policy.config import ConfigError, from_dict
from aim_policy.interface import Policy
from aim_policy.registry import make_policy
from aim_policy.robot import load_robot
from aim_ros.observer import Observer, ObserverConfig
from aim_ros.policy_loop import PolicyLoop, Sent, Waiting
from aim_ros.policy_parameters import PolicyParameters, node_parameters
from aim_ros.results import EpisodeResult
from aim_ros.trajectory import ChunkRejected, GateConfig, TrajectoryGate
from sim_bridge.backend import make_backend
from sim_bridge.controller import TrajectoryCommand
from sim_bridge.sim_loop import EpisodeState, SimLoop


class PolicyStopped(Exception):
    """The policy cannot go on with the episode."""


@dataclass(frozen=True)
class Scene:
    """What names an episode."""

    task: str
    setting: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """What is evaluated; holds for a whole run.

    Attributes:
        policy, checkpoint, device, preset: see `aim_policy.registry.make_policy`.
        tasks: all that are evaluated.
        backend: simulator.
        robot: YAML under config/robot, or a path.
        instruction: wording of the instructions.
        ablate: name in `ABLATIONS`, '' for none.
        execute_steps: rows of a chunk to execute; None as for the policy node.
    """

    policy: str
    tasks: tuple[str, ...]
    checkpoint: str = ''
    device: str = 'cpu'
    preset: str = ''
    backend: str = 'builtin'
    robot: str = 'aloha_agilex'
    instruction: str = 'auto'
    ablate: str = ''
    execute_steps: int | None = None


@dataclass
class _Tally:
    """What an episode counts."""

    begin_s: float = field(default_factory=time.monotonic)
    steps: int = 0
    rejected_chunks: int = 0
    inference_ms: list[float] = field(default_factory=list)


class Rollout:
    """One policy in one simulated world, for one episode after another.

    Attributes:
        plan: what it was made from.
        policy: who drives.
        world: the simulator with its controllers.
    """

    def __init__(self, plan: Plan, policy: Policy, world: SimLoop) -> None:
        self.plan = plan
        self.policy = policy
        self.world = world
        sync, safety = node_parameters('sync.'), node_parameters('safety.')
        gate = from_dict(GateConfig, safety, 'safety parameters of the policy node')
        if plan.execute_steps is not None:
            gate = replace(gate, execute_steps=plan.execute_steps)
        observer = from_dict(ObserverConfig, sync, 'sync parameters of the policy node')
        self._loop = PolicyLoop(
            world.robot,
            policy,
            Observer(world.robot, observer),
            TrajectoryGate(world.robot, gate),
            lockstep=True,
        )
        node = from_dict(PolicyParameters, node_parameters(''), 'parameters of the policy node')
        self._max_rejected = node.max_rejected_chunks
        self._tally = _Tally()

    def episode(self, scene: Scene) -> EpisodeResult:
        """Run one episode; whatever breaks in it makes it a failure.

        Raises:
            ConfigError: a mistake of the user, which would break every episode.
        """
        self._tally = _Tally()
        try:
            if isinstance(self.policy, Ablation):
                self.policy.prepare(scene, self)
            reason = self.play(scene)
        except ConfigError:
            raise
        except PolicyStopped as error:
            reason = f'policy stopped: {error}'
        except Exception as error:  # one odd scene ends no run
            reason = f'{type(error).__name__}: {error}'
        return self._result(scene, reason)

    def play(self, scene: Scene, chunks: int | None = None) -> str:
        """Run one episode, or its first chunks; returns why it failed, '' if it did not.

        Raises:
            PolicyStopped: the policy cannot go on.
        """
        self._tally, world = _Tally(), self.world
        episode = world.reset(scene.task, scene.seed, scene.setting, self.plan.instruction)
        try:
            self._loop.start(episode.instruction, scene.seed, world.now_ns)
        except ValueError as error:  # an instruction that the policy cannot read
            raise PolicyStopped(str(error)) from error
        while world.state == EpisodeState.RUNNING and len(self._tally.inference_ms) != chunks:
            look(world, self._loop.observer)
            self._move(self._think())
        return world.reason

    def instruction(self, scene: Scene) -> str:
        """Return what would be said in another scene; the one at hand is lost."""
        names = scene.task, scene.seed, scene.setting
        return self.world.backend.reset(*names, self.plan.instruction).instruction

    def _think(self) -> Sent:
        reason = ''
        for _ in range(self._max_rejected):
            try:
                result = self._loop.poll(lambda: self.world.now_ns)
            except (ChunkRejected, ValueError) as error:  # ValueError: what it cannot use
                self._tally.rejected_chunks += 1
                reason = str(error)
                continue
            if isinstance(result, Waiting):  # the world stands still: nothing to wait for
                raise PolicyStopped(result.reason or 'its chunk has fewer than execute_steps rows')
            self._tally.inference_ms.append(result.inference_ms)
            return result
        raise PolicyStopped(reason)

    def _move(self, sent: Sent) -> None:
        for t in sent.trajectories:
            rows = t.joint_names, t.positions, t.times_ns, t.velocities
            self.world.command(t.arm, TrajectoryCommand.from_arrays(*rows))
        moving = True
        while moving and self.world.state == EpisodeState.RUNNING:
            self.world.advance()
            self._tally.steps = self.world.step_count
            moving = self.world.moving
            if self._loop.key_frames.is_due(self.world.now_ns):  # who waits for pictures gets them
                look(self.world, self._loop.observer)

    def _result(self, scene: Scene, reason: str) -> EpisodeResult:
        tally = self._tally
        return EpisodeResult(
            task=scene.task,
            setting=scene.setting,
            seed=scene.seed,
            success=not reason,
            steps=tally.steps,
            wall_s=time.monotonic() - tally.begin_s,
            chunks=len(tally.inference_ms),
            rejected_chunks=tally.rejected_chunks,
            inference_ms=float(np.median(tally.inference_ms)) if tally.inference_ms else 0.0,
            reason=reason,
        )


def look(world: SimLoop, observer: Observer) -> None:
    """Give an observer what the world's sensors say, as topics would."""
    snapshot, robot = world.snapshot(), world.robot
    stamp_ns, state = snapshot.stamp_ns, snapshot.state
    for camera, image in snapshot.images.items():
        observer.add_image(camera, stamp_ns, image)
    observer.add_joints(stamp_ns, state.joint_names, state.position)
    if robot.joint_targets_topic:
        observer.add_targets(stamp_ns, robot.joint_names, snapshot.target)


def make_rollout(plan: Plan) -> Rollout:
    """Load the policy and start the simulator.

    Raises:
        ConfigError: either is impossible here.
    """
    robot = load_robot(plan.robot)
    policy = make_policy(plan.policy, robot, plan.checkpoint, plan.device, plan.preset)
    if plan.ablate:
        policy = ABLATIONS[plan.ablate](policy)
    return Rollout(plan, policy, SimLoop(make_backend(plan.backend, robot)))


_rollout = cache(make_rollout)


def start_worker(threads: int) -> None:
    """Prepare a process: torch uses so many threads, and Ctrl-C is for the main process."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)


def run_scene(plan: Plan, scene: Scene) -> EpisodeResult:
    """Run one episode in this process's own rollout, see `Rollout.episode`."""
    return _rollout(plan).episode(scene)
