"""What counts while a is taught, and what it sees."""

from dataclasses import replace

import torch

from aim_policy.data import Clips
from aim_policy.losses import LossConfig
from aim_policy.model.aim import AimModel
from aim_policy.model.config import load_model_config
from aim_policy.model.transformer import Memory
from aim_policy.stage1 import NoiseConfig, StageOne, draw_noise

TEST = load_model_config('test')
COUNT = 2


def clips():
    canvas = COUNT, TEST.latent_channels, TEST.frames, TEST.rows, TEST.columns
    shapes = {
        'observed': (COUNT, TEST.latent_channels, 1, TEST.rows, TEST.columns),
        'future': canvas,
        'maps': canvas,
        'heat': (COUNT, TEST.frames, TEST.rows, TEST.columns),
        'actions': (COUNT, TEST.steps, TEST.action_dim),
        'proprio': (COUNT, 2 * TEST.action_dim),
        'text': (COUNT, TEST.text_tokens, TEST.text_dim),
    }
    drawn = {name: torch.randn(shape) for name, shape in shapes.items()}
    return Clips(
        **drawn,
        has_maps=torch.ones(COUNT),
        acting=torch.ones(COUNT, TEST.steps),
        executed=torch.empty(COUNT, 0, TEST.action_dim),
        item=torch.zeros(COUNT, 2, dtype=torch.long),
    )


def pull_of_the_picture(blind):
    """Gradient of the loss of a with respect to what is observed, the keys of m held fixed."""
    torch.manual_seed(0)
    batch = clips()
    batch.observed.requires_grad_()
    stage = StageOne(AimModel.random(TEST, 0).transformer.train(), LossConfig(), 1)
    for parameter in stage.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # output layers begin at zero
    noise = draw_noise(batch, COUNT, NoiseConfig(), torch.Generator().manual_seed(0))
    context = stage.context(batch, noise, stage.transformer.read_text(batch.text))
    (value,) = stage._imagine(batch, noise, context, rgb=False)[2]
    fixed = Memory(value.place, tuple((k.detach(), v.detach()) for k, v in value.layers))
    seen = stage.blind(batch, context) if blind else context
    lost = stage._act(batch, noise, seen, [fixed])
    return torch.autograd.grad(lost, batch.observed, allow_unused=True)[0]


def test_actions_that_nobody_showed_count_nothing():
    batch = clips()
    batch.acting.zero_()
    stage = StageOne(AimModel.random(TEST, 0).transformer.train(), LossConfig(), 1)
    noise = draw_noise(batch, COUNT, NoiseConfig(), torch.Generator().manual_seed(0))
    assert stage(batch, noise, imagine=True, rgb=True).action == 0
    batch.acting.fill_(1)
    assert stage(batch, noise, imagine=True, rgb=True).action > 0


def losses(batch, rgb=True):
    stage = StageOne(AimModel.random(TEST, 0).transformer.train(), LossConfig(), 1)
    noise = draw_noise(batch, COUNT, NoiseConfig(), torch.Generator().manual_seed(0))
    return stage(batch, noise, imagine=True, rgb=rgb)


def test_padding_does_not_dilute_what_counts():
    batch = clips()
    batch.acting[1] = 0  # half of all
    evened = losses(batch.evened(batch.acting.mean())).action
    torch.testing.assert_close(evened, 2 * losses(batch).action)


def test_heat_counts_more_in_maps_only():
    batch = clips()
    cold, hot = (losses(replace(batch, heat=torch.full_like(batch.heat, h))) for h in (0.0, 1.0))
    torch.testing.assert_close(hot.value, 5 * cold.value)
    assert (hot.rgb, hot.action) == (cold.rgb, cold.action)


def test_x_left_out_costs_nothing():
    assert losses(clips(), rgb=False).rgb == 0


def test_a_blind_a_knows_the_picture_by_its_map_alone():
    assert pull_of_the_picture(blind=False).abs().max() > 0
    assert pull_of_the_picture(blind=True) is None
