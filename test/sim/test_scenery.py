"""The hard setting: what its switches change, and what they must leave alone."""

import numpy as np
import pytest

from sim_bridge import patterns
from sim_bridge.backend import SETTINGS, SWITCHES
from sim_bridge.builtin import BuiltinBackend, random_stream
from sim_bridge.clutter import EDGE_M, GAP_M, MOST, TALL_M, fits
from sim_bridge.distractors import COLOURS, KINDS, Shape
from sim_bridge.scenery import PLAIN, Scenery, draw_scenery
from sim_bridge.textures import SEEN, UNSEEN, evaluation_palette, training_palette
from sim_bridge.world import World

pytestmark = pytest.mark.sapien
TASKS = ('beat_block_hammer', 'probe_two_bells')


@pytest.fixture(scope='module')
def backend(robot):
    return BuiltinBackend(robot)


def scenery(setting, seed):
    return draw_scenery(SETTINGS[setting], lambda name: random_stream(seed, name), seed)


def poses(backend):
    return {name: (thing.pose.p, thing.pose.q) for name, thing in backend.world.things.items()}


def test_easy_is_plain_and_hard_is_everything():
    assert SETTINGS['easy'] == ()
    assert set(SETTINGS['hard']) == set(SWITCHES)
    assert scenery('easy', 7) == PLAIN


@pytest.mark.parametrize('setting', sorted(set(SETTINGS) - {'easy'}))
@pytest.mark.parametrize('task', TASKS)
def test_a_switch_moves_no_object_of_the_task(backend, task, setting):
    backend.reset(task, 11, 'easy')
    easy = poses(backend)
    backend.reset(task, 11, setting)
    lowered = [0, 0, scenery(setting, 11).table_bias_m]
    for name, (position, turn) in poses(backend).items():
        assert np.allclose(position - lowered, easy[name][0], atol=1e-3), name
        assert abs(np.dot(turn, easy[name][1])) > 0.9999, name


def test_a_switch_draws_the_same_alone_as_together(backend):
    hard = scenery('hard', 5)
    assert np.array_equal(scenery('background', 5).table_picture, hard.table_picture)
    assert scenery('light', 5).lights == hard.lights
    assert scenery('table_height', 5).table_bias_m == hard.table_bias_m
    backend.reset('click_bell', 5, 'hard')
    together = [thing.pose.p[:2] for thing in backend.clutter]
    backend.reset('click_bell', 5, 'clutter')
    assert np.allclose(together, [thing.pose.p[:2] for thing in backend.clutter], atol=1e-3)


def test_training_and_evaluation_share_no_texture():
    assert not set(patterns.TRAINING) & set(patterns.EVALUATION)
    rng = np.random.default_rng(0)
    seen, unseen = (
        np.concatenate([palette(rng) for _ in range(300)])
        for palette in (training_palette, evaluation_palette)
    )
    assert np.linalg.norm(seen[:, None] - unseen, axis=-1).min() > 0.08
    seen = {SEEN.picture(number).tobytes() for number in range(200)}
    unseen = {UNSEEN.picture(number).tobytes() for number in range(40)}
    assert (len(seen), len(unseen)) == (200, 40)
    assert not seen & unseen


@pytest.mark.parametrize(('seed', 'pictures'), [(99_999, SEEN), (100_000, UNSEEN)])
def test_the_seed_decides_which_textures_are_used(seed, pictures):
    rng = random_stream(seed, 'background')
    rng.random()  # plain or not
    assert np.array_equal(scenery('background', seed).table_picture, pictures.draw(rng))


def test_a_texture_continues_over_its_edges():
    """A seam every 60 cm would be a landmark."""
    for pattern in (patterns.clouds, patterns.marble, patterns.gradient):
        for field in pattern(np.random.default_rng(0)):
            seam = np.abs(field[:, 0] - field[:, -1]).mean()
            assert seam < 2 * np.abs(np.diff(field, axis=1)).mean() + 0.004


