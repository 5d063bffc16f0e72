"""Settings of the gate and of how chunks are joined."""

from __future__ import annotations

from dataclasses import dataclass

from aim_ros.options import check_options, option

BLENDS = ('replace', 'crossfade', 'rtc')


@dataclass(frozen=True)
class GateConfig:
    """What the gate lets through; parameters `safety.*`."""

    execute_steps: int = option(
        8, 'rows of a chunk to execute before the next inference', low=1, high=1000
    )
    max_start_jump_rad: float = option(
        0.3,
        'from the last command, and at rest from the measured pose, to the first row; '
        'grippers excluded',
        low=1e-3,
        high=10.0,
    )
    max_tracking_error_rad: float = option(
        0.5,
        'from the measured pose to what was commanded for then; grippers excluded',
        low=1e-3,
        high=10.0,
    )
    start_ramp: bool = option(
        False, 'after a start jump beyond the limit, approach slowly instead of rejecting'
    )
    start_ramp_scale: float = option(
        0.1, 'share of the speed limits that such an approach may use', low=0.01, high=1.0
    )
    limit_policy: str = option(
        'clamp',
        'beyond a position limit: clamp within the margin, or reject at once',
        choices=('clamp', 'reject'),
    )
    limit_margin_rad: float = option(
        0.05, 'joints further out than this are rejected in any case', low=0.0, high=1.0
    )
    limit_margin_gripper: float = option(
        0.25, 'the same for grippers, in openings', low=0.0, high=1.0
    )
    max_age_s: float = option(
        2.0, 'oldest observation that a chunk may come from', low=0.01, high=60.0
    )
    min_lead_steps: int = option(
        1, 'rows due sooner than this many steps from now are left out', low=0, high=100
    )
    velocities: str = option(
        'none',
        'none, or finite_difference for controllers that shall interpolate smoothly',
        choices=('none', 'finite_difference'),
    )
    max_velocity_scale: float = option(
        1.0, "share of the robot's speed limits that may be used", low=0.01, high=1.0
    )
    min_value_peak: float = option(
        0.0,
        'hold still unless a value map is this high somewhere; 0: move anyway',
        low=0.0,
        high=1.0,
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class ChunkConfig:
    """How one chunk follows another in realtime; parameters `chunk.*`."""

    blend: str = option(
        'replace',
        'replace: the new chunk takes over; crossfade: over some steps; rtc: the policy continues '
        'what is already promised (real-time chunking)',
        choices=BLENDS,
    )
    crossfade_steps: int = option(4, 'rows that mix both chunks in crossfade', low=1, high=100)
    publish_steps: int = option(
        0, 'rows of a chunk to send at most, the longest blind motion; 0: all', low=0, high=1000
    )

    def __post_init__(self) -> None:
        check_options(self)
