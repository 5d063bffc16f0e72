"""What comes of an attack by `aim_ros.fuzz`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Report:
    """Figures and faults.

    Attributes:
        sent: topic -> messages.
        broken: messages whose bytes were no message any more.
        let_through: motions that passed the gate, or were taken by a controller.
        growth_mb: of the process's memory over the second half.
        faults: what must not happen.
    """

    sent: dict[str, int] = field(default_factory=dict)
    broken: int = 0
    let_through: int = 0
    growth_mb: float = 0.0
    faults: list[str] = field(default_factory=list)
