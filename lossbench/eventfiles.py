"""TensorBoard's event files, written by hand: length-prefixed protobuf records, each with two masked checksums.

Only what scalars need is here, so that nobody has to install TensorBoard in order to feed it.
Format: https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
"""

import struct
from collections.abc import Iterable, Mapping

__all__ = ["checksum", "event_file"]

_POLYNOMIAL = 0x82F63B78
"""Of CRC-32C, bits reversed."""


def event_file(epochs: Iterable[tuple[int, float, Mapping[str, float]]]) -> bytes:
    """A whole event file from (epoch, seconds since 1970, value of each tag)."""
    records = [_message((1, 0.0), (3, b"brain.Event:2"))]
    for epoch, seconds, values in epochs:
        summary = b"".join(_field(1, _field(1, tag.encode()) + _single(2, value)) for tag, value in values.items())
        records.append(_message((1, seconds), (2, epoch), (5, summary)))
    return b"".join(map(_record, records))


def _message(*fields: tuple[int, float | int | bytes]) -> bytes:
    parts = []
    for number, value in fields:
        match value:
            case bytes():
                parts.append(_field(number, value))
            case int():
                parts.append(_varint(number << 3) + _varint(value))
            case float():
                parts.append(_varint(number << 3 | 1) + struct.pack("<d", value))
    return b"".join(parts)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _single(number: int, value: float) -> bytes:
    # A double beyond the range of a single is infinite as one.
    try:
        packed = struct.pack("<f", value)
    except OverflowError:
        packed = struct.pack("<f", float("inf") if value > 0 else float("-inf"))
    return _varint(number << 3 | 5) + packed


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + checksum(length) + content + checksum(content)


def checksum(content: bytes) -> bytes:
    """CRC-32C in the disguise that keeps checksums of checksums from going astray."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = tuple(map(_entry, range(256)))
