"""What can be told about prepared data without knowing its format."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.control import digests
from progtrain.engine.errors import InputError
from progtrain.engine.files import object_in, read_json, write_json
from progtrain.engine.workspace import Workspace

#: Above this a fingerprint once was made of names, sizes and times instead of contents.
_HASHED_WHOLE_ONCE = 512 * 1024 * 1024

_COUNTS = ("num_samples", "n_samples", "samples", "count", "size", "num", "n", "rows", "num_rows", "length")
_SPLITS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation", "dev"),
    "test": ("test", "testing", "holdout"),
}


def read_stats(path: Path) -> dict[str, Any]:
    """`stats.json`, which has no fixed schema: {} where there is none. Raises `InputError` for broken JSON."""
    if not path.is_file():
        return {}
    stats = read_json(path)
    if not isinstance(stats, dict):
        raise InputError("stats.json is one JSON object", file=path, fix="write an object, or remove the file")
    return stats


def task_in(stats: Any) -> str | None:
    """The first text under `task_type` or the like, at any depth."""
    for key in ("task_type", "task", "problem_type"):
        for name, value in walk(stats):
            if name == key and isinstance(value, str) and value.strip():
                return value.strip()
    return None


def counts_in(stats: Any) -> dict[str, int]:
    """Samples of "train", "valid" and "test", as far as they are told."""
    return {split: count for split in _SPLITS if (count := _count(stats, split)) is not None}


def _count(stats: Any, split: str) -> int | None:
    """`train_samples`, `num_train`, `{"train": 800}`, `{"splits": {"train": {"num_samples": 800}}}` and the like."""
    counts, names = "|".join((*_COUNTS, "examples", "len")), "|".join(_SPLITS[split])
    spelled = re.compile(rf"(?:(?:{counts})_)?(?:{names})(?:_(?:{counts}))?")
    for name, value in walk(stats):
        if spelled.fullmatch(name):
            if (whole := metrics.count(value)) is not None:
                return whole
            if isinstance(value, dict):
                inner = {plain_name(str(k)): v for k, v in value.items()}
                if (found := next((metrics.count(inner[k]) for k in _COUNTS if k in inner), None)) is not None:
                    return found
    return None


def describe(ws: Workspace, dataset_id: str) -> str:
    """Counts and task, in a line for people. Raises `InputError` for broken JSON."""
    stats = read_stats(ws.stats(dataset_id))
    counts = ", ".join(f"{count} {split}" for split, count in counts_in(stats).items()) or "counts unknown"
    return f"dataset {dataset_id}: {counts}, task {task_in(stats) or 'not stated'}"


def walk(value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """All keys with their values, the outer ones first."""
    if depth > 6:
        return
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        yield from ((plain_name(str(key)), item) for key, item in value.items())
    for child in islice(children, 200):
        yield from walk(child, depth + 1)


def plain_name(name: str) -> str:
    return re.sub(r"[\s\-]+", "_", name.strip()).casefold()


def fingerprint(ws: Workspace, dataset_id: str) -> str:
    """A digest of training and validation data, wherever they lie. Raises as `fingerprints` does."""
    return fingerprints(ws, dataset_id)["data"]


def fingerprints(ws: Workspace, dataset_id: str) -> dict[str, str]:
    """Digests of file names and contents: "data", all that is trained and validated with, wherever it lies; apart from
    that "train" and "valid", as far as there are such folders. Where there is neither, nor data elsewhere, the whole
    folder counts.

    Raises `InputError` for a file that cannot be read.
    """
    folders = {name: folder for name in ("train", "valid") if (folder := ws.split(dataset_id, name)).is_dir()}
    outside = [("", str(path), None) for path in sorted(set(elsewhere(ws, dataset_id))) if path.is_file()]
    whole = {} if folders or outside else {"": ws.data(dataset_id)}
    found = [_below(ws, name, folder) for name, folder in {**folders, **whole}.items()]
    sums = {name: hashlib.sha256() for name in ("data", *folders)}
    begun, last = set(), ""
    for name, path, seen in merge(outside, *found, key=lambda one: one[1].split("/")):
        line = os.fsencode(f"{path.removeprefix(f'{ws.root}/')}\0{digests.of_file(ws, path, seen)}")
        for one in ({"data"} if path != last else set()) | ({name} & folders.keys()):
            sums[one].update(b"\n" + line if one in begun else line)
            begun.add(one)
        last = path
    return {name: one.hexdigest() for name, one in sums.items()}


def _below(ws: Workspace, name: str, folder: Path) -> Iterator[tuple[str, str, os.stat_result | None]]:
    """What a folder of data holds; of the whole folder of a data set, what it is trained and validated with."""
    if not folder.is_dir():
        return
    apart = (f"{folder}/test/", f"{folder}/stats.json", f"{folder}/source.json") if not name else ()
    for path, seen in digests.walk(str(folder), linked=True):
        if not path.startswith(apart):
            yield name, path, seen


def fingerprints_before(ws: Workspace, dataset_id: str) -> dict[str, str]:
    """As `fingerprints` were made once: above 512 MB of names, sizes and times, and without what links lead to.

    With these, versions that were trained then can be told to have had the same data.
    """
    there = {name: _files_of(ws.split(dataset_id, name)) for name in ("train", "valid")}
    outside = {path for path in elsewhere(ws, dataset_id) if path.is_file()}
    groups = {"data": sorted({*there["train"], *there["valid"], *outside}), **there}
    return {name: _digest_before(ws, paths) for name, paths in groups.items() if paths or name == "data"}


def _digest_before(ws: Workspace, paths: list[Path]) -> str:
    seen = [path.stat() for path in paths]
    if sum(one.st_size for one in seen) <= _HASHED_WHOLE_ONCE:
        parts = [f"{ws.relative(p)}\0{digests.of_file(ws, str(p), s)}" for p, s in zip(paths, seen, strict=True)]
    else:
        parts = [f"{ws.relative(p)}\0{s.st_size}\0{s.st_mtime_ns}" for p, s in zip(paths, seen, strict=True)]
    return hashlib.sha256(os.fsencode("\n".join(parts))).hexdigest()


def split_sha256(ws: Workspace, dataset_id: str, name: str) -> str | None:
    """A digest of one split's folder, made as `fingerprints`; None where there is none."""
    folder, digest, before = ws.split(dataset_id, name), hashlib.sha256(), b""
    if not folder.is_dir():
        return None
    for _, path, seen in _below(ws, name, folder):
        digest.update(before + os.fsencode(f"{path.removeprefix(f'{ws.root}/')}\0{digests.of_file(ws, path, seen)}"))
        before = b"\n"
    return digest.hexdigest()


