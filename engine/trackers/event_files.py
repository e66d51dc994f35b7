"""TensorBoard's event files: scalars and settings, without TensorFlow or TensorBoard.

A file is a sequence of records (https://www.tensorflow.org/tutorials/load_data/tfrecord): length, its checksum, data,
theirs. The data are an `Event` (tensorflow/core/util/event.proto), of which only what holds scalars is looked into. A
file that is cut off or damaged gives what came before, and says so.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from progtrain.engine.errors import InputError
from progtrain.engine.trackers.export_events import masked_crc
from progtrain.engine.trackers.imports_proto import Value, double, fields, raw, signed, single, text, varint, whole
from progtrain.engine.trackers.imports_run import LONGEST_NAME, Imported, below, opened, with_hparams, within_time

#: more than any scalar has: pictures, sound, histograms and graphs are passed over unread
_LARGEST = 256 * 1024
_MARK = "tfevents"
_HPARAMS = "_hparams_/session_start_info"
_SESSION_START = 1
#: of `DataType` -> how it is written, and the field of a tensor that holds its numbers where they are not bytes
_TYPES = {1: ("<f", 5), 2: ("<d", 6), 3: ("<i", 7), 9: ("<q", 10)}


def runs(path: Path) -> Iterator[Imported]:
    """Each folder with event files is a run, as TensorBoard has it. Raises `InputError` where there is none."""
    files = [path] if not path.is_dir() else below(path, lambda name: _MARK in name)
    if not files:
        raise InputError(
            "there is no event file in it", file=path, fix=f"name the folder that holds events.out.{_MARK}.*"
        )
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file)
    for folder, its in folders.items():
        named = folder.relative_to(path).as_posix() if path.is_dir() and folder != path else folder.resolve().name
        run = Imported(named, "tensorboard", its.copy())
        for file in its:
            _read(file, run)
        with_hparams(run, folder)
        yield run


def _read(path: Path, run: Imported) -> None:
    """One file into its run; what is wrong with it becomes a note."""
    plugins: dict[str, str] = {}
    with opened(path) as file:
        for place, record, crc in within_time(_records(file, path.name, run), run.note):
            try:
                found = _event(record)
                if found and masked_crc(record) != crc:
                    raise ValueError("its checksum is wrong")
                for step, at, values in found:
                    _take(run, step, at, values, plugins)
            except ValueError as error:
                run.note(f"{path.name}: the record at byte {place} is left out: {error}")


def _records(file: BinaryIO, name: str, run: Imported) -> Iterator[tuple[int, bytes, int]]:
    """Where each begins, its data, and the checksum that they should have."""
    end = file.seek(0, 2)
    place = file.seek(0)
    while place < end:
        head = file.read(12)
        length, crc = struct.unpack("<QI", head) if len(head) == 12 else (0, 0)
        if len(head) == 12 and masked_crc(head[:8]) != crc:
            run.note(f"{name}: damaged at byte {place}: nothing after it can be found, what came before is kept")
            return
        if len(head) < 12 or place + 16 + length > end:
            run.note(f"{name}: cut off at byte {place}: what came before is kept")
            return
        if length > _LARGEST:
            file.seek(length + 4, 1)
        else:
            data = file.read(length + 4)
            if len(data) < length + 4:
                run.note(f"{name}: cut off at byte {place}: what came before is kept")
                return
            yield place, data[:length], int.from_bytes(data[length:], "little")
        place += 16 + length


#: what is taken from a `Summary.Value`: tag, plugin, its content, number; the last is None where it has none
_Taken = tuple[str, str, bytes, float | None]


def _event(data: bytes) -> list[tuple[int, float, list[_Taken] | None]]:
    """Step, time and what it holds for us; None instead: a training began again at this step. Empty: nothing for us."""
    at, step = 0.0, 0
    values: list[_Taken] = []
    again = False
    for number, value in fields(data):
        if number == 1:
            at = double(value)
        elif number == 2:
            step = signed(value)
        elif number == 5:
            values += [taken for one, inner in fields(raw(value)) if one == 1 and (taken := _value(raw(inner)))]
        elif number == 7:
            again = any(one == 1 and whole(inner) == _SESSION_START for one, inner in fields(raw(value)))
    found: list[tuple[int, float, list[_Taken] | None]] = [(step, at, None)] if again and step else []
    return [*found, (step, at, values)] if values else found


def _value(data: bytes) -> _Taken | None:
    tag, plugin, content = "", "", b""
    number: float | None = None
    for field, value in fields(data):
        if field == 1:
            tag = text(value)
        elif field == 2:
            number = single(value)
        elif field == 8:
            number = _tensor(raw(value))
        elif field == 9:
            plugin, content = _plugin(raw(value))
    return (tag, plugin, content, number) if number is not None or plugin == "hparams" else None


def _plugin(metadata: bytes) -> tuple[str, bytes]:
    name, content = "", b""
    for field, value in fields(metadata):
        if field == 1:
            for inner, told in fields(raw(value)):
                name = text(told) if inner == 1 else name
                content = raw(told) if inner == 2 else content
    return name, content


def _tensor(data: bytes) -> float | None:
    """The number of a tensor that holds one; None for all others."""
    kind, content, listed = 0, b"", dict[int, Value]()
    for field, value in fields(data):
        if field == 1:
            kind = whole(value)
        elif field == 4:
            content = raw(value)
        else:
            listed[field] = value
    if kind not in _TYPES:
        return None
    form, field = _TYPES[kind]
    numbers = content or listed.get(field, b"")
    if isinstance(numbers, int):
        return float(signed(numbers))
    if form in ("<i", "<q") and not content and numbers:
        packed, at = varint(numbers, 0)
        return float(signed(packed)) if at == len(numbers) else None
    if len(numbers) != struct.calcsize(form):
        return None
    return float(struct.unpack(form, numbers)[0])


def _take(run: Imported, step: int, at: float, values: list[_Taken] | None, plugins: dict[str, str]) -> None:
    if values is None:
        run.again(step)
        return
    run.started = at if run.started is None else min(run.started, at)
    run.ended = at if run.ended is None else max(run.ended, at)
    for tag, named, content, number in values:
        # only the first value of a tag names the plugin that it is for
        plugin = plugins.setdefault(tag[:LONGEST_NAME], named) if named or len(plugins) < 10_000 else named
        if tag == _HPARAMS:
            with suppress(ValueError):
                _hparams(run, content)
        elif number is not None and plugin in ("", "scalars"):
            run.point(tag, step, at, number)


def _hparams(run: Imported, content: bytes) -> None:
    for kind, started in fields(content):
        if kind != 3:
            continue
        for field, entry in fields(raw(started)):
            if field == 1:
                pair = dict(fields(raw(entry)))
                run.param(text(pair.get(1, b"")), _any(raw(pair.get(2, b""))))


def _any(data: bytes) -> str | float | bool | None:
    """A `google.protobuf.Value` that is a plain one."""
    for field, value in fields(data):
        if field == 2:
            number = double(value)
            return int(number) if number.is_integer() and abs(number) < 2**53 else number
        if field == 3:
            return text(value)
        if field == 4:
            return bool(whole(value))
    return None
