import dataclasses

import pytest
import torch

from aim_policy.config import ConfigError
from aim_policy.losses import LossConfig, bell_weight, flow_losses
from aim_policy.model.aim import AimModel
from aim_policy.model.config import load_model_config
from aim_policy.model.flow import interpolate
from aim_policy.model.transformer import Sample

TEST = load_model_config('test')
VIDEO = (2, 4, 3, 2, 2)  # B, C, F, rows, columns
ACTION = (2, 6, 5)
HALF = torch.full((2, 1), 0.5)
PLAIN = LossConfig(bell=False, foreground=0.0)


def zeros(**changes):
    return Sample(**{'rgb': torch.zeros(VIDEO), 'value': torch.zeros(VIDEO),
                     'action': torch.zeros(ACTION)} | changes)  # fmt: skip


def test_the_true_velocity_costs_nothing():
    clean, noise = (Sample(*(torch.randn(s) for s in (VIDEO, VIDEO, ACTION))) for _ in range(2))
    true = Sample(*(getattr(noise, n) - getattr(clean, n) for n in ('rgb', 'value', 'action')))
    assert flow_losses(true, clean, noise, HALF, HALF).total == 0


def test_streams_are_weighted():
    config = dataclasses.replace(PLAIN, value=2.0, action=5.0)
    ones = Sample(torch.ones(VIDEO), torch.ones(VIDEO), torch.ones(ACTION))
    losses = flow_losses(ones, zeros(), zeros(), HALF, HALF, config=config)
    assert (losses.rgb, losses.value, losses.action, losses.total) == (1, 1, 1, 8)


def test_heat_counts_more_in_maps_only():
    heat = torch.zeros(2, 3, 2, 2)
    heat[:, :, 0, 0] = 1.0
    wrong = zeros(
        value=heat[:, None].expand(VIDEO).clone(), rgb=heat[:, None].expand(VIDEO).clone()
    )
    losses = flow_losses(wrong, zeros(), zeros(), HALF, HALF, heat, config=LossConfig(bell=False))
    assert losses.value == pytest.approx(5 * 0.25)
    assert losses.rgb == pytest.approx(0.25)


def test_padding_counts_nothing_and_does_not_dilute():
    valid = torch.zeros(ACTION, dtype=torch.bool)
    valid[:, :3, :2] = True
    wrong = torch.where(valid, 2.0, 100.0)
    losses = flow_losses(zeros(action=wrong), zeros(), zeros(), HALF, HALF, None, valid, PLAIN)
    assert losses.action == pytest.approx(4.0)


def test_noise_levels_of_single_frames_weigh_their_frames():
    sigma = torch.tensor([[0.5, 0.0, 1.0]]).expand(2, 3)
    for frame, counts in enumerate((True, False, False)):
        video, action = torch.zeros(VIDEO), torch.zeros(ACTION)
        video[:, :, frame] = 1
        action[:, 2 * frame : 2 * frame + 2] = 1
        losses = flow_losses(zeros(rgb=video, action=action), zeros(), zeros(), sigma, sigma)
        for loss in (losses.rgb, losses.action):
            assert (loss > 0.1) == counts


def test_bell_is_one_on_average_and_zero_at_the_ends():
    weight = bell_weight(torch.linspace(0, 1, 10001))
    assert weight.mean() == pytest.approx(1, abs=1e-3)
    assert weight[[0, -1]].abs().max() < 1e-6
    assert abs(weight.argmax() - 5000) < 50


def test_x_may_be_left_out():
    assert flow_losses(zeros(rgb=None), zeros(), zeros(), HALF, HALF).rgb == 0


def test_negative_weights_are_refused():
    with pytest.raises(ConfigError, match='foreground is -1'):
        LossConfig(foreground=-1)


def test_one_batch_is_learned_to_under_a_hundredth():
    """The three flow losses together, at fixed noise, within 300 steps."""
    torch.manual_seed(0)
    transformer = AimModel.random(TEST, 0).transformer.train()
    canvas = TEST.latent_channels, TEST.frames, TEST.rows, TEST.columns
    shapes = (2, *canvas), (2, *canvas), (2, TEST.steps, TEST.action_dim)
    clean, noise = (Sample(*(torch.randn(s) for s in shapes)) for _ in range(2))
    sigma = torch.tensor([[0.4], [0.8]])
    noisy = Sample(*(
        interpolate(getattr(clean, n), getattr(noise, n), sigma.view(2, *[1] * (len(s) - 1)))
        for n, s in zip(('rgb', 'value', 'action'), shapes, strict=True)
    ))  # fmt: skip
    observed = torch.randn(2, TEST.latent_channels, 1, TEST.rows, TEST.columns)
    text = torch.randn(2, TEST.text_tokens, TEST.text_dim)
    joints = torch.randn(2, 2 * TEST.action_dim)
    optimiser = torch.optim.AdamW(transformer.parameters(), lr=1e-2, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=300)
    start = None
    for _ in range(300):
        velocity = transformer(observed, text, noisy, sigma, sigma, joints)
        losses = flow_losses(velocity, clean, noise, sigma, sigma, config=LossConfig(bell=False))
        start = start or losses.total.item()
        optimiser.zero_grad()
        losses.total.backward()
        optimiser.step()
        schedule.step()
        if losses.total < 0.01 * start:
            break
    assert losses.total < 0.01 * start
