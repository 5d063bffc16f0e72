"""Shows recorded episodes: cameras under their value maps, and the commands, as a video.

python -m aim_policy.look EPISODE.hdf5 --out EPISODE.mp4
python -m aim_policy.look data/*.hdf5 --out FOLDER
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from aim_policy.atomic import written_aside
from aim_policy.config import ConfigError
from aim_policy.episode import Episode, read_episode
from aim_policy.events import next_events
from aim_policy.interface import Image
from aim_policy.overlay import ARM_COLOURS, overlay
from aim_policy.plot import BACKGROUND, DIM, TEXT, Colour, CommandPlot, describe
from aim_policy.value_map import Map, peak_px, value_map

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
VIEW_HEIGHT = 360
HEADER_HEIGHT = 84
MARGIN = 14
RING_PX = 12
VISIBLE_HEAT = 0.5


def frames(episode: Episode) -> Iterator[Image]:
    """Draw the episode frame by frame: uint8[H, W, 3], both even."""
    widths = [_view_width(episode, name) for name in episode.cameras]
    width = sum(widths) + MARGIN * (len(widths) + 1)
    width += width % 2
    plot = CommandPlot(episode, width)
    for step in range(len(episode)):
        views = [_view(episode, name, step) for name in episode.cameras]
        below = plot.at(step)
        height = HEADER_HEIGHT + VIEW_HEIGHT + below.height
        page = PillowImage.new('RGB', (width, height + height % 2), BACKGROUND)
        _draw_header(page, episode, step)
        left = MARGIN
        for view in views:
            page.paste(view, (left, HEADER_HEIGHT))
            left += view.width + MARGIN
        page.paste(below, (0, HEADER_HEIGHT + VIEW_HEIGHT))
        yield np.asarray(page)


def write_video(path: Path, episode: Episode) -> None:
    """Write the episode as an MP4 that plays as fast as it was recorded."""
    rate = Fraction(1 / episode.dt_s).limit_denominator(1000)
    pages = frames(episode)
    first = next(pages)
    with written_aside(path) as aside, av.open(str(aside), 'w', format='mp4') as container:
        stream = container.add_stream('libx264', rate=rate, options={'crf': '20'})
        stream.pix_fmt = 'yuv420p'
        stream.height, stream.width = first.shape[:2]
        for frame in chain([first], pages):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode())


def _view_width(episode: Episode, name: str) -> int:
    height, width = episode.cameras[name].size
    return round(width * VIEW_HEIGHT / height)


def _view(episode: Episode, name: str, step: int) -> PillowImage.Image:
    """One camera's newest picture with the map of the frame at which it was taken."""
    track, size = episode.cameras[name], (VIEW_HEIGHT, _view_width(episode, name))
    index = track.latest(step)
    picture = PillowImage.fromarray(track.image(index))
    large = np.asarray(picture.resize(size[::-1], PillowImage.Resampling.BICUBIC))
    arms, taken_at = sorted({event.arm for event in episode.events}), int(track.image_steps[index])
    heats = {arm: value_map(episode, name, taken_at, size=size, arms=[arm]) for arm in arms}
    heat = np.max([np.zeros(size, np.float32), *heats.values()], axis=0)
    view = PillowImage.fromarray(overlay(large, heat))
    draw = ImageDraw.Draw(view, 'RGBA')
    for arm, values in heats.items():
        _draw_ring(draw, values, ARM_COLOURS.get(arm, TEXT))
    label, font = name.replace('_', ' '), ImageFont.load_default(16)
    draw.rectangle((0, 0, draw.textlength(label, font) + 16, 26), fill=(0, 0, 0, 150))
    draw.text((8, 13), label, TEXT, font, anchor='lm')
    return view


def _draw_ring(draw: ImageDraw.ImageDraw, heat: Map, colour: Colour) -> None:
    peak = peak_px(heat)
    if peak is not None and heat.max() > VISIBLE_HEAT:
        for radius, width, shade in ((RING_PX + 1, 5, BACKGROUND), (RING_PX, 3, colour)):
            draw.circle(peak, radius, outline=shade, width=width)


def _draw_header(page: PillowImage.Image, episode: Episode, step: int) -> None:
    draw = ImageDraw.Draw(page)
    large, small = ImageFont.load_default(24), ImageFont.load_default(17)
    name = ' · '.join(filter(None, (episode.task or 'episode', episode.setting)))
    draw.text((MARGIN, 26), name, TEXT, large, anchor='lm')
    room = page.width - 3 * MARGIN - draw.textlength(name, large)
    wording = _shorten(draw, episode.instruction, small, room)
    draw.text((page.width - MARGIN, 26), wording, DIM, small, anchor='rm')
    last = len(episode) - 1
    clock = f'step {step} / {last}   {step * episode.dt_s:.2f} s'
    draw.text((MARGIN, 60), clock, TEXT, small, anchor='lm')
    left = MARGIN + 260
    for arm in sorted({event.arm for event in episode.events}):
        text = f'{arm}: {_upcoming(episode, arm, step)}'
        draw.text((left, 60), text, ARM_COLOURS.get(arm, TEXT), small, anchor='lm')
        left += 380


def _upcoming(episode: Episode, arm: str, step: int) -> str:
    for event in next_events(episode.events, step, [arm]):
        return f'{describe(event)} in {(event.step - step) * episode.dt_s:.2f} s'
    return 'no contact ahead'


def _shorten(draw: ImageDraw.ImageDraw, text: str, font: Font, room: float) -> str:
    if draw.textlength(text, font) <= room:
        return text
    while text and draw.textlength(f'{text}…', font) > room:
        text = text[:-1]
    return f'{text.rstrip()}…'


def _outputs(episodes: Sequence[Path], out: Path) -> list[Path]:
    if out.suffix == '.mp4':
        if len(episodes) > 1:
            raise ConfigError(f'--out is the file {out}, expected a folder for several episodes')
        return [out]
    outputs = [out / f'{path.stem}.mp4' for path in episodes]
    doubled = sorted({str(path) for path in outputs if outputs.count(path) > 1})
    if doubled:
        raise ConfigError(f'several episodes would become {", ".join(doubled)}')
    out.mkdir(parents=True, exist_ok=True)
    return outputs


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog='aim_policy.look', description='episodes as videos')
    parser.add_argument('episodes', nargs='+', type=Path, metavar='EPISODE.hdf5')
    parser.add_argument('--out', required=True, type=Path, help='an .mp4 file, or a folder')
    options = parser.parse_args(arguments)
    try:
        for path, out in zip(
            options.episodes, _outputs(options.episodes, options.out), strict=True
        ):
            write_video(out, read_episode(path))
            print(out)
    except (ConfigError, OSError) as error:
        print(f'aim_policy.look: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
