"""What people say to have a task done: templates, filled with phrases for its objects and arms.

The wording lies in `config/language/`. What is said in training (`seen`) and what is kept for
evaluation (`unseen`) share neither templates nor phrases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, TypeVar

import numpy as np

from aim_policy.config import ConfigError, from_dict, load_yaml, unknown_name
from aim_policy.robot import share_dir

SPLITS = ('seen', 'unseen')
ARMS = ('left', 'right')
COLOUR = '{colour}'
PLACEHOLDER = re.compile(r'\{([A-Za-z])\}')


@dataclass(frozen=True)
class ObjectWords:
    """How one object is called, without an article; `{colour}` stands for its variant's name."""

    allowed: ClassVar[re.Pattern[str]] = re.compile(re.escape(COLOUR))

    seen: tuple[str, ...]
    unseen: tuple[str, ...]

    def __post_init__(self) -> None:
        for split in SPLITS:
            if not self.of(split):
                raise ConfigError(f'{split} is empty, expected at least one text')
            for text in self.of(split):
                if re.search('[{}]', self.allowed.sub('', text)):
                    raise ConfigError(f'"{text}" has a brace outside of a known placeholder')

    def of(self, split: str) -> tuple[str, ...]:
        """Return the texts of a split."""
        return self.seen if split == 'seen' else self.unseen


@dataclass(frozen=True)
class TaskWords(ObjectWords):
    """How one task is told: `{A}`, `{B}` stand for objects, `{a}`, `{b}` for arms."""

    allowed: ClassVar[re.Pattern[str]] = PLACEHOLDER


Words = TypeVar('Words', bound=ObjectWords)


@cache
def task_words() -> dict[str, TaskWords]:
    """Load the templates of every task, once.

    Raises:
        ConfigError: the file is missing or has something unexpected.
    """
    return _load(TaskWords, 'tasks.yaml')


@cache
def object_words() -> dict[str, ObjectWords]:
    """Load the phrases of every object, once.

    Raises:
        ConfigError: the file is missing or has something unexpected.
    """
    objects = _load(ObjectWords, 'objects.yaml')
    for key, words in objects.items():
        for phrase in words.seen + words.unseen:
            if (COLOUR in phrase) != (COLOUR in key):
                expected = f'{COLOUR} in {"every" if COLOUR in key else "no"} phrase'
                raise ConfigError(f'objects.yaml: {key} has "{phrase}", expected {expected}')
    return objects


def instructions(
    task: str, words: Mapping[str, str], split: str, rng: np.random.Generator, count: int
) -> tuple[str, ...]:
    """Say one task in `count` ways.

    Args:
        task: name of the task.
        words: what the placeholders stand for: `{'A': 'bell/brass', 'a': 'left'}`.
        split: one of `SPLITS`.
        rng: every random choice comes from here.
        count: number of instructions; templates repeat when there are fewer.

    Raises:
        ConfigError: unknown task, split, object or arm, or no template fits `words`.
    """
    if task not in task_words():
        raise unknown_name('task', task, task_words())
    if split not in SPLITS:
        raise unknown_name('split', split, SPLITS)
    choices = {key: _choices(key, value, split) for key, value in words.items()}
    templates = [t for t in task_words()[task].of(split) if _fits(t, words)]
    if not templates:
        found = ', '.join(words) or 'none'
        raise ConfigError(f'task "{task}" has no {split} template for the placeholders {found}')
    order = rng.permutation(len(templates))
    return tuple(_render(templates[order[i % len(order)]], choices, rng) for i in range(count))


def _load(cls: type[Words], name: str) -> dict[str, Words]:
    path = share_dir() / 'config' / 'language' / name
    data = load_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f'{path} is a {type(data).__name__}, expected a mapping')
    return {key: from_dict(cls, value, f'{path}: {key}') for key, value in data.items()}


def _fits(template: str, words: Mapping[str, str]) -> bool:
    """RoboTwin's rule: a template names everything, or every object and no arm."""
    found = set(PLACEHOLDER.findall(template))
    return found in (set(words), {key for key in words if key.isupper()})


def _choices(key: str, value: str, split: str) -> tuple[str, ...]:
    if key.isupper():
        return _phrases(value, split)
    if value not in ARMS:
        raise unknown_name('arm', value, ARMS)
    return (f'{value} arm',)


def _phrases(name: str, split: str) -> tuple[str, ...]:
    kind, _, variant = name.partition('/')
    for key in (name, f'{kind}/{COLOUR}', kind) if variant else (kind,):
        if key in object_words():
            colour = variant.replace('_', ' ')
            return tuple(p.replace(COLOUR, colour) for p in object_words()[key].of(split))
    raise unknown_name('object', name, object_words())


def _render(
    template: str, choices: Mapping[str, tuple[str, ...]], rng: np.random.Generator
) -> str:
    chosen = {key: texts[rng.integers(len(texts))] for key, texts in choices.items()}
    text = PLACEHOLDER.sub(lambda match: f'the {chosen[match[1]]}', template)
    text = ' '.join(text.split()).rstrip('. ')
    return f'{text[:1].upper()}{text[1:]}.'
