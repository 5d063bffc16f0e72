"""Experts whose demonstrations begin anywhere: after a miss, astray, things in wrong hands."""

import numpy as np
import pytest
from scenes import replay

from aim_policy.episode import Episode
from sim_bridge.backend import ramp
from sim_bridge.builtin import BuiltinBackend
from sim_bridge.expert import Expert, Habits
from sim_bridge.recorder import record

pytestmark = pytest.mark.sapien


@pytest.fixture(scope='module')
def backend(robot):
    return BuiltinBackend(robot)


def test_a_demonstration_with_second_attempts_still_succeeds(backend):
    habits = Habits(noise_m=0.015, second_attempt=1.0)
    episode = record(backend, 'beat_block_hammer', 3, 'easy', habits, picture_every=100)
    assert isinstance(episode, Episode)
    plain = record(backend, 'beat_block_hammer', 3, 'easy', Habits(), picture_every=100)
    assert len(episode) > len(plain) + 10
    assert [e.kind for e in episode.events] == [e.kind for e in plain.events]


def rest_of(backend, plain, steps):
    """What the expert shows after so many steps of a demonstration on an easy table."""

    def begin(*scene):
        backend.reset(*scene)
        replay(backend, plain.joint_target[1:steps])

    return record(backend, plain.task, plain.seed, 'easy', Habits(), 100, begin)


@pytest.mark.parametrize(
    ('task', 'arms'),
    [
        ('beat_block_hammer', 1),
        ('adjust_bottle', 1),
        ('grab_roller', 2),
        ('move_pillbottle_pad', 1),
        ('place_empty_cup', 1),
    ],
)
def test_an_expert_goes_on_with_what_it_already_holds(backend, task, arms):
    plain = record(backend, task, 3, 'easy', Habits(), picture_every=100)
    picks = [event for event in plain.events if event.kind == 'pick']
    assert len(picks) == arms
    rest = rest_of(backend, plain, picks[0].step + 5)
    columns = [backend.robot.columns(pick.arm).stop - 1 for pick in picks]
    places = [event.step - 2 for event in rest.events if event.kind == 'place']
    assert rest.joint_target[: min(places, default=None), columns].max() < 0.2  # nothing let go
    assert len(rest) < len(plain) - picks[0].step + 5


@pytest.mark.parametrize('hand', ['left', 'right'])
def test_a_block_that_a_hand_holds_already_is_not_taken_anew(backend, hand):
    plain = record(backend, 'handover_block', 3, 'easy', Habits(), picture_every=100)
    (pick,) = [e for e in plain.events if e.kind == 'pick' and e.arm == hand]
    rest = rest_of(backend, plain, pick.step + 6)
    assert isinstance(rest, Episode), rest
    grip = rest.joint_target[:, backend.robot.columns(hand).stop - 1]
    assert grip[0] < 0.3
    assert np.diff(grip[:10]).max() < 1e-6  # it does not open to take it again
    assert len(rest) < len(plain) - pick.step + 5


@pytest.mark.parametrize('task', ['click_bell', 'beat_block_hammer', 'grab_roller'])
def test_an_expert_does_not_turn_back_on_its_way_down(backend, task):
    plain = record(backend, task, 3, 'easy', Habits(), picture_every=100)
    first = plain.events[0]
    height = plain.endpose[first.arm][: first.step, 2]
    low = int(np.flatnonzero(height > height[-1] + 0.04)[-1]) + 2
    rest = rest_of(backend, plain, low)
    down = rest.endpose[first.arm][: rest.events[0].step, 2]
    assert len(down) > 2
    assert np.diff(down).max() < 0.002


def test_an_expert_opens_grippers_that_closed_on_nothing(backend, robot):
    plain = record(backend, 'grab_roller', 3, 'easy', Habits(), picture_every=100)

    def begin(*scene):
        backend.reset(*scene)
        closed = np.tile(robot.home, (8, 1))
        closed[:, [robot.columns(arm.name).stop - 1 for arm in robot.arms]] = 0.0
        replay(backend, closed)

    rest = record(backend, 'grab_roller', 3, 'easy', Habits(), 100, begin)
    assert isinstance(rest, Episode), rest
    assert [e.kind for e in rest.events] == [e.kind for e in plain.events]
    assert len(rest) < len(plain) + 10


