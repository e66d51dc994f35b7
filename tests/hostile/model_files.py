"""Headers of GGUF files made hostile: other numbers where lengths, counts and kinds stand, and bombs of a few bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from random import Random

_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _LIST = 8, 9
_NUMBERS = (0, 1, 2, 3, 7, 9, 13, 255, 4096, 65536, 2**24, 2**30 - 1, 2**31 - 1, 2**31, 2**32 - 1)
_LARGE = (*_NUMBERS, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def one(kind: int, body: bytes, *, values: int = 1, tensors: int = 0, key: bytes = b"general.name") -> bytes:
    """A file of one value."""
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, values) + text(key) + struct.pack("<I", kind) + body


#: a few bytes that ask for memory, time or depth
BOMBS: dict[str, bytes] = {
    "a list of a thousand million numbers": one(_LIST, struct.pack("<IQ", 10, 2**30 - 1)),
    "a list of a thousand million texts": one(_LIST, struct.pack("<IQ", 8, 2**30 - 1)),
    "a list longer than numbers are": one(_LIST, struct.pack("<IQ", 10, 2**64 - 1)),
    "a text of a gigabyte": one(_TEXT, struct.pack("<Q", 2**30 - 1)),
    "a text longer than numbers are": one(_TEXT, struct.pack("<Q", 2**64 - 1)),
    "a text in a list, longer than the file": one(_LIST, struct.pack("<IQQ", 8, 1, 2**63)),
    "lists in lists": one(_LIST, struct.pack("<IQ", 9, 1) * 100_000),
    "a name of a megabyte": one(0, b"\0", key=b"x" * (1 << 20)),
    "any number of values": one(0, b"\0", values=2**63),
    "any number of tensors": one(0, b"\0", tensors=2**40),
    "an unknown kind": one(99, b"\0" * 64),
    "a tensor of many dimensions": one(0, b"\0", tensors=1) + text(b"a") + struct.pack("<I", 2**31) + b"\0" * 64,
    "no version": b"GGUF" + b"\0" * 100,
    "nothing else": b"GGUF",
    "another file": b"PK\x03\x04" + b"\0" * 100,
}


def _places(data: bytes) -> Iterator[tuple[int, str]]:
    """Where a number stands, and how it is packed."""

    def at(place: int, form: str) -> int:
        return int(struct.unpack_from(form, data, place)[0])

    yield from ((4, "<I"), (8, "<Q"), (16, "<Q"))
    place = 24
    for _ in range(at(16, "<Q")):
        yield place, "<Q"
        place += 8 + at(place, "<Q")
        yield place, "<I"
        kind, place = at(place, "<I"), place + 4
        count = 1
        if kind == _LIST:
            yield from ((place, "<I"), (place + 4, "<Q"))
            kind, count, place = at(place, "<I"), at(place + 4, "<Q"), place + 12
        for number in range(count if kind == _TEXT else 0):
            if number < 20:
                yield place, "<Q"
            place += 8 + at(place, "<Q")
        if kind != _TEXT:
            yield place, {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}[_BYTES[kind]]
            place += count * _BYTES[kind]
    for _ in range(at(8, "<Q")):
        yield place, "<Q"
        place += 8 + at(place, "<Q")
        yield place, "<I"
        dimensions = at(place, "<I")
        yield from ((place + 4 + 8 * number, "<Q") for number in range(dimensions))
        place += 4 + 8 * dimensions
        yield from ((place, "<I"), (place + 4, "<Q"))
        place += 12


def maker(data: bytes) -> Callable[[Random], bytes]:
    """Makes hostile ones of a whole one."""
    places = list(_places(data))
    end = places[-1][0] + 8

    def make(random: Random) -> bytes:
        if random.random() < 0.05:
            return random.choice(list(BOMBS.values()))
        if random.random() < 0.1:
            return data[: random.randrange(end if random.random() < 0.7 else len(data))]
        found = bytearray(data)
        for _ in range(random.choice((1, 1, 1, 2, 5))):
            if random.random() < 0.75:
                place, form = random.choice(places)
                most = 1 << (8 * struct.calcsize(form))
                struct.pack_into(form, found, place, random.choice(_LARGE) % most)
            elif random.random() < 0.7:
                found[random.randrange(end)] ^= 1 << random.randrange(8)
            else:
                place = random.randrange(end)
                found[place:place] = random.randbytes(random.choice((1, 4, 8, 1000)))
        return bytes(found)

    return make
