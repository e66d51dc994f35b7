"""What a script at work must leave as it is: how it was before, and in words what is other afterwards.

Before a training or an evaluation begins `before` takes digests of all that goes into it (`inputs`), of what judges it
(`judges`), and of what was known by then (`records`: scores, weights and documents of other versions, marks, answers,
the journal). The runner keeps them in memory, and in `.progtrain/watched/` for another one that goes on after it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from progtrain.engine import prepared_data
from progtrain.engine.control import digests
from progtrain.engine.control.context import Context
from progtrain.engine.control.journal import Journal
from progtrain.engine.errors import InputError
from progtrain.engine.files import LineReader, opened, try_read_json, write_json
from progtrain.engine.jobs import alive
from progtrain.engine.jobs.base import LOST
from progtrain.engine.script import version_files
from progtrain.engine.workspace import JobFolder, VersionFolder, Workspace

#: what is watched, by what follows from a change of it
KINDS = ("inputs", "judges", "records")
#: of the file that is kept
_FORM = (*((kind, dict) for kind in (*KINDS, "data")), ("journal", list), ("at_ns", int), ("events", int))
#: what the loop alone writes to the journal, and never while a script of its own is at work
_LOOP_ALONE = frozenset(
    ("decision", "step_done", "version_authored", "repair_applied", "repeat_done", "loop_finished", "draft_ready")
)
#: names that are told of one change, and files of the data that are looked for
_MOST_NAMES, _MOST_FILES = 5, 1000
#: the clock that a file gets its times from is a little behind ours
_LATE_NS = 50_000_000


def before(ws: Workspace, version: str, dataset_id: str, *, step: str = "train") -> dict[str, Any]:
    """How all is that `step` of the version must leave as it is; plain JSON. Raises `InputError`, `StorageError`."""
    now = time.time_ns()
    taken: dict[str, Any] = {"version": version, "step": step, "dataset_id": dataset_id, "at_ns": now}
    taken |= _look(ws, version, dataset_id, step)
    taken["journal"], taken["events"] = _journal(ws, None), len(LineReader(ws.journal).read())
    digests.keep(ws)
    return taken


def under_way(context: Context, job: JobFolder) -> bool:
    """Whether another runner began the job, and what came of it is still to be taken."""
    state = context.executor.look(job)
    if state is None or not alive.is_its(alive.told_in(job.path), job.path):
        return False
    return context.rules.on_cluster or state.ended_by != LOST


def keep(ws: Workspace, job: str, taken: Mapping[str, Any]) -> None:
    """For a runner that goes on with the job after this one."""
    write_json(ws.watched(job), taken)


def kept(ws: Workspace, job: str) -> dict[str, Any] | None:
    """What another runner took before it began the job; None where there is nothing of the kind."""
    found = try_read_json(ws.watched(job))
    return found if found is not None and all(isinstance(found.get(key), kind) for key, kind in _FORM) else None


def forget(ws: Workspace, job: str) -> None:
    ws.watched(job).unlink(missing_ok=True)


def changed(ws: Workspace, taken: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """For each of `KINDS` the names of what is other now -> "was changed", "is gone" or "is new"."""
    try:
        now = _look(ws, taken["version"], taken["dataset_id"], taken["step"])
    except InputError as error:
        # one file that nobody can read any more: what it was is known
        now = {**{kind: taken[kind] for kind in KINDS}, "data": taken["data"]}
        now["inputs"] = {**now["inputs"], str(error.file): "unreadable"}
    found = {kind: _differences(taken[kind], now[kind]) for kind in KINDS}
    for split in _splits_changed(taken["data"], now["data"]):
        found["judges" if split == "valid" else "inputs"] |= _files_since(ws, taken, split)
    found["records"] |= _journal_changed(ws, taken)
    return found


def tell(ws: Workspace, taken: Mapping[str, Any], journal: Journal) -> list[str]:
    """Warns of what has changed. Returns the names of the inputs among it."""
    found = changed(ws, taken)
    for text in told(taken, found):
        journal.warn(text)
    return sorted(found["inputs"])


def told(taken: Mapping[str, Any], found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A warning for each kind of which something has changed, with names and what it means."""
    version, doing = taken["version"], "trained" if taken["step"] == "train" else "was evaluated"
    means = {
        "inputs": f"{version} was started with what was there before",
        "judges": f"versions that were evaluated before and after don't compare; {version} is evaluated as it is now",
        "records": "the loop alone writes there: what does not fit its records any more is not ranked",
    }
    return [f"while {version} {doing}, {_in_words(found[kind])}: {means[kind]}" for kind in KINDS if found.get(kind)]


