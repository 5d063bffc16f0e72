"""A made-up episode: boxes on a table, seen by a fixed camera and by one that moves."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from aim_policy.episode import CameraTrack, Episode, Event, encode_jpeg
from aim_policy.value_map import project

FRAMES, PICK, PRESS, PLACE = 30, 10, 15, 22
BOXES = {
    'cube': (0.03, (200, 40, 30)),
    'pad': (0.05, (40, 60, 190)),
    'bell': (0.025, (60, 160, 60)),
}
CORNERS = np.array([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
INTRINSIC = np.array([[358.6, 0, 160], [0, 358.6, 120], [0, 0, 1]])


def look_at(eye, target):
    """World -> camera, OpenCV axes, float64[3, 4]."""
    forward = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    right = np.cross(forward, [0, 0, 1]) / np.linalg.norm(np.cross(forward, [0, 0, 1]))
    rotation = np.stack([right, np.cross(forward, right), forward])
    return np.column_stack([rotation, -rotation @ eye])


def object_poses():
    """The cube rests, is carried to the pad while it turns, and rests again."""
    share = np.clip((np.arange(FRAMES) - PICK) / (PLACE - PICK), 0, 1)
    poses = {name: np.zeros((FRAMES, 7)) for name in BOXES}
    poses['cube'][:, :3] = np.array([-0.2, 0, 0.77]) + share[:, None] * [0.2, 0.1, 0.03]
    poses['cube'][:, 3], poses['cube'][:, 6] = np.cos(0.4 * share), np.sin(0.4 * share)
    poses['pad'][:, :4] = 0, 0.1, 0.74, 1
    poses['bell'][:, :4] = 0.2, -0.05, 0.76, 1
    return poses


def draw(intrinsic, extrinsic, poses, step):
    picture = Image.new('RGB', (320, 240), (150, 132, 112))
    for name, (half, colour) in BOXES.items():
        corners = CORNERS * half + poses[name][step, :3]
        uv, depth = project(corners, intrinsic, extrinsic)
        if (depth > 0).all():
            ImageDraw.Draw(picture).polygon([tuple(p) for p in uv], colour, (20, 20, 20))
    return np.asarray(picture)


def camera(poses, eyes, stride):
    extrinsic = np.stack([look_at(eye, (0, 0, 0.75)) for eye in eyes])
    steps = np.arange(0, FRAMES, stride)
    pictures = [draw(INTRINSIC, extrinsic[t], poses, t) for t in steps]
    return CameraTrack(
        intrinsic=np.tile(INTRINSIC, (FRAMES, 1, 1)),
        extrinsic=extrinsic,
        image_steps=steps,
        jpeg=tuple(encode_jpeg(picture) for picture in pictures),
    )


def synthetic_episode(stride=1, **changes):
    poses, time = object_poses(), np.arange(FRAMES)
    target = np.sin(0.1 * time[:, None] + np.arange(14)) * np.linspace(0.2, 1.2, 14)
    target[:, 6] = np.where((time > PICK) & (time <= PLACE), 0.0, 1.0)
    target[:, 13] = 0.0
    pose = np.tile([0.1, 0.2, 0.9, 1, 0, 0, 0], (FRAMES, 1)) + 0.01 * time[:, None]
    moving = np.column_stack([-0.3 + 0.01 * time, np.full(FRAMES, -0.35), np.full(FRAMES, 1.1)])
    fields = {
        'task': 'place_cube',
        'setting': 'easy',
        'seed': 7,
        'robot': 'aloha_agilex',
        'instructions': {'seen': ('Put the red cube on the blue pad.',), 'unseen': ('Stack it.',)},
        'dt_s': 0.06,
        'joint_target': target,
        'joint_position': target - 0.01,
        'endpose': {'left': pose, 'right': pose + 0.5},
        'cameras': {
            'head_camera': camera(poses, np.tile([0, -0.45, 1.35], (FRAMES, 1)), stride),
            'left_camera': camera(poses, moving, stride),
        },
        'object_pose': poses,
        'events': (
            Event(PICK, 'left', 'pick', 'cube', np.array([[0.03, 0, 0], [-0.03, 0, 0]])),
            Event(PRESS, 'right', 'press', 'bell', np.array([[0, 0, 0.025]])),
            Event(PLACE, 'left', 'place', 'pad', np.array([[0, 0, 0.05]])),
        ),
    }
    return Episode(**{**fields, **changes})


@pytest.fixture(scope='session')
def make_episode():
    return synthetic_episode


@pytest.fixture(scope='session')
def episode():
    return synthetic_episode()
