"""Topics whose other side wants another quality of service: told, or they would just be silent."""

from __future__ import annotations

from functools import partial

from rclpy.event_handler import (
    PublisherEventCallbacks,
    QoSOfferedIncompatibleQoSInfo,
    QoSRequestedIncompatibleQoSInfo,
    SubscriptionEventCallbacks,
)
from rclpy.node import Node
from rclpy.qos import qos_policy_name_from_kind


class Mismatches:
    """Remembers and logs them.

    Attributes:
        policies: topic -> QoS policy for which somebody is not heard or does not hear.
    """

    def __init__(self, node: Node) -> None:
        self.policies: dict[str, str] = {}
        self._node = node

    def of_subscription(self, topic: str) -> SubscriptionEventCallbacks:
        """Events to subscribe with."""
        told = 'a publisher offers other QoS ({}) and cannot be heard'
        return SubscriptionEventCallbacks(incompatible_qos=partial(self._on_event, topic, told))

    def of_publisher(self, topic: str) -> PublisherEventCallbacks:
        """Events to publish with."""
        told = 'a subscriber wants other QoS ({}) and hears nothing'
        return PublisherEventCallbacks(incompatible_qos=partial(self._on_event, topic, told))

    def _on_event(
        self,
        topic: str,
        told: str,
        event: QoSRequestedIncompatibleQoSInfo | QoSOfferedIncompatibleQoSInfo,
    ) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        self.policies[topic] = policy
        self._node.get_logger().warning(f'{topic}: {told.format(policy)}')