def _in_words(found: Mapping[str, str]) -> str:
    said: dict[str, list[str]] = {}
    for name, what in sorted(found.items()):
        said.setdefault(what, []).append(name)
    return "; ".join(
        f"{', '.join(names[:_MOST_NAMES])}{f' and {len(names) - _MOST_NAMES} more' * (len(names) > _MOST_NAMES)} {what}"
        for what, names in sorted(said.items())
    )


def _differences(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    gone = dict.fromkeys(then.keys() - now.keys(), "is gone")
    new = dict.fromkeys(now.keys() - then.keys(), "is new")
    return gone | new | {name: "was changed" for name in then.keys() & now.keys() if then[name] != now[name]}


# ---- what there is


def _look(ws: Workspace, version: str, dataset_id: str, step: str) -> dict[str, Any]:
    inputs = [*version_files.paths(ws, version).values(), ws.rules, ws.instruction, ws.stats(dataset_id)]
    if step == "evaluate":
        folder = ws.version(version)
        inputs += [folder.best_checkpoint, folder.last_checkpoint, folder.spec]
    return {
        "inputs": _digests(ws, [*inputs, ws.additions(dataset_id)]),
        "judges": _digests(ws, [ws.eval_script, *_below(ws.eval_modules, "**/*.py")]),
        "records": _digests(ws, _records(ws, version)),
        "data": prepared_data.fingerprints(ws, dataset_id),
    }


def _digests(ws: Workspace, paths: Iterable[Path]) -> dict[str, str]:
    return {ws.relative(path): digests.of(ws, path) for path in paths if path.exists()}


def _records(ws: Workspace, version: str) -> Iterator[Path]:
    for other in ("baseline", *ws.versions()):
        if other != version:
            yield from _outputs(ws.version(other))
    for folder in _below(ws.external, "*"):
        yield from _outputs(VersionFolder(folder))
    yield from _below(ws.own / "marks", "*/*.json")
    yield from _below(ws.insight(version).parent, "*.json")
    yield from _below(ws.own / "repeats", "*/*.json")
    yield from _below(ws.own / "repeats", "*/*/result.json")
    yield from (path for path in _below(ws.inbox, "*.json") if path != ws.stop_request)


def _outputs(folder: VersionFolder) -> Iterator[Path]:
    yield from (folder.spec, folder.best_checkpoint, folder.last_checkpoint, folder.eval_score)
    yield from (folder.per_sample, folder.protocol, folder.infer_samples, folder.analysis, folder.action)


def _below(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern)) if folder.is_dir() else []


# ---- data, by the times of their files: names need not be kept for that


def _splits_changed(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Those of "train" and "valid"; "data" where it is what lies elsewhere, or in neither folder."""
    splits = [split for split in ("train", "valid") if then.get(split) != now.get(split)]
    return splits or ["data"] * (then.get("data") != now.get("data"))


def _files_since(ws: Workspace, taken: Mapping[str, Any], split: str) -> dict[str, str]:
    """The files of a split that were changed since; the folder where none was, but some are gone."""
    dataset_id, since = taken["dataset_id"], taken["at_ns"] - _LATE_NS
    folder = ws.data(dataset_id) if split == "data" else ws.split(dataset_id, split)
    outside = prepared_data.elsewhere(ws, dataset_id) if split == "data" else []
    there = ((str(path), path.stat()) for path in outside if path.is_file())
    if not outside and folder.is_dir():
        there = (one for one in digests.walk(str(folder), linked=True) if Path(one[0]) not in _apart(ws, dataset_id))
    names = (name for name, seen in there if max(seen.st_mtime_ns, seen.st_ctime_ns) >= since)
    told = {ws.relative(Path(name)): "was changed" for name in islice(names, _MOST_FILES)}
    return told or {ws.relative(folder): "was changed"}


def _apart(ws: Workspace, dataset_id: str) -> tuple[Path, Path]:
    return ws.stats(dataset_id), ws.source(dataset_id)


# ---- the journal


def _journal(ws: Workspace, size: int | None) -> list[Any]:
    """Size and digest of what stands in it, or of its first `size` bytes."""
    if not ws.journal.is_file():
        return [0, ""]
    digest, read = hashlib.sha256(), 0
    left = ws.journal.stat().st_size if size is None else size
    with opened(ws.journal) as file:
        while block := file.read(min(1 << 20, left - read)):
            digest.update(block)
            read += len(block)
    return [read, digest.hexdigest()]


def _journal_changed(ws: Workspace, taken: Mapping[str, Any]) -> dict[str, str]:
    name, (size, digest) = ws.relative(ws.journal), taken["journal"]
    if _journal(ws, size) != [size, digest]:
        return {name: "was changed"}
    new = LineReader(ws.journal).read()[taken["events"] :]
    foreign = any(event.get("event") in _LOOP_ALONE for event in new)
    return {name: "has lines that the loop did not write"} if foreign else {}
