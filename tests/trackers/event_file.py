"""Event files read bit by bit, by nothing of ours: records with their checksums, and fields of protobuf messages."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path


def crc32c(data: bytes) -> int:
    """As RFC 3720 has it, a bit at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        record = data[12 : 12 + length]
        assert data[8:12] == struct.pack("<I", masked(data[:8]))
        assert data[12 + length : 16 + length] == struct.pack("<I", masked(record))
        yield record
        data = data[16 + length :]


def fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or number()
        part = message[at : at + size]
        at += size
        kind = {1: "<d", 5: "<f"}.get(key & 7)
        yield key >> 3, struct.unpack(kind, part)[0] if kind else part


def scalars(path: Path) -> list[tuple[str, int, float, float]]:
    """Tag, step, seconds and value."""
    found = []
    for event in map(dict, map(fields, records(path))):
        summary = event.get(5, b"")
        assert isinstance(summary, bytes)
        for _, value in fields(summary):
            assert isinstance(value, bytes)
            told = dict(fields(value))
            if 9 not in told:
                tag, number = told[1], told.get(2)
                assert isinstance(tag, bytes)
                found.append((tag.decode(), event.get(2, 0), event[1], number))
    return found  # type: ignore[return-value]