def bytes_of(ws: Workspace, dataset_id: str, names: Iterable[str]) -> int:
    """How much the files of these splits hold."""
    return sum(path.stat().st_size for name in names for path in _files_of(ws.split(dataset_id, name)))


def _files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def elsewhere(ws: Workspace, dataset_id: str) -> list[Path]:
    """The files that `source.json` names: data that stay where they are."""
    listed = object_in(ws.source(dataset_id)).get("files")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return [ws.root / entry["path"] for entry in entries if isinstance(entry.get("path"), str)]


def is_trained_with(ws: Workspace, dataset_id: str, name: str) -> bool:
    """Whether what is called so in the workspace is of the training data, or of data that nobody has parted."""
    path, folder = ws.root / name, ws.data(dataset_id)
    apart = (ws.split(dataset_id, "valid"), ws.split(dataset_id, "test"), ws.stats(dataset_id), ws.source(dataset_id))
    inside = path.is_relative_to(folder) and not any(path.is_relative_to(other) for other in apart)
    return inside or path in elsewhere(ws, dataset_id)


def _changed(ws: Workspace, dataset_id: str) -> list[Path]:
    """Of the files that `source.json` names, those that are not there as they were: by size and time."""
    listed = object_in(ws.source(dataset_id)).get("files")
    found = []
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("path"), str):
            path = ws.root / entry["path"]
            now = path.stat() if path.is_file() else None
            known = entry.get("size"), entry.get("mtime_ns")
            if now is None or any(was not in (None, is_now) for was, is_now in zip(known, _seen(now), strict=True)):
                found.append(path)
    return found


def _seen(now: os.stat_result) -> tuple[int, int]:
    return now.st_size, now.st_mtime_ns


def see_anew(ws: Workspace, dataset_id: str) -> None:
    """Before the first version: what the data are by then is what counts."""
    source = object_in(ws.source(dataset_id))
    listed = source.get("files")
    if not isinstance(listed, list) or not _changed(ws, dataset_id):
        return
    for entry in listed:
        path = ws.root / str(entry.get("path")) if isinstance(entry, dict) else ws.root
        if path.is_file():
            entry["size"], entry["mtime_ns"] = _seen(path.stat())
    write_json(ws.source(dataset_id), source)


def told_of_change(ws: Workspace, dataset_id: str) -> str:
    """Since the first version, in a line; empty where nothing has changed."""
    paths = _changed(ws, dataset_id) if ws.versions() else []
    if not paths:
        return ""
    what = f"{len(paths)} of the data's files are" if len(paths) > 1 else "one of the data's files is"
    name = ws.relative(ws.source(dataset_id))
    return f"{what} not as {name} has it, such as {ws.relative(paths[0])}: versions before and after don't compare"


def available(ws: Workspace) -> list[str]:
    """Names of the prepared data sets."""
    folder = ws.data("x").parent
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