@pytest.mark.parametrize('task', ['click_bell', 'grab_roller'])
def test_a_demonstration_can_begin_where_an_arm_went_astray(backend, task):
    plain = record(backend, task, 3, 'easy', Habits(), picture_every=100)
    astray = record(backend, task, 3, 'easy', Habits(stray=1.0), picture_every=100)
    assert np.abs(astray.joint_target[0] - plain.joint_target[0]).max() > 0.1
    assert astray.cameras['head_camera'].image_steps[0] == 0
    for name, camera in plain.cameras.items():
        assert astray.cameras[name].at_reset == camera.jpeg[0] != astray.cameras[name].jpeg[0]
        assert not camera.at_reset  # it begins there
    assert [e.kind for e in astray.events] == [e.kind for e in plain.events]


def after(backend, task, seed, lead):
    """What the expert shows after `lead(hands, task)` moved the hands on an easy table."""

    def play(action):
        backend.step(*ramp(backend.robot, backend.world.command, action))

    def begin(*scene):
        backend.reset(*scene)
        lead(Expert(backend.world, play), backend.task)

    return record(backend, task, seed, 'easy', Habits(), 100, begin)


def take_with(arm, thing, point, closing, height_m):
    def lead(hands, task):
        held = getattr(task, thing)
        hands.pick(arm, hands.approach(arm, held.position(point), 0.08, closings=[closing]))
        hands.raise_by(height_m, arm)
        assert hands.holds(arm, held)

    return lead


def test_a_hammer_that_the_wrong_arm_holds_is_put_down_and_taken_by_the_other(backend):
    plain = record(backend, 'beat_block_hammer', 3, 'easy', Habits(), picture_every=100)
    (pick,) = [event.arm for event in plain.events if event.kind == 'pick']
    wrong = 'left' if pick == 'right' else 'right'
    lead = take_with(wrong, 'hammer', 'handle', (1.0, 0.0, 0.0), 0.08)
    rest = after(backend, 'beat_block_hammer', 3, lead)
    assert isinstance(rest, Episode), rest
    assert [(e.kind, e.arm) for e in rest.events if e.kind in ('place', 'pick')] == [
        ('place', wrong),
        ('pick', pick),
    ]


def test_a_pot_that_one_hand_holds_up_is_set_down_first(backend):
    lead = take_with('left', 'pot', 'left', (1.0, 0.0, 0.0), 0.04)
    rest = after(backend, 'lift_pot', 3, lead)
    assert isinstance(rest, Episode), rest
    assert {event.arm for event in rest.events if event.kind == 'pick'} == {'left', 'right'}


def test_a_tool_in_hand_can_be_where_a_demonstration_begins(backend):
    rest = record(backend, 'beat_block_hammer', 3, 'easy', Habits(stray=1.0), picture_every=100)
    (event,) = rest.events
    assert event.kind == 'press'
    grip = rest.joint_target[:, backend.robot.columns(event.arm).stop - 1]
    assert grip.max() < 0.2
    assert np.abs(rest.joint_target[0] - rest.joint_target[-1]).max() > 0.1


@pytest.mark.parametrize(('task', 'thing'), [('lift_pot', 'pot'), ('beat_block_hammer', 'hammer')])
def test_things_can_have_been_pushed_before_a_demonstration_begins(backend, task, thing):
    plain = record(backend, task, 3, 'easy', Habits(), picture_every=100)
    pushed = record(backend, task, 3, 'easy', Habits(nudge=1.0), picture_every=100)
    assert isinstance(pushed, Episode), pushed
    moved = pushed.object_pose[thing][0] - plain.object_pose[thing][0]
    assert np.linalg.norm(moved[:2]) > 0.01
    assert abs(moved[2]) < 0.005
    np.testing.assert_array_equal(pushed.joint_target[0], backend.robot.home)
    assert [e.kind for e in pushed.events] == [e.kind for e in plain.events]


@pytest.mark.parametrize('beside_m', [(0.02, 0, 0), (-0.02, 0, 0), (0, 0.02, 0), (0, -0.02, 0)])
def test_a_grasp_that_errs_leaves_a_pill_bottle_standing(backend, beside_m):
    def lead(hands, task):
        cap = task.bottle.position('cap') + beside_m
        hands.pick(task.arm, hands.approach(task.arm, cap, 0.10, tilts_deg=(67,)))
        assert task.bottle.pose.to_transformation_matrix()[2, 2] > 0.99

    assert isinstance(after(backend, 'move_pillbottle_pad', 3, lead), Episode)
