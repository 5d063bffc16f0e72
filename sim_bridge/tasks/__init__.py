"""The table of tasks: RoboTwin 2.0's names; a class for each that the builtin backend has.

The classes need SAPIEN; this table does not, so that launch files and help texts can list it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aim_policy.config import unknown_name

if TYPE_CHECKING:
    from sim_bridge.tasks.base import Task


@dataclass(frozen=True)
class TaskEntry:
    """What is known of a task without loading it.

    Attributes:
        where: 'module:Class' under `sim_bridge.tasks`.
        step_limit: policy steps until an episode counts as failed.
        probe: made to test one ability, not one of RoboTwin's tasks.
    """

    where: str
    step_limit: int = 400
    probe: bool = False


TASKS = {
    'adjust_bottle': TaskEntry('reorient:AdjustBottle'),
    'beat_block_hammer': TaskEntry('tool:BeatBlockHammer'),
    'click_alarmclock': TaskEntry('press:ClickAlarmclock'),
    'click_bell': TaskEntry('press:ClickBell'),
    'grab_roller': TaskEntry('dual:GrabRoller'),
    'handover_block': TaskEntry('handover:HandoverBlock', step_limit=800),
    'lift_pot': TaskEntry('dual:LiftPot'),
    'move_pillbottle_pad': TaskEntry('place:MovePillbottlePad'),
    'place_cans_plasticbox': TaskEntry('place:PlaceCansPlasticbox', 800),
    'place_empty_cup': TaskEntry('place:PlaceEmptyCup', 500),
    'probe_two_bells': TaskEntry('press:ProbeTwoBells', probe=True),
    'stack_blocks_two': TaskEntry('stack:StackBlocksTwo', 800),
    'turn_switch': TaskEntry('hinge:TurnSwitch'),
}


def tasks_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the tasks that are named; 'all' stands for RoboTwin's, without the probes.

    Raises:
        ConfigError: an unknown name.
    """
    every = [name for name, entry in sorted(TASKS.items()) if not entry.probe]
    found = [task for name in names for task in (every if name == 'all' else [name])]
    for task in found:
        task_entry(task)
    return tuple(dict.fromkeys(found))


def task_entry(name: str) -> TaskEntry:
    """Look a task up.

    Raises:
        ConfigError: no such task; lists those that exist and the nearest.
    """
    if name not in TASKS:
        raise unknown_name('task', name, TASKS)
    return TASKS[name]


def task_class(name: str) -> type[Task]:
    """Import the class of a task."""
    module, cls = task_entry(name).where.split(':')
    return getattr(importlib.import_module(f'sim_bridge.tasks.{module}'), cls)
