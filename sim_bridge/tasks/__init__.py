"""The table of tasks: RoboTwin 2.0's names; a class for each that the builtin backend has.

The classes need SAPIEN; this table does not, so that launch files and help texts can list it.
"""

from __future__ import annotations

import importlib
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
    """

    where: str
    step_limit: int = 400


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
    'probe_two_bells': TaskEntry('press:ProbeTwoBells'),
    'stack_blocks_two': TaskEntry('stack:StackBlocksTwo', 800),
    'turn_switch': TaskEntry('hinge:TurnSwitch'),
}


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
