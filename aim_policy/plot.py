"""Draws what an episode commanded: joint angles per arm and gripper openings over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from aim_policy.episode import Episode, Event
from aim_policy.interface import Vector
from aim_policy.overlay import ARM_COLOURS
from aim_policy.robotwin_layout import ARMS

Colour = tuple[int, int, int]
BACKGROUND, PANEL, GRID = (18, 20, 24), (28, 31, 37), (62, 67, 77)
TEXT, DIM = (232, 234, 238), (150, 156, 168)
JOINT_COLOURS = (
    (244, 114, 108),
    (250, 176, 84),
    (228, 216, 92),
    (126, 206, 118),
    (98, 188, 232),
    (186, 140, 236),
    (240, 140, 196),
)
LEFT, RIGHT, GAP, LEGEND = 74, 14, 12, 26
ROW_HEIGHTS = (120, 120, 76)
# Drawn larger and scaled down, which smooths lines.
OVERSAMPLE = 2


@dataclass(frozen=True)
class _Row:
    title: str
    unit: str
    arms: tuple[str, ...]
    curves: dict[str, Vector]
    colours: tuple[Colour, ...]
    top: int
    height: int
    span: tuple[float, float]


def describe(event: Event) -> str:
    """Say what happens: pick cube, place on table."""
    return (
        f'{event.kind} on {event.object}'
        if event.kind == 'place'
        else f'{event.kind} {event.object}'
    )


class CommandPlot:
    """Curves of one episode at one width; only the cursor differs between frames."""

    def __init__(self, episode: Episode, width: int) -> None:
        self._width, self._last = width, max(len(episode) - 1, 1)
        self._rows = _rows(episode)
        self._height = self._rows[-1].top + self._rows[-1].height + GAP
        self._still = self._draw_still(episode)

    def at(self, step: int) -> PillowImage.Image:
        """Return the plot with its cursor at a step."""
        picture = self._still.copy()
        draw, x = ImageDraw.Draw(picture), round(self._x(step))
        for row in self._rows:
            draw.line((x, row.top, x, row.top + row.height), fill=TEXT, width=2)
        return picture

    def _x(self, step: float) -> float:
        return LEFT + (self._width - LEFT - RIGHT - 2) * step / self._last

    def _draw_still(self, episode: Episode) -> PillowImage.Image:
        size = (self._width * OVERSAMPLE, self._height * OVERSAMPLE)
        large = PillowImage.new('RGB', size, BACKGROUND)
        for row in self._rows:
            self._draw_curves(ImageDraw.Draw(large), row, episode.events)
        picture = large.resize((self._width, self._height), PillowImage.Resampling.LANCZOS)
        for row in self._rows:
            self._draw_words(ImageDraw.Draw(picture), row, episode.events)
        return picture

    def _draw_curves(
        self, draw: ImageDraw.ImageDraw, row: _Row, events: tuple[Event, ...]
    ) -> None:
        s, bottom = OVERSAMPLE, row.top + row.height
        draw.rectangle((LEFT * s, row.top * s, (self._width - RIGHT) * s, bottom * s), fill=PANEL)
        for value in _ticks(row.span):
            y = _y(row, value) * s
            draw.line((LEFT * s, y, (self._width - RIGHT) * s, y), fill=GRID, width=s)
        for event in events:
            if event.arm in row.arms:
                x, colour = self._x(event.step) * s, ARM_COLOURS.get(event.arm, TEXT)
                draw.line((x, row.top * s, x, bottom * s), fill=colour, width=s)
        for colour, values in zip(row.colours, row.curves.values(), strict=True):
            line = [(self._x(t) * s, _y(row, v) * s) for t, v in enumerate(values)]
            draw.line(line, fill=colour, width=2 * s, joint='curve')

    def _draw_words(self, draw: ImageDraw.ImageDraw, row: _Row, events: tuple[Event, ...]) -> None:
        font, small = ImageFont.load_default(16), ImageFont.load_default(13)
        middle = row.top - LEGEND / 2
        draw.text((LEFT, middle), row.title, TEXT, font, anchor='lm')
        left = LEFT + draw.textlength(row.title, font) + 18
        for colour, name in zip(row.colours, row.curves, strict=True):
            draw.line((left, middle, left + 16, middle), fill=colour, width=3)
            draw.text((left + 22, middle), name, DIM, small, anchor='lm')
            left += 44 + draw.textlength(name, small)
        for value in _ticks(row.span):
            text = f'{value:g} {row.unit}'.strip()
            draw.text((LEFT - 8, _y(row, value)), text, DIM, small, anchor='rm')
        if len(row.arms) == 1:
            self._draw_event_names(draw, row, events)

    def _draw_event_names(
        self, draw: ImageDraw.ImageDraw, row: _Row, events: tuple[Event, ...]
    ) -> None:
        font = ImageFont.load_default(13)
        for event in events:
            if event.arm in row.arms:
                label, x = describe(event), self._x(event.step)
                fits = x + 6 + draw.textlength(label, font) < self._width - RIGHT
                place = (x + 5, 'la') if fits else (x - 5, 'ra')
                colour = ARM_COLOURS.get(event.arm, TEXT)
                corner = place[0], row.top + 3
                draw.rectangle(draw.textbbox(corner, label, font, anchor=place[1]), fill=PANEL)
                draw.text(corner, label, colour, font, anchor=place[1])


def _rows(episode: Episode) -> list[_Row]:
    """Both arms, then both grippers: the order of RoboTwin's action vectors."""
    halves = np.array_split(episode.joint_target, len(ARMS), axis=1)
    count = halves[0].shape[1] - 1
    colours = tuple(JOINT_COLOURS[i % len(JOINT_COLOURS)] for i in range(count))
    joints = np.concatenate([half[:, :-1] for half in halves], axis=1)
    margin = 0.05 * max(float(np.ptp(joints)), 0.1)
    span = float(joints.min()) - margin, float(joints.max()) + 5 * margin  # room for words
    rows, top = [], LEGEND + 6
    for arm, half in zip(ARMS, halves, strict=True):
        curves = {f'joint {i + 1}': half[:, i] for i in range(half.shape[1] - 1)}
        rows.append(_Row(f'{arm} arm', 'rad', (arm,), curves, colours, top, ROW_HEIGHTS[0], span))
        top += ROW_HEIGHTS[0] + GAP + LEGEND
    openings = {arm: half[:, -1] for arm, half in zip(ARMS, halves, strict=True)}
    shades = tuple(ARM_COLOURS[arm] for arm in ARMS)
    rows.append(
        _Row('gripper opening', '', ARMS, openings, shades, top, ROW_HEIGHTS[2], (-0.1, 1.1))
    )
    return rows


def _y(row: _Row, value: float) -> float:
    low, high = row.span
    return row.top + row.height * (high - value) / (high - low)


def _ticks(span: tuple[float, float]) -> list[float]:
    """Two to five round numbers within a span."""
    length = span[1] - span[0]
    unit = 10.0 ** np.floor(np.log10(length))
    step = next(unit * f for f in (0.1, 0.2, 0.5, 1, 2, 5) if length / (unit * f) <= 5)
    return [
        float(round(i * step, 9))
        for i in range(int(np.ceil(span[0] / step)), int(span[1] // step) + 1)
    ]
