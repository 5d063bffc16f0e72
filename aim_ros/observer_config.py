"""Settings of the observer."""

from __future__ import annotations

from dataclasses import dataclass

from aim_ros.options import check_options, option


@dataclass(frozen=True)
class ObserverConfig:
    """What counts as consistent; parameters `sync.*`."""

    slop_s: float = option(
        0.03, 'images and joints of one observation lie no further apart', low=0.0, high=10.0
    )
    max_age_s: float = option(
        0.5, 'of anything used, against the present; 0: not checked', low=0.0, high=60.0
    )
    queue_size: int = option(10, 'images kept per camera', low=1, high=1000)
    time_source: str = option(
        'header',
        'which time counts: header, when it was captured; or receive, when it arrived',
        choices=('header', 'receive'),
    )
    state_source: str = option(
        'measured',
        'what the policy sees as its joints: measured, or commanded',
        choices=('measured', 'commanded'),
    )
    max_frozen_s: float = option(
        0.0,
        'a camera that shows the same picture, to the bit, for so long is broken; 0: not checked',
        low=0.0,
        high=600.0,
    )

    def __post_init__(self) -> None:
        check_options(self)
