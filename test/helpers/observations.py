"""Made-up observations, and a policy that depends on all of them."""

import dataclasses

import numpy as np
import torch

from aim_policy.interface import Observation
from aim_policy.model.aim import AimModel
from aim_policy.model.config import load_model_config
from aim_policy.policy import AimPolicy
from aim_policy.robot import load_robot

ROBOT = load_robot('aloha_agilex')
CONFIG = load_model_config('test')


def observation(seed=0, **changes):
    draw = np.random.default_rng(seed)
    images = {c.name: draw.integers(0, 256, (240, 320, 3), dtype=np.uint8) for c in ROBOT.cameras}
    return dataclasses.replace(
        Observation(images, {}, ROBOT.home + 0.01, ROBOT.home, 'press the bell', 10**9), **changes
    )


REMEMBERING = dataclasses.replace(CONFIG, history_frames=3)
STEP_NS = ROBOT.dt_ns
FRAME_NS = CONFIG.steps_per_frame * STEP_NS


def lively(config=REMEMBERING, preset=''):
    """A policy whose output depends on all it knows; untrained output layers are zero."""
    model = AimModel.random(config, 0)
    draw = torch.Generator().manual_seed(1)
    for parameter in model.transformer.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    policy = AimPolicy(ROBOT, config, model, preset=preset)
    policy.reset('press the bell', 0)
    return policy


def frame(index, **changes):
    """Key frame `index` of an episode."""
    moved = ROBOT.home + 0.01 * index
    return observation(
        index,
        stamp_ns=10**9 + index * FRAME_NS,
        joint_target=moved,
        joint_position=moved,
        **changes,
    )


def motion(index):
    return (
        ROBOT.home
        + np.linspace(0.01 * index, 0.01 * index + 0.01, CONFIG.steps_per_frame)[:, None]
    )


def drive(policy, chunks, frames=CONFIG.frames):
    """Plan, execute, report; returns what each plan was."""
    outputs = []
    for chunk in range(chunks):
        outputs.append(policy.infer(frame(chunk * frames)).chunk.positions)
        for index in range(chunk * frames, (chunk + 1) * frames):
            policy.observe(frame(index + 1), motion(index))
    return outputs
