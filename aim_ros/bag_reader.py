"""Reads bags: MCAP files of `ros2 bag record`, of our recorder or of Foxglove. Needs no ROS.

Reads from front to end without the index, so that a file that was cut off is readable up to there.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcap.exceptions import EndOfFile, McapError
from mcap.records import Channel, Message, Metadata, Schema
from mcap.stream_reader import StreamReader
from mcap_ros2.decoder import DecoderFactory
from zstandard import ZstdError

from aim_policy.config import ConfigError, load_yaml
from aim_ros.bag import ABOUT, METADATA_YAML

NS = 1_000_000_000
# What the library raises on bytes that are no MCAP: of its own, and of what it unpacks with.
_DAMAGE = (McapError, ZstdError, RuntimeError, ValueError, struct.error)


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag.

    Attributes:
        topic: full name.
        type_name: such as `sensor_msgs/msg/Image`.
        log_ns: when it was recorded.
        data: as it was sent (CDR).
    """

    topic: str
    type_name: str
    log_ns: int
    data: bytes
    _decoder: Callable[[bytes], Any] | None = field(repr=False)

    def decode(self) -> Any:
        """Return an object with the fields of the message; arrays of bytes are `bytes`.

        Raises:
            ConfigError: it is not CDR, or its definition in the bag is not ros2msg.
        """
        if self._decoder is None:
            expected = 'CDR with a ros2msg definition'
            raise ConfigError(f'{self.topic} ({self.type_name}) cannot be decoded: not {expected}')
        try:
            return self._decoder(self.data)
        except (struct.error, ValueError, IndexError) as error:
            where = f'{self.topic} ({self.type_name})'
            raise ConfigError(f'{where} has a message that is damaged: {error}') from error

    @property
    def stamp_ns(self) -> int:
        """Stamp of the header, which must be the first field; of a TFMessage the first one."""
        offset = 8 if self.type_name == 'tf2_msgs/msg/TFMessage' else 4
        little = len(self.data) > 1 and self.data[1] & 1
        try:
            sec, nanosec = struct.unpack_from('<iI' if little else '>iI', self.data, offset)
        except struct.error as error:
            raise ConfigError(f'{self.topic} has a message without a header') from error
        return sec * NS + nanosec


def in_order(
    messages: Iterable[BagMessage], key: Callable[[BagMessage], int]
) -> Iterator[BagMessage]:
    """Sort messages that are out of order by less than a second.

    Recorders write what they take first: that may be a later message of another topic.

    Args:
        messages: of a bag, in any order within a second.
        key: nanoseconds by which to sort.
    """
    waiting: list[tuple[int, int, BagMessage]] = []
    newest_ns = 0
    for number, message in enumerate(messages):
        heapq.heappush(waiting, (key(message), number, message))
        newest_ns = max(newest_ns, key(message))
        while newest_ns - waiting[0][0] > NS:
            yield heapq.heappop(waiting)[2]
    yield from (message for _, _, message in sorted(waiting, key=lambda entry: entry[:2]))


class BagReader:
    """The messages of a bag, in the order in which they were written.

    Attributes:
        path: as it was given.
        cut: after reading to the end: what is wrong with the end of a file, '' if nothing is.
    """

    def __init__(self, path: Path | str) -> None:
        """Find the files of a bag: its folder, or one .mcap file.

        Raises:
            ConfigError: there is no bag, or it is stored in another way.
        """
        self.path = Path(path)
        self.cut = ''
        self._files = _files(self.path)

    def about(self) -> dict[str, str]:
        """Return what the recorder wrote about the robot; {} in a bag of another recorder."""
        for record in self._records(self._files[0]):
            if isinstance(record, Metadata) and record.name == ABOUT:
                return dict(record.metadata)
            if isinstance(record, Message):
                break
        return {}

    def __iter__(self) -> Iterator[BagMessage]:
        self.cut = ''
        for file in self._files:
            schemas: dict[int, Schema] = {}
            channels: dict[int, tuple[Channel, Any]] = {}
            factory = DecoderFactory()
            for record in self._records(file):
                if isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel) and record.id not in channels:
                    schema = schemas.get(record.schema_id)
                    decoder = factory.decoder_for(record.message_encoding, schema)
                    channels[record.id] = record, decoder
                elif isinstance(record, Message):
                    channel, decoder = channels[record.channel_id]
                    schema = schemas.get(channel.schema_id)
                    type_name = schema.name if schema else ''
                    yield BagMessage(
                        channel.topic, type_name, record.log_time, record.data, decoder
                    )

    def _records(self, file: Path) -> Iterator[Any]:
        with open(file, 'rb') as stream:
            try:
                yield from StreamReader(stream, validate_crcs=True).records
            except EndOfFile:
                self.cut = f'{file} ends early: it was cut off'
            except _DAMAGE as error:
                if stream.tell() < 64:
                    raise ConfigError(f'{file}: is no MCAP file: {error}') from error
                self.cut = f'{file} is damaged after {stream.tell()} bytes: {error}'


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigError(f'{path}: no such bag, expected a folder or an .mcap file')
    files = sorted(path.glob('*.mcap'))
    if (path / METADATA_YAML).is_file():
        content = load_yaml(path / METADATA_YAML)
        try:
            information = content['rosbag2_bagfile_information']
            storage = information['storage_identifier']
            files = [path / Path(name).name for name in information['relative_file_paths']]
        except (KeyError, TypeError) as error:
            expected = 'rosbag2_bagfile_information with its files'
            raise ConfigError(f'{path / METADATA_YAML}: expected {expected}') from error
        if storage != 'mcap':
            hint = '`ros2 bag convert` makes that'
            raise ConfigError(f'{path}: storage is {storage}, expected mcap; {hint}')
    for file in files:
        if file.suffix != '.mcap' or not file.is_file():
            raise ConfigError(f'{file}: expected an .mcap file')
    if not files:
        raise ConfigError(f'{path}: has no .mcap file')
    return files