def test_draws_have_the_ranges_of_robotwin():
    heights = np.array([scenery('table_height', seed).table_bias_m for seed in range(400)])
    assert -0.03 <= heights.min() < -0.028
    assert -0.002 < heights.max() <= 0
    lit = [scenery('light', seed) for seed in range(400)]
    lights = np.array([s.lights for s in lit])
    assert lights.min() >= 0
    assert lights.max() <= 1
    assert np.allclose(lights.mean(axis=0), 0.5, atol=0.06)
    assert 0 < np.mean([s.flicker is not None for s in lit]) < 0.06


def test_few_surfaces_are_plain():
    drawn = [scenery('background', seed) for seed in range(60)]
    plain = [p is None for s in drawn for p in (s.table_picture, s.wall_picture)]
    assert 0 < np.mean(plain) < 0.08


def test_clutter_stays_where_it_may_stand(backend):
    for seed in range(4):
        backend.reset('click_bell', seed, 'clutter')
        assert len(backend.clutter) <= MOST
        places = np.array([thing.pose.p for thing in backend.clutter])
        assert np.all(np.abs(places[:, :2]) < EDGE_M)
        assert np.all(np.abs(places[:, 2] - backend.world.table_z_m) < 0.005), 'fell or tipped'
        x, y, radius = backend.task.keep_clear()[0]
        assert np.all(np.hypot(places[:, 0] - x, places[:, 1] - y) > radius + GAP_M)
        assert not set(backend.world.things) & {thing.name for thing in backend.clutter}
    assert len(backend.clutter) > 4


def test_clutter_keeps_off_edges_circles_and_the_front():
    low, tall = Shape((), 0.05, 0.03), Shape((), 0.05, TALL_M + 0.01)
    assert fits(low, 0.0, -0.2, [])
    assert not fits(low, 0.56, 0.0, [])
    assert not fits(low, 0.0, 0.30, [])
    assert not fits(low, 0.0, -0.2, [(0.1, -0.2, 0.05)])
    assert not fits(tall, 0.0, 0.04, [])
    assert fits(tall, 0.0, 0.06, [])


@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: kind.make.__name__)
def test_a_distractor_fits_the_circle_and_the_height_that_it_claims(kind):
    for seed in range(5):
        shape = kind.make(np.random.default_rng(seed), COLOURS[0])
        for part in shape.parts:
            corners = extent(part)
            assert np.hypot(corners[:, 0], corners[:, 1]).max() <= shape.radius + 1e-3
            assert corners[:, 2].max() <= shape.height + 2e-3
            assert corners[:, 2].min() >= -1e-6


def extent(part):
    if hasattr(part, 'half_size'):
        signs = np.stack(np.meshgrid(*[(-1, 1)] * 3), axis=-1).reshape(-1, 3)
        points = signs * part.half_size
    else:
        points = part.mesh(segments=16)[0]
    matrix = part.at.to_transformation_matrix()
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def test_nothing_on_the_table_looks_like_what_the_task_is_about(backend):
    names = {word for kind in KINDS for word in kind.like}
    assert {'bell', 'block', 'cup', 'can', 'bottle', 'pad'} <= names
    for word in names:
        assert len([kind for kind in KINDS if word not in kind.like]) >= 10


def play(robot, look):
    world = World(robot, look)
    pictures = [world.render()['head_camera'].astype(int) for _ in range(2)]
    world.settle(20)
    return pictures, world.model.state().position


def test_flicker_changes_pictures_and_nothing_else(robot):
    steady, still = play(robot, PLAIN)
    once, same = play(robot, Scenery(flicker=np.random.default_rng(0)))
    again, _ = play(robot, Scenery(flicker=np.random.default_rng(0)))
    assert np.array_equal(steady[0], steady[1])
    assert np.abs(once[0] - once[1]).mean() > 1
    assert np.array_equal(once, again)
    assert np.array_equal(still, same)


def test_textures_and_lights_are_seen(backend):
    pictures = {}
    for setting in ('easy', 'background', 'light'):
        backend.reset('click_bell', 3, setting)
        pictures[setting] = backend.render()['head_camera'].astype(int)
    assert np.abs(pictures['background'] - pictures['easy']).mean() > 10
    assert np.abs(pictures['light'] - pictures['easy']).mean() > 2
