import pytest
import torch

from aim_policy.config import ConfigError
from aim_policy.losses import LossConfig, bell_weight, stream_loss, total_loss
from aim_policy.model.aim import AimModel
from aim_policy.model.config import load_model_config
from aim_policy.model.flow import interpolate
from aim_policy.model.transformer import Sample

TEST = load_model_config('test')
VIDEO = (2, 4, 3, 2, 2)  # B, C, F, rows, columns
ACTION = (2, 6, 5)
HALF = torch.full((2, 1, 1), 0.5)
PLAIN = LossConfig(bell=False)


def lost(velocity, sigma=HALF, config=PLAIN, weight=None):
    """What a velocity costs where the true one is zero."""
    nothing = torch.zeros_like(velocity)
    return stream_loss(velocity, nothing, nothing, sigma, config, weight)


@pytest.mark.parametrize('shape', [VIDEO, ACTION])
def test_the_true_velocity_costs_nothing(shape):
    clean, noise = torch.randn(shape), torch.randn(shape)
    assert stream_loss(noise - clean, clean, noise, torch.tensor(0.5), LossConfig()) == 0


def test_streams_are_weighted():
    one = torch.ones(())
    assert total_loss(one, one, one, LossConfig(value=2.0, action=5.0)).total == 8


def test_what_weighs_nothing_costs_nothing():
    weight = torch.zeros(2, 6, 1)
    weight[:, :3] = 2.0
    wrong = torch.where(weight > 0, 2.0, 100.0).expand(ACTION)
    assert lost(wrong, weight=weight) == 4.0


def test_noise_levels_of_single_frames_weigh_their_frames():
    sigma = torch.tensor([0.5, 0.0, 1.0])[None, None, :, None, None]
    for frame, counts in enumerate((True, False, False)):
        video = torch.zeros(VIDEO)
        video[:, :, frame] = 1
        assert (lost(video, sigma, LossConfig()) > 0.1) == counts


def test_bell_is_one_on_average_and_zero_at_the_ends():
    weight = bell_weight(torch.linspace(0, 1, 10001))
    assert weight.mean() == pytest.approx(1, abs=1e-3)
    assert weight[[0, -1]].abs().max() < 1e-6
    assert abs(weight.argmax() - 5000) < 50


def test_negative_weights_are_refused():
    with pytest.raises(ConfigError, match='foreground is -1'):
        LossConfig(foreground=-1)


def test_one_batch_is_learned_to_under_a_hundredth():
    """The losses of all streams together, at fixed noise, within 300 steps."""
    torch.manual_seed(0)
    transformer = AimModel.random(TEST, 0).transformer.train()
    canvas = TEST.latent_channels, TEST.frames, TEST.rows, TEST.columns
    shapes = (2, *canvas), (2, *canvas), (2, TEST.steps, TEST.action_dim)
    clean, noise = (Sample(*(torch.randn(s) for s in shapes)) for _ in range(2))
    sigma = torch.tensor([[0.4], [0.8]])
    levels = [sigma.view(2, *[1] * (len(shape) - 1)) for shape in shapes]
    noisy = Sample(*map(interpolate, vars(clean).values(), vars(noise).values(), levels))
    observed = torch.randn(2, TEST.latent_channels, 1, TEST.rows, TEST.columns)
    text = torch.randn(2, TEST.text_tokens, TEST.text_dim)
    joints = torch.randn(2, 2 * TEST.action_dim)
    optimiser = torch.optim.AdamW(transformer.parameters(), lr=1e-2, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=300)
    start = None
    for _ in range(300):
        velocity = transformer(observed, text, noisy, sigma, sigma, joints)
        parts = zip(*(vars(s).values() for s in (velocity, clean, noise)), levels, strict=True)
        losses = total_loss(*(stream_loss(*part, PLAIN) for part in parts), PLAIN)
        start = start or losses.total.item()
        optimiser.zero_grad()
        losses.total.backward()
        optimiser.step()
        schedule.step()
        if losses.total < 0.01 * start:
            break
    assert losses.total < 0.01 * start
