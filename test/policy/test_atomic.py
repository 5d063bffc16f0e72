"""Files that appear whole or not at all."""

import pytest

from aim_policy.atomic import written_aside


def test_two_who_write_one_file_do_not_meet(tmp_path):
    """As two trainings do that are begun at once and share a cache."""
    path = tmp_path / 'file'
    with written_aside(path) as one:
        one.write_text('one')
        with written_aside(path) as other:
            other.write_text('other')
        assert path.read_text() == 'other'
    assert path.read_text() == 'one'
    assert list(tmp_path.iterdir()) == [path]


def fill_a_disk(path):
    with written_aside(path) as aside:
        aside.write_text('half')
        raise OSError('disk is full')


def test_what_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / 'file'
    path.write_text('before')
    with pytest.raises(OSError, match='full'):
        fill_a_disk(path)
    assert path.read_text() == 'before'
    assert list(tmp_path.iterdir()) == [path]
