"""Real files made hostile, each change a function of the numbers that it is drawn with: a seed repeats it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

ESCAPES = "\x1b]52;c;ZXZpbA==\x07\x1b]0;OWNED\x07\x1b[2J\x9b31m\u202eevil\u200b"


class Raw(str):
    """Stands in a JSON text as it is written."""


#: where another value belongs
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    1.5,
    -0.0,
    1e308,
    10**18,
    10**30,
    -(10**300),
    Raw("1e400"),
    Raw("-1e400"),
    Raw("NaN"),
    Raw("9" * 400),
    Raw("9" * 5000),
    Raw("[" * 400 + "]" * 400),
    Raw("[" * 90 + "]" * 90),
    Raw('{"a":' * 90 + "1" + "}" * 90),
    Raw('"\\ud800"'),
    Raw('{"a": 1, "a": 2}'),
    "",
    " ",
    "x",
    "x" * 100_000,
    "0x10",
    "NaN",
    "v001",
    "v000",
    "v999999999999999999",
    "../../../etc/passwd",
    "/dev/zero",
    "a\x00b",
    ".",
    "[bold]x[/]",
    "[/]",
    ESCAPES,
    "é" * 300,
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59+00:00",
    "2026-01-01",
    [],
    {},
    [[]],
    ["v001", ["v002"]],
    [None],
    [{}],
    {"": None},
    {"name": []},
    {"a": {"b": [1, "x", None]}},
    list(range(1000)),
)
#: in the middle of any file
PIECES: tuple[bytes, ...] = (
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n",
    b"\r\n",
    b"\xc3",
    b"\xed\xa0\x80",
    b'"',
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"-",
    b"```",
    b"9" * 400,
    b"9" * 5000,
    b"NaN",
    b"1e400",
    b"x" * 200_000,
    ESCAPES.encode(),
    b"\\u0000",
    b"&a *a",
    b"!!python/object:os.system",
    b"\t",
)
BROKEN: tuple[bytes, ...] = (
    b"",
    b"\n",
    b"null",
    b"[]",
    b"{}",
    b"0",
    b'"x"',
    b"\0" * 5000,
    b"\xff" * 5000,
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"x" * 1_000_000,
    b"{}\n" * 5000,
    b",\n" * 5000,
    b'"' + b"x" * 300_000,
    b"\r" * 1000,
    b"PK\x03\x04" + b"\0" * 100,
)


def hostile(data: bytes, random: Random, name: str) -> bytes:
    """What a file of this name holds, changed once or a few times."""
    if random.random() < 0.05:
        return random.choice(BROKEN)
    structured = name.endswith((".json", ".jsonl"))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        if structured and random.random() < 0.75:
            data = _other_value(data, random, lines=name.endswith(".jsonl"))
        elif name.endswith(".csv") and random.random() < 0.5:
            data = _other_cell(data, random)
        else:
            data = random.choice(_OF_BYTES)(data, random)
    return data


# bytes


def _flipped(data: bytes, random: Random) -> bytes:
    found = bytearray(data)
    for _ in range(random.choice((1, 3, 20))):
        if found:
            found[random.randrange(len(found))] ^= 1 << random.randrange(8)
    return bytes(found)


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _without(data: bytes, random: Random) -> bytes:
    start, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
    return data[:start] + data[end:]


def _with_piece(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(PIECES) + data[at:]


def _spliced(data: bytes, random: Random) -> bytes:
    start, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
    at = random.randrange(len(data) + 1)
    return data[:at] + data[start:end][:100_000] + data[at:]


def _other_line(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    at = random.randrange(len(lines))
    lines[at] = random.choice((b"", lines[at] * 2, random.choice(PIECES), random.choice(lines)))
    return b"".join(lines)


_OF_BYTES: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flipped,
    _cut,
    _without,
    _with_piece,
    _with_piece,
    _spliced,
    _other_line,
)


# values


def _other_cell(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    at = random.randrange(min(len(lines), 5) if random.random() < 0.5 else len(lines))
    cells = lines[at].split(b",")
    value = random.choice(VALUES)
    text = value if isinstance(value, str) else json.dumps(value)
    cells[random.randrange(len(cells))] = text.encode("utf-8", "replace")
    lines[at] = b",".join(cells)
    return b"\n".join(lines)


def _other_value(data: bytes, random: Random, *, lines: bool) -> bytes:
    """One value of a JSON file has another type, is missing, or is called something else."""
    rows = data.split(b"\n") if lines else [data]
    at = random.randrange(len(rows))
    try:
        whole = json.loads(rows[at])
    except (ValueError, RecursionError):
        return _with_piece(data, random)
    places = list(_places(whole))
    if not places:
        rows[at] = _written(random.choice(VALUES))
        return b"\n".join(rows)
    holder, key = random.choice(places)
    kind = random.random()
    if kind < 0.1:
        del holder[key]
    elif kind < 0.2 and isinstance(holder, dict):
        holder[random.choice(("", "x", ESCAPES, "a" * 5000, "../x", f"{key} "))] = holder.pop(key)
    else:
        holder[key] = random.choice(VALUES)
    rows[at] = _written(whole)
    return b"\n".join(rows)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from _places(inner)


def _written(value: Any) -> bytes:
    raws: dict[str, str] = {}

    def marked(one: Any) -> Any:
        if isinstance(one, Raw):
            raws[f"RAW{len(raws)}RAW"] = one
            return f"RAW{len(raws) - 1}RAW"
        if isinstance(one, dict):
            return {key: marked(inner) for key, inner in one.items()}
        return [marked(inner) for inner in one] if isinstance(one, list) else one

    text = json.dumps(marked(value), ensure_ascii=False)
    for mark, raw in raws.items():
        text = text.replace(f'"{mark}"', raw)
    return text.encode("utf-8", "replace")


# what is no file


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    # a name may be longer than a socket's may be
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2 << 30)


def _closed(path: Path) -> None:
    path.write_bytes(b"{}")
    path.chmod(0)


#: the name of what may not be read
CLOSED = "closed"
#: what may lie where a file belongs
OTHERS: dict[str, Callable[[Path], None]] = {
    "fifo": _fifo,
    "socket": _socket,
    "folder": lambda path: path.mkdir(),
    "loop": lambda path: path.symlink_to(path.name),
    "nowhere": lambda path: path.symlink_to("nowhere/at/all"),
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "sparse": _sparse,
    "device": lambda path: path.symlink_to("/dev/null"),
}
#: and with what root can read nevertheless
ANY = {**OTHERS, CLOSED: _closed}
