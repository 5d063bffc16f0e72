"""Picks what belongs together out of streams that arrive one by one. Knows no present."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aim_policy.interface import Image, Vector
from aim_ros.streams import Stream


def newest_set(
    images: Mapping[str, Stream[Image]],
    joints: Mapping[str, Stream[Vector]],
    slop_ns: int,
    until_ns: float = math.inf,
) -> dict[str, tuple[int, Any]] | str:
    """Return stream -> (stamp, item) of the newest set that lies within the slop, or why none is.

    Joints are the newest that are not after the images. No stream may be empty. Sets that begin
    after `until_ns` do not count.
    """
    oldest_ns = _oldest_of_newest(images, slop_ns, until_ns)
    if oldest_ns is None:
        return _apart(images, slop_ns)
    used = {}
    for name, stream in {**images, **joints}.items():
        found = stream.newest_until(oldest_ns + slop_ns)
        if found is None:
            return f'{name} are all newer than the images'
        if found[0] < oldest_ns - slop_ns:
            gap_s = (oldest_ns - found[0]) / 1e9
            return f'{name} are {gap_s:.3f} s behind the images, allowed {slop_ns / 1e9}'
        used[name] = found
    return used


def _oldest_of_newest(
    images: Mapping[str, Stream[Image]], slop_ns: int, until_ns: float
) -> int | None:
    """Return the latest stamp from which on every camera has an image within the slop."""
    streams = images.values()
    stamps = (s for stream in streams for s in stream.stamps if s <= until_ns)
    for start_ns in sorted(stamps, reverse=True):
        found = [stream.newest_until(start_ns + slop_ns) for stream in streams]
        if all(item is not None and item[0] >= start_ns for item in found):
            return start_ns
    return None


def _apart(images: Mapping[str, Stream[Image]], slop_ns: int) -> str:
    newest = {name: stream.stamps[-1] for name, stream in images.items()}
    first, last = min(newest, key=newest.__getitem__), max(newest, key=newest.__getitem__)
    gap_s = (newest[last] - newest[first]) / 1e9
    return f'{first} is {gap_s:.3f} s behind {last}, allowed {slop_ns / 1e9}'
