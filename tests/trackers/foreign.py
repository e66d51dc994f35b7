"""What trackers write, written byte by byte: independent of the code that reads it."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

BEGAN = 1795744093.25


def varint(number: int) -> bytes:
    out = bytearray()
    number &= 2**64 - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: bytes | str | int | float) -> bytes:
    """A float is a double, as in most messages; bytes are a message or a text."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


# TensorBoard


def crc32c(data: bytes) -> int:
    """Bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def scalar(tag: str, value: float) -> bytes:
    return field(1, field(1, tag) + varint(2 << 3 | 5) + struct.pack("<f", value))


def tensor_scalar(tag: str, value: float, plugin: str = "scalars") -> bytes:
    tensor = field(1, 1) + field(4, struct.pack("<f", value))
    return field(1, field(1, tag) + field(9, field(1, field(1, plugin))) + field(8, tensor))


def hparams(values: Mapping[str, float | str]) -> bytes:
    entries = b""
    for key, value in values.items():
        told = field(2, value) if isinstance(value, float) else field(3, value)
        entries += field(1, field(1, key) + field(2, told))
    plugin = field(1, "hparams") + field(2, field(3, entries))
    return field(1, field(1, "_hparams_/session_start_info") + field(9, field(1, plugin)))


def event(step: int, summary: bytes = b"", at: float | None = None) -> bytes:
    head = field(1, BEGAN + step if at is None else at) + field(2, step)
    return record(head + (field(5, summary) if summary else field(3, "brain.Event:2")))


def event_file(folder: Path, events: Iterable[bytes], name: str = "events.out.tfevents.1.host") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(b"".join(events))
    return path


def training(points: int = 20) -> list[bytes]:
    events = [event(0), event(0, hparams({"learning_rate": 0.003, "optimizer": "adam"}))]
    return [*events, *(event(step, scalar("val_loss", 1 / (step + 1))) for step in range(points))]


# Weights & Biases


def wandb_items(values: Mapping[str, Any]) -> bytes:
    items = b""
    for key, value in values.items():
        name = b"".join(field(2, part) for part in key.split(".")) if "." in key else field(1, key)
        items += field(1, name + field(16, json.dumps(value)))
    return items


def wandb_records(rows: Iterable[Mapping[str, Any]], config: Mapping[str, Any]) -> list[bytes]:
    began = field(1, int(BEGAN)) + field(2, 250_000_000)
    found = [field(17, field(1, "abc") + field(8, "first try") + field(4, wandb_items(config)) + field(17, began))]
    for step, row in enumerate(rows):
        told = wandb_items({**row, "_timestamp": BEGAN + step, "_step": step})
        found.append(field(2, told + field(2, field(1, step))))
    return [*found, field(3, wandb_items({"eval/accuracy": 0.91})), field(18, field(1, 0))]


def wandb_log(path: Path, records: Iterable[bytes]) -> Path:
    """LevelDB's blocks of 32 KiB, as wandb writes them."""
    out = bytearray(b":W&B" + struct.pack("<HB", 0xBEE1, 0))
    for data in records:
        first = True
        while True:
            room = 32768 - len(out) % 32768
            if room < 7:
                out += bytes(room)
                continue
            piece, data = data[: room - 7], data[room - 7 :]
            kind = (1 if not data else 2) if first else (4 if not data else 3)
            crc = zlib.crc32(bytes([kind]) + piece)
            out += struct.pack("<IHB", crc, len(piece), kind) + piece
            first = False
            if not data:
                break
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out)
    return path


# databases


def mlflow_db(path: Path, runs: Mapping[str, list[tuple[str, int, int, float, int]]]) -> Path:
    """`runs`: name -> key, step, timestamp in milliseconds, value, is_nan."""
    with closing(sqlite3.connect(path)) as base, base:
        base.executescript(
            "CREATE TABLE runs (run_uuid, name, status, start_time, end_time, lifecycle_stage, experiment_id);"
            "CREATE TABLE metrics (key, value, timestamp, run_uuid, step, is_nan);"
            "CREATE TABLE params (key, value, run_uuid); CREATE TABLE tags (key, value, run_uuid);"
        )
        for name, rows in runs.items():
            base.execute(
                "INSERT INTO runs VALUES (?, ?, 'FINISHED', 1795744093250, 1795744099250, 'active', 1)",
                (f"id-{name}", name),
            )
            base.execute("INSERT INTO params VALUES ('learning_rate', '0.003', ?)", (f"id-{name}",))
            for key, step, at, value, nan in rows:
                base.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", (key, value, at, f"id-{name}", step, nan))
    return path


def trackio_db(path: Path, rows: Iterable[tuple[int, Mapping[str, Any]]], *, by_id: bool = True) -> Path:
    with closing(sqlite3.connect(path)) as base, base:
        column = "run_id, " if by_id else ""
        base.execute(f"CREATE TABLE metrics (id INTEGER PRIMARY KEY, {column}timestamp, run_name, step, metrics)")
        base.execute(f"CREATE TABLE configs (id INTEGER PRIMARY KEY, {column}run_name, config, created_at)")
        key: tuple[str, ...] = ("k1",) if by_id else ()
        marks = "?, " * len(key)
        base.execute(
            f"INSERT INTO configs VALUES (1, {marks}'calm-sun', ?, '')",
            (*key, json.dumps({"lr": 0.003, "_Username": "me"})),
        )
        for step, row in rows:
            told = (*key, f"2026-11-27T10:00:{step:02d}+00:00", "calm-sun", step, json.dumps(row).encode())
            base.execute(f"INSERT INTO metrics VALUES (NULL, {marks}?, ?, ?, ?)", told)
    return path
