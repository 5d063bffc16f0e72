"""Episodes as videos."""

import av
import numpy as np

from aim_policy import look
from aim_policy.episode import write_episode


def decode(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]


def test_video_has_every_frame_and_its_duration(tmp_path, make_episode):
    write_episode(tmp_path / 'episode0.hdf5', make_episode(8))
    assert look.main([f'{tmp_path}/episode0.hdf5', '--out', f'{tmp_path}/seen.mp4']) == 0
    shown = decode(tmp_path / 'seen.mp4')
    assert len(shown) == 30
    with av.open(str(tmp_path / 'seen.mp4')) as container:
        assert float(container.streams.video[0].average_rate) * 0.06 == 1
    assert np.abs(shown[0].astype(int) - shown[-1]).max() > 100


def test_map_is_drawn_where_the_contact_comes(episode):
    first = next(look.frames(episode))
    last = list(look.frames(episode))[-1]
    change = np.abs(first.astype(int) - last)[: look.HEADER_HEIGHT + look.VIEW_HEIGHT]
    assert change[look.HEADER_HEIGHT :, : look.MARGIN].max() == 0
    assert change.max() > 100


def test_folder_gets_one_video_per_episode(tmp_path, make_episode):
    files = [tmp_path / f'episode{i}.hdf5' for i in range(2)]
    for file in files:
        write_episode(file, make_episode(8))
    assert look.main([*map(str, files), '--out', f'{tmp_path}/videos']) == 0
    found = sorted(file.name for file in (tmp_path / 'videos').iterdir())
    assert found == ['episode0.mp4', 'episode1.mp4']


def test_mistakes_end_as_one_line(tmp_path, capsys):
    assert look.main([f'{tmp_path}/none.hdf5', '--out', f'{tmp_path}/seen.mp4']) == 2
    assert capsys.readouterr().err == f'aim_policy.look: {tmp_path}/none.hdf5: no such file\n'
    assert not list(tmp_path.iterdir())
