"""Node `evaluator`: resets episodes, lets a policy run them, writes what came out."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import asdict

import numpy as np
import rclpy
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import Bool

from aim_policy.config import ConfigError
from aim_policy.robot import load_robot
from aim_ros import convert
from aim_ros.action import RunPolicy
from aim_ros.answers import is_done, meet
from aim_ros.evaluator_parameters import EvaluatorParameters
from aim_ros.msg import ActionChunk, EpisodeStatus
from aim_ros.results import EpisodeResult, ResultWriter, table, unique_folder
from aim_ros.ros_util import LATCHED, RELIABLE, parameters, run_node
from aim_ros.srv import ResetEpisode
from aim_ros.video import EpisodeVideo
from sim_bridge.backend import FIRST_EVALUATION_SEED
from sim_bridge.tasks import tasks_of


class EvaluatorNode(Node):
    """Runs the episodes one after another and ends."""

    def __init__(self) -> None:
        super().__init__('evaluator')
        self._config = config = parameters(self, EvaluatorParameters)
        self._tasks = tasks_of([config.task])
        self._status: EpisodeStatus | None = None
        self._changed = threading.Condition()
        self.create_subscription(EpisodeStatus, 'episode_status', self._on_status, LATCHED)
        self._chunks: list[ActionChunk] = []
        self.create_subscription(ActionChunk, 'action_chunk', self._on_chunk, RELIABLE)
        self._reset = self.create_client(ResetEpisode, 'sim_bridge/reset_episode')
        self._run = ActionClient(self, RunPolicy, f'{config.policy_node}/run')
        self._recorded: Future = Future()
        if config.recorder:
            topic = f'{config.recorder}/listening'
            self.create_subscription(Bool, topic, self._recorded.set_result, LATCHED)
        self._video = EpisodeVideo(self, load_robot(config.robot)) if config.record else None

    def _on_status(self, message: EpisodeStatus) -> None:
        with self._changed:
            self._status = message
            self._changed.notify_all()

    def _on_chunk(self, message: ActionChunk) -> None:
        self._chunks.append(message)

    def work(self) -> int:
        """Evaluate; returns the exit code."""
        config = self._config
        self._wait_for_nodes()
        name = f'{config.task}_{config.setting}_{config.policy}'
        writer = ResultWriter(unique_folder(config.results_dir, name), self._about())
        first = FIRST_EVALUATION_SEED * (1 + config.seed)
        jobs = [(t, first + i) for t in self._tasks for i in range(config.episodes)]
        for number, (task, seed) in enumerate(jobs, 1):
            result = self._episode(task, seed, writer)
            writer.add(result)
            self._tell(number, len(jobs), result)
        print(f'\n{table(writer.summary())}\n\nresults: {writer.path}', flush=True)
        return 0

    def _wait_for_nodes(self) -> None:
        config, timeout_s = self._config, self._config.start_timeout_s
        for name in ('sim_bridge', config.policy_node):
            if not meet(self, name, timeout_s):
                raise ConfigError(f'{name} did not appear in {timeout_s:.0f} s')
        # Its parameter services may be known before those that it made later.
        if not self._reset.wait_for_service(timeout_s):
            raise ConfigError('sim_bridge offers no ~/reset_episode')
        if not self._run.wait_for_server(timeout_s):
            raise ConfigError(f'{config.policy_node} offers no ~/run')
        if config.recorder and not is_done(self, self._recorded, timeout_s):
            raise ConfigError(f'{config.recorder} heard no robot in {timeout_s:.0f} s')

    def _about(self) -> dict:
        return {'command': sys.argv, **asdict(self._config)}

    def _tell(self, number: int, total: int, result: EpisodeResult) -> None:
        word = 'success' if result.success else f'failed: {result.reason}'
        rate = result.steps / result.wall_s
        print(
            f'[{number}/{total}] {result.task} seed {result.seed}: {word}, {result.steps} steps, '
            f'{result.wall_s:.1f} s, {rate:.0f} steps/s',
            flush=True,
        )

    def _episode(self, task: str, seed: int, writer: ResultWriter) -> EpisodeResult:
        if not self._video:
            return self._run_episode(task, seed)
        path = writer.folder / 'episodes' / f'{task}_{seed}.mp4'
        with self._video.written_to(path, self._status_ns):
            return self._run_episode(task, seed)

    def _status_ns(self) -> int:
        return convert.to_ns(self._status.header.stamp) if self._status else 0

    def _run_episode(self, task: str, seed: int) -> EpisodeResult:
        begin_s = time.monotonic()
        self._chunks.clear()
        scene = self._reset_scene(task, seed)
        goal = RunPolicy.Goal(instruction=scene.instruction, seed=seed, not_before=scene.stamp)
        handle = self._await(self._run.send_goal_async(goal))
        if not handle.accepted:
            raise ConfigError(f'{self._config.policy_node} refused to run')
        result = handle.get_result_async()
        status, reason = self._watch(convert.to_ns(scene.stamp), begin_s, result)
        if not result.done():
            self._await(handle.cancel_goal_async())
        outcome = self._await(result).result
        chunks = self._until_end(status)
        times_ms = [chunk.inference_ms for chunk in chunks]
        return EpisodeResult(
            task=task,
            setting=self._config.setting,
            seed=seed,
            success=status.state == EpisodeStatus.SUCCEEDED,
            steps=status.step,
            wall_s=time.monotonic() - begin_s,
            chunks=outcome.chunks - (len(self._chunks) - len(chunks)),
            rejected_chunks=outcome.rejected_chunks,
            inference_ms=float(np.median(times_ms)) if times_ms else 0.0,
            reason=reason,
        )

    def _reset_scene(self, task: str, seed: int) -> ResetEpisode.Response:
        request = ResetEpisode.Request(task=task, setting=self._config.setting, seed=seed)
        request.wording = self._config.instruction
        scene = self._await(self._reset.call_async(request))
        if not scene.success:
            raise ConfigError(scene.message)
        return scene

    def _until_end(self, status: EpisodeStatus) -> list[ActionChunk]:
        """Leave out what the policy thought of after the end, before it heard of it."""
        if status.state not in (EpisodeStatus.SUCCEEDED, EpisodeStatus.FAILED):
            return self._chunks
        end_ns = convert.to_ns(status.header.stamp)
        return [c for c in self._chunks if convert.to_ns(c.header.stamp) < end_ns]

    def _watch(self, stamp_ns: int, begin_s: float, result: Future) -> tuple[EpisodeStatus, str]:
        """Wait for the end of the episode that began at a stamp; say why if it failed."""
        while rclpy.ok():
            with self._changed:
                self._changed.wait(0.1)
                status = self._status
            if status is None or convert.to_ns(status.header.stamp) < stamp_ns:
                continue
            if status.state == EpisodeStatus.SUCCEEDED:
                return status, ''
            if status.state == EpisodeStatus.FAILED:
                return status, status.detail
            if result.done():
                return status, f'policy stopped: {result.result().result.message}'
            if time.monotonic() - begin_s > self._config.episode_timeout_s:
                return status, status.detail or 'out of wall time'
        raise KeyboardInterrupt

    def _await(self, future: Future) -> object:
        limit_s = self._config.episode_timeout_s
        if not is_done(self, future, limit_s):
            raise ConfigError(f'{self._config.policy_node} did not answer in {limit_s:.0f} s')
        return future.result()


def main() -> int:
    """Entry point."""
    return run_node(EvaluatorNode, interrupted=130)


if __name__ == '__main__':
    sys.exit(main())
