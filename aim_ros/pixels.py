"""What an Image message holds, as an array. Takes any object with its fields: needs no ROS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aim_policy.config import ConfigError
from aim_policy.interface import Image

ENCODINGS = {  # encoding -> channels, order of channels that makes RGB
    'rgb8': (3, (0, 1, 2)),
    'bgr8': (3, (2, 1, 0)),
    'rgba8': (4, (0, 1, 2)),
    'bgra8': (4, (2, 1, 0)),
    'mono8': (1, (0, 0, 0)),
}
FLOAT_ENCODINGS = {'32FC1': 'f4', '16UC1': 'u2'}


def from_image(message: Any) -> Image:
    """Image -> uint8[H, W, 3] RGB.

    Raises:
        ConfigError: an encoding that is no 8-bit colour or grey, or too few bytes.
    """
    if message.encoding not in ENCODINGS:
        known = ', '.join(ENCODINGS)
        raise ConfigError(f'image encoding is "{message.encoding}", expected one of {known}')
    channels, order = ENCODINGS[message.encoding]
    row, size = message.width * channels, message.height * message.step
    if message.step < row or len(message.data) < size:
        found = f'step {message.step} and {len(message.data)} bytes'
        expected = f'{message.width} x {message.height} {message.encoding}'
        raise ConfigError(f'image has {found}, too few for {expected}')
    rows = np.frombuffer(message.data, np.uint8, size).reshape(message.height, message.step)
    pixels = rows[:, :row].reshape(message.height, message.width, channels)
    return pixels if order == (0, 1, 2) and channels == 3 else pixels[..., order]


def from_float_image(message: Any) -> NDArray[np.float32]:
    """Image 32FC1, or 16UC1 in thousandths with 0 for nothing -> float32[H, W].

    Raises:
        ConfigError: another encoding, or too few bytes.
    """
    if message.encoding not in FLOAT_ENCODINGS:
        known = ', '.join(FLOAT_ENCODINGS)
        raise ConfigError(f'image encoding is "{message.encoding}", expected one of {known}')
    kind = np.dtype(FLOAT_ENCODINGS[message.encoding])
    kind = kind.newbyteorder('>' if message.is_bigendian else '<')
    row, size = message.width * kind.itemsize, message.height * message.step
    if message.step < row or len(message.data) < size:
        found = f'step {message.step} and {len(message.data)} bytes'
        expected = f'{message.width} x {message.height} {message.encoding}'
        raise ConfigError(f'image has {found}, too few for {expected}')
    rows = np.frombuffer(message.data, np.uint8, size).reshape(message.height, message.step)
    values = np.ascontiguousarray(rows[:, :row]).view(kind)
    if message.encoding == '32FC1':
        return values.astype(np.float32, copy=False)
    return np.where(values > 0, values / np.float32(1000), np.float32(np.nan))
