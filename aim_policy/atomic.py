"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give the name of a file to write; after the block it becomes `path`.

    It lies in the same folder, `path` is replaced if it exists, and if anything fails the written
    part is removed and `path` is as it was. Several may write one file: the last one counts.
    """
    aside = path.with_name(f'.{path.name}.{uuid4().hex[:8]}.part')
    try:
        yield aside
        _flush_to_disk(aside)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _flush_to_disk(path.parent)  # the new name too


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
