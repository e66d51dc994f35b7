"""What can be told about prepared data without knowing its format."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from progtrain.engine.errors import InputError
from progtrain.engine.files import read_json, sha256
from progtrain.engine.workspace import Workspace

#: Above this a fingerprint is made of names, sizes and times instead of contents.
_HASH_WHOLE_BYTES = 512 * 1024 * 1024

_COUNT_NAMES = (
    "num_samples",
    "n_samples",
    "samples",
    "count",
    "num",
    "n",
    "size",
    "rows",
    "num_rows",
    "length",
)
_SPLITS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation", "dev"),
    "test": ("test", "testing", "holdout"),
}


@dataclass(frozen=True)
class DataStats:
    """What `stats.json` tells; it has no fixed schema."""

    counts: dict[str, int]
    task_type: str | None
    raw: dict[str, Any]


def read_stats(path: Path) -> DataStats:
    """Tolerant: a missing file, or one without the usual names, tells nothing. Raises `InputError` for broken JSON."""
    if not path.is_file():
        return DataStats({}, None, {})
    raw = read_json(path)
    if not isinstance(raw, dict):
        raise InputError("stats.json is one JSON object", file=path, fix="write an object, or remove the file")
    counts = {split: count for split in _SPLITS if (count := _count(raw, split)) is not None}
    task = next((raw[k] for k in ("task_type", "task", "problem_type") if isinstance(raw.get(k), str)), None)
    return DataStats(counts, task, raw)


def _count(raw: dict[str, Any], split: str) -> int | None:
    """`train_samples`, `num_train`, `{"train": 800}`, `{"splits": {"train": {"num_samples": 800}}}` and the like."""
    for name in _SPLITS[split]:
        for key in (name, *(f"{name}_{c}" for c in _COUNT_NAMES), *(f"{c}_{name}" for c in _COUNT_NAMES)):
            if (number := _number(raw.get(key))) is not None:
                return number
        for outer in ("splits", "counts", "num_samples", "samples", "sizes", "n_samples"):
            if isinstance(raw.get(outer), dict) and (number := _number(raw[outer].get(name))) is not None:
                return number
    return None


def _number(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, dict):
        return next((n for c in _COUNT_NAMES if (n := _number(value.get(c))) is not None), None)
    return None


def fingerprint(ws: Workspace, dataset_id: str) -> str:
    """A digest of the training and validation data: of contents, or of names, sizes and times where that is much."""
    folders = [ws.split(dataset_id, "train"), ws.split(dataset_id, "valid")]
    files = sorted(p for folder in folders if folder.is_dir() for p in folder.rglob("*") if p.is_file())
    if sum(p.stat().st_size for p in files) <= _HASH_WHOLE_BYTES:
        parts = [f"{p.relative_to(ws.root).as_posix()}\0{sha256(p)}" for p in files]
    else:
        stats = [(p, p.stat()) for p in files]
        parts = [f"{p.relative_to(ws.root).as_posix()}\0{s.st_size}\0{s.st_mtime_ns}" for p, s in stats]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def available(ws: Workspace) -> list[str]:
    """Names of the prepared data sets."""
    folder = ws.data("x").parent
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
