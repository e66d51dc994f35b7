"""Offline logs of Weights & Biases (`run-ID.wandb`), without its package.

A log is LevelDB's (https://github.com/google/leveldb/blob/main/doc/log_format.md) with a header of its own: blocks of
32 KiB hold pieces of records, each with a checksum, and a record is a `Record` of wandb_internal.proto.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from progtrain.engine.errors import InputError
from progtrain.engine.trackers.imports_proto import Value, fields, raw, signed, text, whole
from progtrain.engine.trackers.imports_run import Imported, a_number, below, opened, parsed, within_time

_BLOCK = 32 * 1024
_HEAD = b":W&B"
_HEADER = 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
#: records of pictures, files and outputs may be as long as they are: none is kept whole that is longer than this
_LONGEST = 8 * 1024 * 1024
#: fields of a `Record`
_HISTORY, _SUMMARY, _CONFIG, _METRIC, _RUN, _EXIT = 2, 3, 5, 12, 17, 18


def runs(path: Path) -> Iterator[Imported]:
    """One of each log. Raises `InputError` where there is none."""
    files = [path] if not path.is_dir() else below(path, lambda name: name.endswith(".wandb"))
    if not files:
        raise InputError("there is no .wandb log in it", file=path, fix="name the folder wandb/, or offline-run-.../")
    for file in files:
        run = Imported(file.stem.removeprefix("run-"), "wandb", [file])
        _read(file, run)
        yield run


def _read(path: Path, run: Imported) -> None:
    axes: dict[str, str] = {}
    reached: dict[str, float] = {}
    with opened(path) as file:
        if file.read(_HEADER)[:4] != _HEAD:
            run.note(f"{path.name}: it is no log of wandb: it does not begin as one does")
            return
        for place, record in within_time(_records(file, path.name, run), run.note):
            try:
                for number, value in fields(record):
                    _take(run, number, value, axes, reached)
            except ValueError as error:
                run.note(f"{path.name}: the record that ends at byte {place} is left out: {error}")


def _records(file: BinaryIO, name: str, run: Imported) -> Iterator[tuple[int, bytes]]:
    """Where each ends, and its data. A piece that is damaged costs its record and no other."""
    parts: list[bytes] = []
    size, block, begun = 0, 0, False
    file.seek(0)
    while data := file.read(_BLOCK):
        at = _HEADER if block == 0 else 0
        while at + 7 <= len(data):
            crc, length, kind = struct.unpack_from("<IHB", data, at)
            piece = data[at + 7 : at + 7 + length]
            place = block * _BLOCK + at
            if kind == 0:
                break  # the rest of a block that holds no piece any more
            if len(piece) < length:
                run.note(f"{name}: cut off at byte {place}: what came before is kept")
                break
            at += 7 + length
            if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or zlib.crc32(piece, zlib.crc32(bytes([kind]))) != crc:
                run.note(f"{name}: damaged at byte {place}: that record is left out")
                begun = False
                continue
            if kind in (_FULL, _FIRST):
                parts, size, begun = [], 0, True
            size += length
            if begun and size <= _LONGEST:
                parts.append(piece)
            if kind in (_FULL, _LAST):
                if begun and size <= _LONGEST:
                    yield place + 7 + length, b"".join(parts)
                parts, begun = [], False
        block += 1
    if begun:
        run.note(f"{name}: it ends within a record: what came before is kept")


def _take(run: Imported, number: int, value: Value, axes: dict[str, str], reached: dict[str, float]) -> None:
    """`axes`: name or pattern of metrics -> the metric that they stand over; `reached`: where each of these is."""
    if number == _HISTORY:
        _history(run, raw(value), axes, reached)
    elif number == _METRIC:
        # as `define_metric(name, step_metric=axis)` has told
        named = {field: text(inner) for field, inner in fields(raw(value)) if field in (1, 2, 4)}
        if axis := named.get(4, ""):
            axes[named.get(1, "") or named.get(2, "")] = axis
    elif number == _SUMMARY:
        for name, told in _items(raw(value)):
            _summary(run, name, parsed(told))
    elif number == _CONFIG:
        _config(run, raw(value))
    elif number == _RUN:
        _run(run, raw(value))
    elif number == _EXIT:
        code = next((signed(inner) for field, inner in fields(raw(value)) if field == 1), 0)
        run.state = "finished" if code == 0 else f"failed (exit code {code})"


def _run(run: Imported, data: bytes) -> None:
    for field, value in fields(data):
        if field == 8 and raw(value):
            run.name = text(value)
        elif field == 4:
            _config(run, raw(value))
        elif field == 17:
            began = dict(fields(raw(value)))
            run.started = whole(began.get(1, 0)) + whole(began.get(2, 0)) / 1e9


def _config(run: Imported, data: bytes) -> None:
    for name, told in _items(data):
        if name != "_wandb":  # what its client notes about itself
            run.param(name, parsed(told))


def _summary(run: Imported, name: str, value: object, depth: int = 4) -> None:
    if isinstance(value, dict) and depth:
        for key, inner in value.items():
            _summary(run, f"{name}.{key}", inner, depth - 1)
    elif not name.startswith("_") and (number := a_number(value)) is not None:
        run.final(name, number)


def _history(run: Imported, data: bytes, axes: dict[str, str], reached: dict[str, float]) -> None:
    row: dict[str, float] = {}
    step: float | None = None
    for field, value in fields(data):
        if field == 2:
            step = next((signed(inner) for one, inner in fields(raw(value)) if one == 1), 0)
    for name, told in _items(data):
        # a number is short: pictures and tables are descriptions in JSON
        if len(told) <= 64 and (number := a_number(parsed(told))) is not None:
            row[name] = number
    at = row.get("_timestamp")
    step = row.get("_step", 0.0) if step is None else step
    standing = set(axes.values())
    reached.update((axis, row[axis]) for axis in standing if math.isfinite(row.get(axis, math.nan)))
    for name, number in row.items():
        if not name.startswith("_") and name not in standing:
            # a row that leaves its axis out goes on at the last place
            run.point(name, reached.get(_axis(axes, name), step), at, number)
    if at is not None:
        run.ended = at if run.ended is None else max(run.ended, at)


def _axis(axes: dict[str, str], name: str) -> str:
    """Empty where it stands over the tracker's own step."""
    if (found := axes.get(name)) is not None:
        return found
    return next((axis for pattern, axis in axes.items() if fnmatchcase(name, pattern)), "")


def _items(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Name (parts of a nested one joined by dots) and JSON of each item of a history, summary or configuration."""
    for field, value in fields(data):
        if field != 1 or not isinstance(value, bytes):
            continue
        name, parts, told = "", list[str](), b""
        for one, inner in fields(value):
            if one == 1:
                name = text(inner)
            elif one == 2:
                parts.append(text(inner))
            elif one == 16:
                told = raw(inner)
        yield name or ".".join(parts), told
