import pytest
import torch

from aim_policy.model.attention import attend, look
from aim_policy.model.mask import Group, Place, Rule, Scope, dense_mask, visibility

SCOPE = Scope(visibility())


def place(group, frame, now):
    frame = torch.tensor(frame)
    return Place(group, frame, torch.tensor(now), torch.zeros(len(frame), 3))


def test_table_entry_by_entry():
    """Current frame 2; a chunk planned at 0 (frame 1) and one at 1 (frame 2) were executed."""
    keys = {
        'past o': place(Group.OBSERVED, [0, 1], [0, 1]),
        'o_t': place(Group.OBSERVED, [2], [2]),
        'later o': place(Group.OBSERVED, [3], [3]),
        'executed': place(Group.EXECUTED, [1, 2], [0, 1]),
        'proprio': place(Group.PROPRIO, [2], [2]),
        'x': place(Group.RGB, [3, 4], [2, 2]),
        'm': place(Group.VALUE, [3, 4], [2, 2]),
        'a': place(Group.ACTION, [3, 4], [2, 2]),
        'x of another chunk': place(Group.RGB, [3], [1]),
        'm of another chunk': place(Group.VALUE, [3], [1]),
        'a of another chunk': place(Group.ACTION, [3], [1]),
    }
    seen_by = {
        'o_t': {'past o', 'o_t', 'executed'},
        'x': {'past o', 'o_t', 'executed', 'x'},
        'm': {'past o', 'o_t', 'x', 'm'},
        'a': {'o_t', 'executed', 'proprio', 'm', 'a'},
        'proprio': {'o_t', 'executed', 'proprio'},
    }
    for query, expected in seen_by.items():
        masks = {k: dense_mask(SCOPE, [keys[query]], [key]) for k, key in keys.items()}
        assert {k for k, mask in masks.items() if mask.all()} == expected
        assert {k for k, mask in masks.items() if mask.any()} == expected


def test_executed_actions_see_only_the_frame_they_were_planned_at():
    executed = place(Group.EXECUTED, [1, 1, 2], [0, 0, 1])
    observed = place(Group.OBSERVED, [0, 1, 2], [0, 1, 2])
    to_observed = dense_mask(SCOPE, [executed], [observed])
    assert to_observed.tolist() == [[True, False, False]] * 2 + [[False, True, False]]
    among = dense_mask(SCOPE, [executed], [executed])
    assert among.tolist() == [[True, True, False]] * 2 + [[True] * 3]
    from_observed = dense_mask(SCOPE, [observed], [executed])
    assert from_observed.tolist() == [[False] * 3, [True, True, False], [True] * 3]


def test_history_option_changes_one_entry_of_the_table():
    changed = visibility(history_to_action=True) != visibility()
    assert changed.nonzero().tolist() == [[Group.ACTION, Group.OBSERVED]]
    assert visibility(history_to_action=True)[Group.ACTION, Group.OBSERVED] == Rule.PAST


@pytest.mark.parametrize('reads', [(), ('rgb',), ('rgb', 'value')])
def test_what_a_reads_changes_its_row_alone(reads):
    changed = visibility(action_reads=reads) != visibility()
    rows = {(Group.ACTION, Group.VALUE)} if 'value' not in reads else set()
    rows |= {(Group.ACTION, Group.RGB)} if 'rgb' in reads else set()
    assert {tuple(at) for at in changed.nonzero().tolist()} == rows


def test_unseen_keys_are_left_out_and_the_result_is_that_of_the_mask():
    query = place(Group.ACTION, [3, 3], [2, 2])
    keys = [place(Group.OBSERVED, [1, 2], [1, 2]), place(Group.RGB, [3], [2])]
    sight = look(SCOPE, query, keys)
    assert sight.segments == (0,)
    q = torch.randn(1, 2, 2, 6)
    pairs = [(torch.randn(1, 2, n, 6), torch.randn(1, 2, n, 6)) for n in (2, 1)]
    dense = attend(q, pairs, look(SCOPE, query, keys, dense=True))
    torch.testing.assert_close(attend(q, pairs, sight), dense)
    torch.testing.assert_close(dense, pairs[0][1][:, :, 1:].expand_as(dense))
