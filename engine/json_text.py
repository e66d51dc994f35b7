"""JSON that others may have written: neither so deep that a walk through it ends the process, nor with numbers that fit
nowhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from progtrain.engine.errors import InputError

#: how deep lists and objects may lie in each other: what walks through them calls itself
MOST_DEPTH = 100
#: a whole number of so many digits fits into no float; of each thirty bytes one is enough to see that there is none
_GIANT, _OF_THIRTY = re.compile(rb"\d{309}"), re.compile(rb"\d{10}")
_DEEP = "nested too deeply"


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
        _refuse_depth(value)
    return value


def has_giant(data: bytes) -> bool:
    return bool(_OF_THIRTY.search(data[::30]) and _GIANT.search(data))


def may_be_deep(data: bytes) -> bool:
    return data.count(b"{") + data.count(b"[") > MOST_DEPTH


def _whole(digits: str) -> int:
    if len(digits) > 308:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += [item for item in one.values() if isinstance(item, dict | list)]
            elif isinstance(one, list):
                inner += [item for item in one if isinstance(item, dict | list)]
        if not inner:
            return
        level = inner
    raise ValueError(_DEEP)
