"""The services of simulation_interfaces, the standard of Gazebo, Isaac Sim and O3DE.

The package is imported on use. A world is a task; its URI is `click_bell?setting=easy&seed=7`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from rclpy.node import Node

from aim_policy.config import ConfigError
from aim_ros.ros_util import serve_apart
from aim_ros.srv import ResetEpisode
from sim_bridge.backend import Episode
from sim_bridge.brake import WrongState
from sim_bridge.runner import Runner
from sim_bridge.sim_loop import SimLoop
from sim_bridge.tasks import TASKS

MISSING = 'simulation_interfaces is not installed: reset, pause and step by our own services only'
SERVICES = (
    'GetSimulatorFeatures',
    'GetSimulationState',
    'SetSimulationState',
    'ResetSimulation',
    'StepSimulation',
    'LoadWorld',
    'GetCurrentWorld',
    'GetAvailableWorlds',
)
FEATURES = (
    'SIMULATION_RESET',
    'SIMULATION_RESET_STATE',
    'SIMULATION_STATE_GETTING',
    'SIMULATION_STATE_SETTING',
    'SIMULATION_STATE_PAUSE',
    'STEP_SIMULATION_SINGLE',
    'STEP_SIMULATION_MULTIPLE',
    'WORLD_LOADING',
    'WORLD_INFO_GETTING',
    'AVAILABLE_WORLDS',
)


class Unsupported(Exception):
    """Something of the standard that this simulator does not do."""


class StandardServices:
    """Offers what of the standard the installed version knows and this simulator does."""

    def __init__(
        self,
        node: Node,
        runner: Runner,
        reset: Callable[[ResetEpisode.Request, SimLoop], tuple[Episode, int]],
    ) -> None:
        """See `sim_bridge.control_services.ControlServices`."""
        self._node, self._runner, self._reset = node, runner, reset
        found = simulation_messages()
        if found is None:
            node.get_logger().info(MISSING)
            return
        self._messages = found.msg
        for name in SERVICES:
            kind = getattr(found.srv, name, None)  # older versions lack some
            if kind:
                answer = getattr(self, f'_{snake_case(name)}')
                serve_apart(node, kind, snake_case(name), self._answering(answer))

    def _answering(self, answer: Callable[[Any, Any], int | None]) -> Callable[[Any, Any], Any]:
        codes = self._messages.Result

        def callback(request: Any, response: Any) -> Any:
            result = getattr(response, 'result', None)  # asking for features has none
            code, text = codes.RESULT_OK, ''
            try:
                code = answer(request, response) or code
            except Unsupported as error:
                code, text = codes.RESULT_FEATURE_UNSUPPORTED, str(error)
            except WrongState as error:
                code, text = codes.RESULT_INCORRECT_STATE, str(error)
            except ConfigError as error:
                code, text = codes.RESULT_OPERATION_FAILED, str(error)
            except Exception as error:  # whatever breaks in a simulator: the caller must hear
                self._node.get_logger().error(traceback.format_exc())
                code, text = codes.RESULT_OPERATION_FAILED, f'{type(error).__name__}: {error}'
            if result is not None:
                result.result, result.error_message = code, text
            return response

        return callback

    def _get_simulator_features(self, request: Any, response: Any) -> None:
        known = self._messages.SimulatorFeatures
        codes = [getattr(known, name) for name in FEATURES if hasattr(known, name)]
        response.features = known(features=codes, custom_info='aim_ros sim_bridge')

    def _get_simulation_state(self, request: Any, response: Any) -> None:
        response.state.state = self._state()

    def _state(self) -> int:
        states = self._messages.SimulationState
        if self._episode() is None:
            return getattr(states, 'STATE_NO_WORLD', states.STATE_STOPPED)
        return states.STATE_PAUSED if self._runner.brake.on else states.STATE_PLAYING

    def _set_simulation_state(self, request: Any, response: Any) -> int | None:
        states, brake = self._messages.SimulationState, self._runner.brake
        wanted = request.state.state
        if self._episode() is None:
            return response.INCORRECT_TRANSITION
        if wanted == self._state():
            return response.ALREADY_IN_TARGET_STATE
        if wanted == states.STATE_PLAYING:
            self._runner.submit(lambda _: brake.release()).result()
        elif wanted == states.STATE_PAUSED:
            self._runner.submit(lambda _: brake.pull()).result()
        elif wanted == states.STATE_STOPPED:
            self._runner.submit(lambda _: brake.pull()).result()
            self._again()
        else:
            raise Unsupported(f'state {wanted} cannot be asked for')
        return None

    def _reset_simulation(self, request: Any, response: Any) -> None:
        # Who asks for no scope gets what there is; who asks for time to go back must hear no.
        if request.scope & request.SCOPE_TIME:
            raise Unsupported('simulated time never goes back, expected SCOPE_STATE')
        self._again()

    def _step_simulation(self, request: Any, response: Any) -> None:
        self._runner.step(request.steps)

    def _load_world(self, request: Any, response: Any) -> None:
        newer = hasattr(request, 'world_resource')  # since 2.1
        self._begin(parse_world(request.world_resource.uri if newer else request.uri))
        self._get_current_world(request, response)

    def _get_current_world(self, request: Any, response: Any) -> int | None:
        episode = self._episode()
        if episode is None:
            return response.NO_WORLD_LOADED
        response.world = self._world(episode)
        return None

    def _get_available_worlds(self, request: Any, response: Any) -> None:
        response.worlds = [self._messages.WorldResource(name=task) for task in sorted(TASKS)]
        for world in response.worlds:
            world.world_resource.uri = world.name

    def _world(self, episode: Episode) -> Any:
        world = self._messages.WorldResource(name=episode.task, description=episode.instruction)
        query = urlencode({'setting': episode.setting, 'seed': episode.seed})
        world.world_resource.uri = f'{episode.task}?{query}'
        return world

    def _episode(self) -> Episode | None:
        return self._runner.submit(lambda loop: loop.episode).result()

    def _again(self) -> None:
        episode = self._episode()
        if episode is None:
            raise WrongState('no episode was started')
        names = {'task': episode.task, 'setting': episode.setting, 'seed': episode.seed}
        self._begin(ResetEpisode.Request(**names))

    def _begin(self, request: ResetEpisode.Request) -> None:
        self._runner.submit(lambda loop: self._reset(request, loop)).result()


def simulation_messages() -> ModuleType | None:
    """Return the package simulation_interfaces, or None where it is not installed."""
    try:
        import simulation_interfaces.msg
        import simulation_interfaces.srv
    except ModuleNotFoundError:
        return None
    return simulation_interfaces


def snake_case(name: str) -> str:
    """LoadWorld -> load_world."""
    return ''.join(f'_{c.lower()}' if c.isupper() else c for c in name).lstrip('_')


def parse_world(uri: str) -> ResetEpisode.Request:
    """Return what a world's URI stands for.

    Raises:
        ConfigError: an unknown part.
    """
    parts = urlsplit(uri)
    options = {'setting': 'easy', 'seed': '0', **dict(parse_qsl(parts.query))}
    unknown = sorted(set(options) - {'setting', 'seed'})
    if unknown or not options['seed'].isdecimal():
        raise ConfigError(f'world "{uri}", expected a task like click_bell?setting=easy&seed=7')
    return ResetEpisode.Request(
        task=parts.path, setting=options['setting'], seed=int(options['seed'])
    )
