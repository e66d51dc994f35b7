"""Fields of a protobuf message, read by hand: without its description, so that no package is needed.

The wire format is described at https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

#: of a field: a number, or bytes where it is a text, a message or a fixed width
Value = int | bytes

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Number of each field with its value, in the order of the message. Raises `ValueError` for what is no message."""
    at, end = 0, len(data)
    while at < end:
        key, at = varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = varint(data, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("a field of a kind that is not used any more")
        if at + size > end:
            raise ValueError("a field that is longer than its message")
        yield key >> 3, data[at : at + size]
        at += size


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where the next field begins. Raises `ValueError`."""
    value = shift = 0
    while shift < 70:
        if at >= len(data):
            raise ValueError("a number that is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number of more than ten bytes")


def signed(value: Value) -> int:
    """An `int64`, which is written as if it had no sign."""
    number = whole(value)
    return number - 2**64 if number >= 2**63 else number


def whole(value: Value) -> int:
    if isinstance(value, bytes):
        raise ValueError("bytes stand where a number belongs")
    return value & (2**64 - 1)


def double(value: Value) -> float:
    return _fixed("<d", value)


def single(value: Value) -> float:
    return _fixed("<f", value)


def _fixed(form: str, value: Value) -> float:
    if not isinstance(value, bytes) or len(value) != struct.calcsize(form):
        raise ValueError("a number of another width")
    found: float = struct.unpack(form, value)[0]
    return found


def raw(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number stands where bytes belong")
    return value


def text(value: Value) -> str:
    return raw(value).decode("utf-8", "replace")
