"""JSON that others may have written: neither so deep that a walk through it ends the process, nor with numbers that fit
nowhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from progtrain.engine.errors import InputError

#: how deep lists and objects may lie in each other: what walks through them calls itself
MOST_DEPTH = 100
#: a whole number of so many digits fits into no float; of each thirty bytes one is enough to see that there is none
_GIANT, _OF_THIRTY = re.compile(rb"\d{309}"), re.compile(rb"\d{10}")
_DEEP = "nested too deeply"
_NO_BRACKETS = re.compile(rb"[^][{}]+")


def parse_json(text: str, path: Path, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """`pairs` sees the keys of each object with their values, doubles included. Raises `InputError`."""
    try:
        return loaded(text, pairs)
    except json.JSONDecodeError as error:
        raise InputError(
            f"not valid JSON: {error.msg}",
            file=path,
            place=f"line {error.lineno}, column {error.colno}",
            fix="correct the JSON at that place",
        ) from error
    except ValueError as error:
        raise InputError(f"not JSON that anybody wrote: {error}", file=path, fix="correct it") from error


def loaded(text: str | bytes, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """JSON of others. Raises `ValueError` for what is none, nested too deeply, or holds numbers that fit nowhere."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_int=_whole if has_giant(data) else None)
    except RecursionError:
        raise ValueError(_DEEP) from None
    if may_be_deep(data):
        _refuse_depth(data)
    return value


def values_of(data: bytes, keys: Sequence[str]) -> dict[str, Any] | None:
    """Those of an object that was written with two spaces of indent, the rest unread; None for any other text.

    A line break stands in no string of JSON: two spaces and a quote behind it begin a key of the object itself.
    """
    if not (data.startswith(b'{\n  "') and data.endswith(b"\n}\n")):
        return None
    found = {}
    for key in keys:
        begins = b'\n  "%b": ' % key.encode()
        at = data.find(begins)
        if at < 0:
            return None
        ends = data.find(b'\n  "', at + len(begins))
        value = data[at + len(begins) : ends if ends >= 0 else -3]
        try:
            found[key] = loaded(value.removesuffix(b","))
        except ValueError:
            return None
    return found


def has_giant(data: bytes) -> bool:
    return bool(_OF_THIRTY.search(data[::30]) and _GIANT.search(data))


def may_be_deep(data: bytes) -> bool:
    return data.count(b"{") + data.count(b"[") > MOST_DEPTH


def _whole(digits: str) -> int:
    if len(digits) > 308:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _refuse_depth(data: bytes) -> None:
    """Of text that is JSON. Takes the innermost brackets away, level by level."""
    if not (encoding := json.detect_encoding(data)).startswith("utf-8"):
        data = data.decode(encoding, "replace").encode()
    # a backslash hides what follows it; then each second part lies between two strings
    between = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    left = _NO_BRACKETS.sub(b"", b"".join(between)).replace(b"{", b"[").replace(b"}", b"]")
    for _ in range(MOST_DEPTH + 2):
        if not left:
            return
        left = left.replace(b"[]", b"")
    raise ValueError(_DEEP)
