import numpy as np
import pytest
import torch
from recordings import ROBOT, episode

from aim_policy.augment import Augmentation, AugmentConfig
from aim_policy.config import ConfigError
from aim_policy.data import ClipDataset
from aim_policy.encoded_episode import encode_episode
from aim_policy.model.aim import AimModel
from aim_policy.model.config import load_model_config
from aim_policy.normalise import normalisation_of
from aim_policy.transforms import Transforms

TEST = load_model_config('test')
MODEL = AimModel.random(TEST, seed=0)
CODEC = MODEL.codec()
KEY = 0, 1, 1, 7


def dataset(**changes):
    encoded = [encode_episode(episode(seed), CODEC, ROBOT) for seed in (0, 1)]
    figures = normalisation_of(encoded, ROBOT, TEST.steps, 0.05)
    augmentation = Augmentation(CODEC, AugmentConfig(**changes)) if changes else None
    transforms = Transforms(ROBOT, TEST, figures)
    return ClipDataset(encoded, TEST, transforms, MODEL.text_encoder, augmentation)


def pictures(latents):
    return {c: frames[0] for c, frames in CODEC.decode(latents[None]).items()}


def brightness(frames):
    return ((frames + 1) / 2).mean((0, 2, 3))


def test_pictures_change_and_nothing_else():
    plain, changed = dataset()[KEY], dataset(share=1, colour=0.2, shade=0.2, patches=4)[KEY]
    for name, tensor in vars(plain).items():
        assert torch.equal(tensor, getattr(changed, name)) == (name not in ('observed', 'future'))


def test_a_key_decides_what_is_drawn():
    changes = {'share': 0.5, 'colour': 0.2, 'shade': 0.2, 'patches': 4}
    one, two = dataset(**changes), dataset(**changes)
    keys = [(0, 1, 1, wording) for wording in range(12)]
    clips = [one[key].observed for key in keys]
    assert all(torch.equal(clip, two[key].observed) for clip, key in zip(clips, keys, strict=True))
    same = [torch.equal(clip, dataset()[KEY].observed) for clip in clips]
    assert 0 < sum(same) < len(same)


def test_light_is_the_same_in_all_frames_and_cameras():
    """Dark enough that nothing is clipped: what is brighter by a factor there is so here."""
    plain, changed = dataset()[KEY], dataset(share=1, colour=0.1)[KEY]
    ratios = []
    for name in ('observed', 'future'):
        before, after = pictures(getattr(plain, name)), pictures(getattr(changed, name))
        ratios += [brightness(after[camera]) / brightness(before[camera]) for camera in before]
    for ratio in ratios[1:]:
        torch.testing.assert_close(ratio, ratios[0], rtol=0.05, atol=0)
    assert (ratios[0] - 1).abs().max() > 0.02


def test_clutter_stays_away_from_contacts():
    data, many = dataset(), dataset(share=1, patches=40)
    changed = torch.zeros(())
    for wording in range(20):
        plain, other = data[0, 1, 1, wording], many[0, 1, 1, wording]
        before, after = pictures(plain.observed), pictures(other.observed)
        heat = CODEC.decode_maps(plain.maps[None])
        for camera in before:
            moved = (before[camera] - after[camera]).abs().amax((0, 1))
            changed = changed + moved.sum()
            hot = heat[camera][0].amax(0) > 0.5
            # A cell's code is not exact: what is pasted beside shines through a little.
            assert not hot.any() or moved[hot].max() < 0.05
    assert changed > 1


def test_no_share_leaves_clips_as_they_are():
    plain, same = dataset()[KEY], dataset(share=0.0, patches=4)[KEY]
    assert torch.equal(plain.observed, same.observed)


@pytest.mark.parametrize(
    'wrong', [{'share': 1.5}, {'colour': -0.1}, {'patches': -1}, {'words': 1.5}]
)
def test_a_wrong_figure_is_refused(wrong):
    with pytest.raises(ConfigError, match='expected 0'):
        AugmentConfig(**wrong)


def test_words_that_no_language_has_stand_in_for_some():
    said = 'press the red bell with the left arm'
    augmentation = Augmentation(CODEC, AugmentConfig(words=0.3))
    heard = [augmentation.reword(said, np.random.default_rng(i)).split() for i in range(200)]
    kept = [word == was for words in heard for word, was in zip(words, said.split(), strict=True)]
    assert 0.65 < np.mean(kept) < 0.75
    assert all(
        word in said.split() or word.startswith('strange') for words in heard for word in words
    )


def test_strange_words_change_the_text_alone():
    plain, changed = dataset()[KEY], dataset(words=1)[KEY]
    for name, tensor in vars(plain).items():
        assert torch.equal(tensor, getattr(changed, name)) == (name != 'text')


def test_no_strange_words_by_default():
    assert torch.equal(dataset()[KEY].text, dataset(share=1, colour=0.2)[KEY].text)
