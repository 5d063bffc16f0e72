"""Typed reading of HDF5 datasets: what is missing or of another kind is named."""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np

from aim_policy.events import EpisodeError
from aim_policy.interface import Vector


def numbers(file: h5py.File, name: str, ndim: int) -> Vector:
    """Read an array of `ndim` dimensions as float64."""
    found = _dataset(file, name, 'fiu', 'numbers')
    if found.ndim != ndim:
        raise EpisodeError(f'{name} has shape {found.shape}, expected {ndim} dimensions')
    return found[()].astype(np.float64)


def pictures(file: h5py.File, name: str) -> tuple[bytes, ...]:
    """Read a list of byte strings, without the zeros that pad them to one length."""
    found = _dataset(file, name, 'SO', 'JPEG bytes')
    if found.ndim != 1:
        raise EpisodeError(f'{name} has shape {found.shape}, expected (T,)')
    return tuple(bytes(data) for data in found[()])


def text(file: h5py.File, name: str) -> str:
    """Read one string."""
    value = np.asarray(_dataset(file, name, 'SO', 'text')[()]).flat[0]
    return _decode(value)


def word(attributes: h5py.AttributeManager, name: str, default: str | None = None) -> str:
    """Read a string attribute.

    Raises:
        KeyError: it is not there and has no default.
    """
    if default is not None and name not in attributes:
        return default
    return _decode(attributes[name])


def parse_json(content: str, kind: type, where: str) -> Any:
    """Parse JSON text whose outermost value is a `kind`."""
    try:
        value = json.loads(content)
    except ValueError as error:
        raise EpisodeError(f'{where} is no JSON: {error}') from error
    if not isinstance(value, kind):
        raise EpisodeError(f'{where} is a {type(value).__name__}, expected a {kind.__name__}')
    return value


def _decode(value: Any) -> str:
    return value.decode(errors='replace') if isinstance(value, bytes) else str(value)


def _dataset(file: h5py.File, name: str, kinds: str, expected: str) -> h5py.Dataset:
    found = file.get(name)
    if found is None:
        raise EpisodeError(f'{name} is missing')
    if not isinstance(found, h5py.Dataset):
        raise EpisodeError(f'{name} is a group, expected {expected}')
    if found.dtype.kind not in kinds or not found.size:
        raise EpisodeError(f'{name} is {found.dtype}{list(found.shape)}, expected {expected}')
    return found
