"""Instructions: enough of them, well formed, and nothing of evaluation is heard in training."""

import re

import numpy as np
import pytest

from aim_policy.config import ConfigError, from_dict, load_yaml
from aim_policy.robot import share_dir
from sim_bridge.language import (
    PLACEHOLDER,
    SPLITS,
    TaskWords,
    instructions,
    object_words,
    task_words,
)

WORDS = {
    'click_bell': {'A': 'bell/brass', 'a': 'left'},
    'click_alarmclock': {'A': 'alarm_clock', 'a': 'right'},
    'beat_block_hammer': {'A': 'hammer', 'B': 'block/red', 'a': 'left'},
    'grab_roller': {'A': 'roller'},
    'lift_pot': {'A': 'pot'},
    'adjust_bottle': {'A': 'bottle/green', 'a': 'right'},
    'move_pillbottle_pad': {'A': 'pill_bottle', 'B': 'pad/blue', 'a': 'right'},
    'place_empty_cup': {'A': 'cup', 'B': 'coaster', 'a': 'left'},
    'stack_blocks_two': {'A': 'block/green', 'B': 'block/red', 'a': 'left', 'b': 'right'},
    'handover_block': {'A': 'tall_block/red', 'B': 'pad/blue', 'a': 'left', 'b': 'right'},
    'turn_switch': {'A': 'switch', 'a': 'right'},
    'place_cans_plasticbox': {
        'A': 'can/red',
        'B': 'can/blue',
        'C': 'plastic_box',
        'a': 'left',
        'b': 'right',
    },
    'probe_two_bells': {'A': 'bell/yellow', 'a': 'left'},
}


def say(task, words=None, split='seen', seed=0, count=300):
    words = WORDS[task] if words is None else words
    return instructions(task, words, split, np.random.default_rng(seed), count)


def test_every_task_has_its_templates():
    assert set(task_words()) == set(WORDS)


@pytest.mark.parametrize('task', WORDS)
def test_there_are_enough_templates_and_each_can_be_used(task):
    words, templates = WORDS[task], task_words()[task]
    assert len(set(templates.seen)) >= 22
    assert len(set(templates.unseen)) >= 6
    objects = {key for key in words if key.isupper()}
    for template in templates.seen + templates.unseen:
        assert set(PLACEHOLDER.findall(template)) in (set(words), objects), template


@pytest.mark.parametrize('key', object_words())
def test_there_are_enough_phrases_and_evaluation_has_its_own(key):
    words = object_words()[key]
    assert len(set(words.seen)) >= 8
    assert len(set(words.unseen)) >= 3
    assert not set(words.seen) & set(words.unseen)
    assert not any(re.match(r'(the|an?) ', phrase) for phrase in words.seen + words.unseen)


@pytest.mark.parametrize('task', WORDS)
def test_templates_of_evaluation_are_not_heard_in_training(task):
    seen, unseen = ({t.lower() for t in task_words()[task].of(split)} for split in SPLITS)
    assert not seen & unseen


@pytest.mark.parametrize('split', SPLITS)
@pytest.mark.parametrize('task', WORDS)
def test_instructions_are_sentences_that_the_text_encoder_takes_whole(task, split):
    limit = load_yaml(share_dir() / 'config' / 'model' / 'aim_tiny.yaml')['text_tokens']
    for text in say(task, split=split):
        assert re.fullmatch(r'[A-Z][^{}]*[^ .]\.', text), text
        assert '  ' not in text
        assert len(re.findall(r'\w+', text)) <= limit, text


def test_an_arm_is_named_in_some_instructions_and_always_the_right_one():
    texts = say('click_bell', {'A': 'bell', 'a': 'right'})
    assert 0 < sum('the right arm' in text for text in texts) < len(texts)
    assert not any('left' in text for text in texts)


def test_without_arms_only_templates_without_arms_are_used():
    assert not any(' arm' in text for text in say('turn_switch', {'A': 'switch'}))


def test_templates_repeat_only_after_all_were_used():
    texts = say('grab_roller', count=48)
    assert len(texts) == 48
    assert len({re.sub(r'the [\w -]*', '', text) for text in texts}) <= 24
    assert say('grab_roller', count=0) == ()


def test_same_generator_state_same_text():
    assert say('lift_pot', seed=3) == say('lift_pot', seed=3)
    assert say('lift_pot', seed=3) != say('lift_pot', seed=4)


@pytest.mark.parametrize('split', SPLITS)
@pytest.mark.parametrize('colour', ['red', 'green', 'blue', 'yellow', 'brass', 'steel'])
def test_the_probe_always_names_the_colour_and_excludes_the_other_bell(colour, split):
    """The colour is all that tells which of the two bells is meant."""
    words = {'A': f'bell/{colour}', 'a': 'left'}
    for text in say('probe_two_bells', words, split):
        assert re.search(rf'\b{colour}\b', text), text
        assert re.search(r'\b(only|just|choose|other|two|both|pair|else|wrong)\b', text, re.I)


def test_a_variant_without_phrases_of_its_own_uses_its_name():
    assert all('light blue' in text for text in say('lift_pot', {'A': 'pot/light_blue'}))


@pytest.mark.parametrize(
    ('task', 'words', 'split', 'message'),
    [
        ('click_bel', {'A': 'bell'}, 'seen', 'did you mean "click_bell"'),
        ('click_bell', {'A': 'bell'}, 'test', 'unknown split "test"; known: seen, unseen'),
        ('click_bell', {'A': 'bel/red'}, 'seen', 'unknown object "bel/red"'),
        ('click_bell', {'A': 'bell', 'a': 'up'}, 'seen', 'unknown arm "up"'),
        ('click_bell', {'A': 'bell', 'B': 'pad'}, 'seen', 'no seen template for .* A, B'),
        ('click_bell', {}, 'seen', '"click_bell" has no .* none'),
    ],
)
def test_mistakes_are_one_clear_line(task, words, split, message):
    with pytest.raises(ConfigError, match=message):
        say(task, words, split)


@pytest.mark.parametrize('data', [{'seen': ['Press {AB}'], 'unseen': ['x']}, {'seen': ['x']}])
def test_wrong_templates_are_refused(data):
    with pytest.raises(ConfigError, match='tasks.yaml: t'):
        from_dict(TaskWords, data, 'tasks.yaml: t')
