"""Made-up recordings for tests: noise pictures, a random walk, one press."""

import numpy as np

from aim_policy.episode import CameraTrack, Episode, Event, encode_jpeg
from aim_policy.robot import load_robot

ROBOT = load_robot('aloha_agilex')


def episode(seed, steps=25, task='click_bell', every=4):
    draw = np.random.default_rng(seed)
    walk = np.cumsum(draw.normal(0, 0.01, (steps, 14)), axis=0)
    target = np.clip(ROBOT.home + walk, ROBOT.lower, ROBOT.upper)
    extrinsic = np.tile(np.eye(4)[:3], (steps, 1, 1))
    cameras = {
        camera.name: CameraTrack(
            np.tile(camera.intrinsic, (steps, 1, 1)), extrinsic, np.arange(0, steps, every),
            tuple(encode_jpeg(draw.integers(0, 255, (240, 320, 3), dtype=np.uint8))
                  for _ in range(0, steps, every)),
        )
        for camera in ROBOT.cameras
    }  # fmt: skip
    pose = np.tile([0.0, 0, 1, 1, 0, 0, 0], (steps, 1))
    return Episode(
        task, 'easy', seed, ROBOT.name, {'seen': ('ring the bell', 'press it')}, ROBOT.dt_s,
        target, target.copy(), None, cameras, {'bell': pose},
        (Event(15, 'left', 'press', 'bell', np.zeros((1, 3))),),
    )  # fmt: skip
