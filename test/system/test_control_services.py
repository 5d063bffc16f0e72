"""People run the simulation: by our own services, and by those of the standard where it is."""

import pytest
from nodes import BIN
from std_srvs.srv import SetBool

from aim_ros import convert
from aim_ros.msg import EpisodeStatus
from aim_ros.srv import ResetEpisode, StepSimulation

pytestmark = pytest.mark.ros
BRIDGE = BIN / 'bridge_node'


@pytest.fixture
def bridge(start, listener):
    """A bridge on the fake world in realtime, waiting for an episode."""
    return start(str(BRIDGE), '--ros-args', '-p', 'backend:=fake', '-p', 'execution:=realtime')


def begin(listener):
    fields = {'task': 'click_bell', 'setting': 'easy', 'seed': 3}
    response = listener.call(ResetEpisode, 'sim_bridge/reset_episode', **fields)
    assert response.success, response.message


def test_a_paused_simulation_moves_by_steps(bridge, listener, robot):
    listener.listen(EpisodeStatus, 'episode_status')
    step, pause = (StepSimulation, 'sim_bridge/step'), (SetBool, 'sim_bridge/pause')
    assert listener.call(*step).message == 'no episode was started'
    begin(listener)
    assert listener.call(*step).message == 'the simulation is not paused'
    assert listener.call(*pause, data=True).success
    first, second = (listener.call(*step, steps=count).stamp for count in (1, 4))
    assert convert.to_ns(second) - convert.to_ns(first) == 4 * robot.dt_ns
    seen = listener.wait('episode_status', lambda message: message.header.stamp == second)
    assert listener.call(*pause, data=False).success
    listener.wait('episode_status', lambda message: message.step > seen.step + 3)


def test_the_standard_services_do_the_same(bridge, listener):
    messages = pytest.importorskip('simulation_interfaces.msg')
    services = pytest.importorskip('simulation_interfaces.srv')
    state, done = messages.SimulationState, messages.Result.RESULT_OK

    def ask(name, **fields):
        snake = ''.join(f'_{c.lower()}' if c.isupper() else c for c in name).lstrip('_')
        return listener.call(getattr(services, name), snake, **fields)

    features = ask('GetSimulatorFeatures').features.features
    assert messages.SimulatorFeatures.STEP_SIMULATION_MULTIPLE in features
    assert ask('GetSimulationState').state.state == state.STATE_NO_WORLD
    assert (
        ask('GetCurrentWorld').result.result == services.GetCurrentWorld.Response.NO_WORLD_LOADED
    )
    world = messages.Resource(uri='click_bell?setting=easy&seed=5')
    loaded = ask('LoadWorld', world_resource=world)
    assert (loaded.result.result, loaded.world.name) == (done, 'click_bell')
    assert ask('StepSimulation').result.result == messages.Result.RESULT_INCORRECT_STATE
    paused = state(state=state.STATE_PAUSED)
    assert ask('SetSimulationState', state=paused).result.result == done
    assert ask('GetSimulationState').state.state == state.STATE_PAUSED
    assert ask('StepSimulation', steps=3).result.result == done
    scope = services.ResetSimulation.Request
    assert ask('ResetSimulation', scope=scope.SCOPE_STATE).result.result == done
    unsupported = messages.Result.RESULT_FEATURE_UNSUPPORTED
    assert ask('ResetSimulation', scope=scope.SCOPE_TIME).result.result == unsupported
    assert 'click_bell' in [world.name for world in ask('GetAvailableWorlds').worlds]
    wrong = ask('LoadWorld', world_resource=messages.Resource(uri='fold_laundry'))
    assert 'unknown task' in wrong.result.error_message
