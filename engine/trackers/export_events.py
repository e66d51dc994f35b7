"""Event files as TensorBoard reads them, without its packages: records framed by checksums, each a protobuf message.

Format: TFRecord (length, checksum, bytes, checksum: CRC-32C, rotated and offset) and the protobuf messages Event,
Summary, TensorProto and HParamsPluginData, of which only the fields needed here are written.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

#: CRC-32C (Castagnoli), reversed
_POLYNOMIAL = 0x82F63B78
#: kinds of a protobuf field
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
_STRING_TENSOR = 7


# ---- records


def framed(records: Sequence[bytes]) -> bytes:
    """Records as they stand in a file."""
    lengths = [struct.pack("<Q", len(record)) for record in records]
    parts: list[bytes] = []
    for length, of_length, record, of_record in zip(
        lengths, map(_checksum_of_length, lengths), records, checksums(records), strict=True
    ):
        parts += (length, of_length, record, of_record)
    return b"".join(parts)


@cache
def _checksum_of_length(length: bytes) -> bytes:
    return checksums([length])[0]


def checksums(records: Sequence[bytes]) -> list[bytes]:
    """Masked CRC-32C of each, four bytes: of all that have one length at once."""
    import numpy as np  # heavy, and nothing else here needs it

    table = np.array(_table(), dtype=np.uint32)
    found = [b""] * len(records)
    by_length: dict[int, list[int]] = {}
    for index, record in enumerate(records):
        by_length.setdefault(len(record), []).append(index)
    for length, places in by_length.items():
        columns = np.frombuffer(b"".join(records[i] for i in places), dtype=np.uint8).reshape(len(places), length)
        crc = np.full(len(places), 0xFFFFFFFF, dtype=np.uint32)
        for column in np.ascontiguousarray(columns.T):
            crc = table[(crc ^ column) & 0xFF] ^ (crc >> 8)
        crc ^= 0xFFFFFFFF
        masked = ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
        whole = masked.astype("<u4").tobytes()
        for number, index in enumerate(places):
            found[index] = whole[4 * number : 4 * number + 4]
    return found


def masked_crc(data: bytes) -> int:
    """The checksum of one record, where numpy is not worth it."""
    crc, table = 0xFFFFFFFF, _table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _ in range(8):
            entry = (entry >> 1) ^ (_POLYNOMIAL if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)


# ---- messages


def varint(value: int) -> bytes:
    """A number in groups of seven bits; a negative one takes ten bytes, as protobuf has it."""
    if 0 <= value <= 0x7F:
        return bytes((value,))
    value &= 0xFFFFFFFFFFFFFFFF
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def field(number: int, value: bytes | str | int | float) -> bytes:
    """A field of a message; bytes are text or another message, a float is a double."""
    if isinstance(value, float):
        return varint(number << 3 | _DOUBLE) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    data = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return varint(number << 3 | _BYTES) + varint(len(data)) + data


def version(seconds: float) -> bytes:
    """What an event file begins with."""
    return field(1, seconds) + field(3, "brain.Event:2")


def scalars(seconds: float, step: int, numbers: Mapping[str, float]) -> bytes:
    """Numbers of one step, in one event; TensorBoard keeps them in 32 bits."""
    values = b"".join(_scalar(name) + _float(value) for name, value in numbers.items())
    return b"\x09" + struct.pack("<d", seconds) + b"\x10" + varint(step) + b"\x2a" + varint(len(values)) + values


@cache
def _scalar(name: str) -> bytes:
    """All of a value but its number, whose field comes last and has a fixed length."""
    tag = field(1, name)
    return b"\x0a" + varint(len(tag) + 5) + tag + bytes([2 << 3 | _FLOAT])


def _float(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def text(seconds: float, tag: str, markdown: str) -> bytes:
    """A text for TensorBoard's page of texts, which reads Markdown."""
    shape = field(2, field(2, field(1, 1)))
    tensor = field(1, _STRING_TENSOR) + shape + field(8, markdown)
    value = field(1, tag) + field(9, field(1, field(1, "text"))) + field(8, tensor)
    return field(1, seconds) + field(5, field(1, value))


def settings(begun: float, ended: float, params: Mapping[str, Any]) -> list[bytes]:
    """Settings for TensorBoard's page of hyperparameters: begin and end of a session. Lists and the like are text."""
    entries = b"".join(field(1, field(1, name) + field(2, _value(value))) for name, value in params.items())
    start = field(1, 0) + field(3, entries + field(5, begun))
    end = field(1, 0) + field(4, field(1, 1) + field(2, ended))
    named = (("_hparams_/session_start_info", start), ("_hparams_/session_end_info", end))
    return [field(1, begun) + field(5, field(1, _plugin(tag, "hparams", content))) for tag, content in named]


def _plugin(tag: str, name: str, content: bytes) -> bytes:
    return field(1, tag) + field(9, field(1, field(1, name) + field(2, content)))


def _value(value: Any) -> bytes:
    """google.protobuf.Value: null, number, text or a truth value."""
    if value is None:
        return field(1, 0)
    if isinstance(value, bool):
        return field(4, int(value))
    if isinstance(value, int | float):
        return field(2, float(value))
    return field(3, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def chunks(records: Iterable[bytes], size: int = 16_384) -> Iterator[bytes]:
    """Framed, so many at once: together their checksums take a hundredth of the time."""
    held: list[bytes] = []
    for record in records:
        held.append(record)
        if len(held) == size:
            yield framed(held)
            held = []
    if held:
        yield framed(held)
