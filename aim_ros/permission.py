"""Who allows the arms to move: the life cycle, the operator and the emergency stop.

This stop is software. It is no safety function and replaces no button that cuts the power.
"""

from __future__ import annotations


class Permission:
    """What is allowed; each of the three can only take from the others.

    Attributes:
        active: whether the node was activated.
        control_enabled: whether the operator lets it move the arms.
        estop_reason: who stopped it, '' if nobody did.
    """

    def __init__(self, control_enabled: bool) -> None:
        """Start inactive."""
        self.active = False
        self.control_enabled = control_enabled
        self.estop_reason = ''
        self._estop_held = False

    @property
    def may_move(self) -> bool:
        """Whether trajectories may leave."""
        return self.active and self.control_enabled and not self.estop_reason

    @property
    def refusal(self) -> str:
        """Why no run may begin, '' if one may."""
        if not self.active:
            return 'the node is not active'
        if self.estop_reason:
            return f'{self.estop_reason}; call ~/clear_estop first'
        return ''

    def hear_estop(self, pressed: bool) -> bool:
        """Take note of the emergency stop's topic; whether it was pressed just now."""
        self._estop_held = pressed
        return pressed and self.stop('the emergency stop was pressed')

    def stop(self, reason: str) -> bool:
        """Stop until `clear_estop`; whether that is new."""
        new = not self.estop_reason
        self.estop_reason = self.estop_reason or reason
        return new

    def clear_estop(self) -> str:
        """Allow motion again; returns why that is not possible, '' if it is done."""
        if self._estop_held:
            return 'the topic estop still says true, expected false first'
        self.estop_reason = ''
        return ''
