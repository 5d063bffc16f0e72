"""Writes bags: MCAP with a metadata.yaml beside it, as `ros2 bag record -s mcap` would.

Knows no node and no message: what it is given is serialised already (CDR).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from mcap.exceptions import McapError
from mcap.writer import CompressionType, Writer

from aim_policy.atomic import written_aside
from aim_policy.config import ConfigError, unknown_name
from aim_ros.bag_schema import ENCODING

ABOUT = 'aim_ros'
"""Name of the metadata record that says what robot a bag is of."""
LOST = 'aim_ros_lost'
"""Name of the metadata record that counts what was not recorded; not there if nothing was lost."""
METADATA_YAML = 'metadata.yaml'
COMPRESSIONS = {
    'zstd': CompressionType.ZSTD,
    'lz4': CompressionType.LZ4,
    'none': CompressionType.NONE,
}
_VERSION = 9  # of metadata.yaml, since ROS 2 Jazzy
_FOREVER = {'sec': 9223372036, 'nsec': 854775807}


@dataclass
class _Topic:
    """One topic of a bag, with how many messages it has."""

    channel: int
    type_name: str
    qos: list[dict[str, Any]]
    count: int = field(default=0)


def offered_qos(reliable: bool, latched: bool, depth: int) -> dict[str, Any]:
    """Return how a topic was published, for `ros2 bag play` to do the same."""
    return {
        'history': 'keep_last',
        'depth': depth,
        'reliability': 'reliable' if reliable else 'best_effort',
        'durability': 'transient_local' if latched else 'volatile',
        'deadline': _FOREVER,
        'lifespan': _FOREVER,
        'liveliness': 'automatic',
        'liveliness_lease_duration': _FOREVER,
        'avoid_ros_namespace_conventions': False,
    }


class BagWriter:
    """Writes one bag. What was flushed can be read even if the rest never comes.

    Attributes:
        folder: of the bag.
        count: messages written so far.
    """

    def __init__(
        self, folder: Path | str, about: Mapping[str, str], compression: str = 'zstd'
    ) -> None:
        """Begin a bag in a new folder.

        Args:
            folder: must not exist.
            about: what stands in the file's metadata.
            compression: one of `COMPRESSIONS`.

        Raises:
            ConfigError: the folder exists or cannot be made, or an unknown compression.
        """
        if compression not in COMPRESSIONS:
            raise unknown_name('compression', compression, COMPRESSIONS)
        self.folder, self.count = Path(folder), 0
        self._about = dict(about)
        self._topics: dict[str, _Topic] = {}
        self._schemas: dict[str, int] = {}
        self._begin_ns, self._end_ns = 0, 0
        try:
            self.folder.mkdir(parents=True)
            self._name = f'{self.folder.name}_0.mcap'
            self._file = (self.folder / self._name).open('xb')
        except FileExistsError as error:
            raise ConfigError(f'{folder}: exists already, expected a new name') from error
        except OSError as error:
            raise self._failed(error) from error
        self._writer = Writer(self._file, compression=COMPRESSIONS[compression])
        self._do(lambda: self._writer.start('ros2', 'aim_ros'))
        self._do(lambda: self._writer.add_metadata(ABOUT, self._about))
        self.flush()

    def add_topic(
        self, name: str, type_name: str, definition: str, qos: list[dict[str, Any]]
    ) -> None:
        """Announce a topic; see `bag_schema.definition` and `offered_qos`."""
        if type_name not in self._schemas:
            self._schemas[type_name] = self._writer.register_schema(
                type_name, ENCODING, definition.encode()
            )
        metadata = {'offered_qos_profiles': _dump(qos), 'topic_type_hash': ''}
        schema = self._schemas[type_name]
        channel = self._writer.register_channel(name, 'cdr', schema, metadata)
        self._topics[name] = _Topic(channel, type_name, qos)

    def write(self, topic: str, data: bytes, log_ns: int, publish_ns: int) -> None:
        """Add a serialised message.

        Raises:
            ConfigError: the disk is full or gone; the bag is closed as it is.
        """
        entry = self._topics[topic]
        add = self._writer.add_message
        self._do(lambda: add(entry.channel, log_ns, data, publish_ns, entry.count))
        self._begin_ns = min(log_ns, self._begin_ns) if self.count else log_ns
        self._end_ns = max(log_ns, self._end_ns)
        entry.count += 1
        self.count += 1

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._do(self._writer.flush)

    def close(self, lost: Mapping[str, int] | None = None) -> None:
        """Finish the bag; `lost` says how many messages of which topic are not in it."""
        figures = {topic: str(count) for topic, count in (lost or {}).items() if count}
        if figures:
            self._do(lambda: self._writer.add_metadata(LOST, figures))
        information = self._information()
        summary = {'serialized_metadata': _dump(information)}
        self._do(lambda: self._writer.add_metadata('rosbag2', summary))
        self._do(self._writer.finish)
        self._do(self._file.close)
        text = _dump({'rosbag2_bagfile_information': information})
        try:
            with written_aside(self.folder / METADATA_YAML) as aside:
                aside.write_text(text, encoding='utf-8')
        except OSError as error:
            raise self._failed(error) from error

    def _do(self, action: Any) -> None:
        try:
            action()
        except (OSError, McapError) as error:
            with contextlib.suppress(OSError):
                self._file.close()
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> ConfigError:
        reason = getattr(error, 'strerror', None) or error
        return ConfigError(
            f'{self.folder}: cannot be written: {reason}; '
            f'{self.count} messages were recorded before'
        )

    def _information(self) -> dict[str, Any]:
        times = {
            'starting_time': {'nanoseconds_since_epoch': self._begin_ns},
            'duration': {'nanoseconds': self._end_ns - self._begin_ns},
            'message_count': self.count,
        }
        return {
            'version': _VERSION,
            'storage_identifier': 'mcap',
            **times,
            'topics_with_message_count': [
                {
                    'topic_metadata': {
                        'name': name,
                        'type': topic.type_name,
                        'serialization_format': 'cdr',
                        'offered_qos_profiles': topic.qos,
                        'type_description_hash': '',
                    },
                    'message_count': topic.count,
                }
                for name, topic in self._topics.items()
            ],
            'compression_format': '',
            'compression_mode': '',
            'relative_file_paths': [self._name],
            'files': [{'path': self._name, **times}],
            'custom_data': self._about,
            'ros_distro': os.environ.get('ROS_DISTRO', ''),
        }


class _Dumper(yaml.SafeDumper):
    """Writes repeated values out: yaml-cpp reads anchors, other tools may not."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
