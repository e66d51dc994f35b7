"""Versions as plain values, which is what every tracker is given: settings, curves with step and time, results, origin.

Read from the files of the workspace when asked; curves are read in blocks of rows, however long they are.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import compress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from progtrain.engine.analysis.measure.reading import choose_log
from progtrain.engine.errors import InputError
from progtrain.engine.files import MOST_LINE, LineReader, opened, sha256, sha256_text, try_read_json
from progtrain.engine.metrics import finite
from progtrain.engine.rules import goal
from progtrain.engine.status.rows import basis
from progtrain.engine.status.snapshot import VersionView
from progtrain.engine.status.state import LoopState
from progtrain.engine.text import clean_line
from progtrain.engine.trackers import columns
from progtrain.engine.trackers.columns import Block
from progtrain.engine.workspace import Workspace

#: columns of a log that hold the time of a row: seconds or milliseconds since 1970
_TIMES = frozenset({"timestamp", "time", "wall_time", "walltime", "_timestamp", "t", "created_at"})
#: seconds of the year 2001 and of 5138: what lies between is a time in seconds, what lies above one in milliseconds
_OLDEST, _NEWEST = 1e9, 1e11
#: of `spec.json`, as facts of a run
_FACTS = ("dataset_id", "seed", "script_sha256", "data_sha256", "train_sha256", "valid_sha256", "parameters", "device")

#: of one row of a log: step, epoch, milliseconds since 1970, numbers by name (those that are not finite too)
Row = tuple[int, int | None, int, dict[str, float]]


class Run(NamedTuple):
    """One version that was trained, without its curves: those come from `rows`."""

    #: 12 hex digits, the same each time: of workspace, version and checkpoint
    id: str
    version: str
    #: name of the workspace's folder
    project: str
    #: the version that it was made from, and the id of that run
    base: str | None
    base_id: str | None
    #: the change that made it; "baseline" for the first
    action: str
    #: `v003 = v002 + learning_rate 0.02 -> 0.06`
    lineage: str
    params: Mapping[str, Any]
    #: by the evaluation, under its names, finite ones alone; `latency_ms` among them
    final: Mapping[str, float]
    #: milliseconds since 1970: of training and evaluation
    started: int
    ended: int
    evaluated: int
    #: verdict, hashes, dataset and the like, as text
    facts: Mapping[str, str]
    artifacts: tuple[Path, ...]
    log: Path | None
    #: where the times of the rows come from: the log itself, the looks at the training's progress (interpolated between
    #: two of them, 0.3 s apart), or nothing but its begin and end
    times: Literal["log", "progress", "spread"]
    #: the looks at progress: (step, milliseconds), both increasing
    progress: Sequence[tuple[int, int]]
    #: changes when anything of this or its curves does
    digest: str


def read(ws: Workspace, versions: Sequence[str] = ()) -> list[Run]:
    """Runs of the versions that were trained, or of those named, a base before what was made from it.

    Raises `InputError` for one that is named and does not exist or was not trained, and where there is none at all.
    """
    state = LoopState()
    for event in LineReader(ws.journal).read():
        state.add(event)
    views = {row.version: row for row in basis(ws, state, "finished", goal.read(ws)).versions}
    trained = [version for version in views if _trained(ws, version)]
    for version in versions:
        if version not in trained:
            reason = "has not been trained" if version in views else "is no version of this workspace"
            fix = f"trained are: {', '.join(trained) or 'none yet; progtrain run trains the first'}"
            raise InputError(f"{version!r} {reason}", file=ws.root, place="--versions", fix=fix)
    if not trained:
        raise InputError("no version has been trained yet", file=ws.root, fix="progtrain run trains the first")
    own = workspace_id(ws)
    primary = goal.primary_metric(goal.read(ws))
    return [_run(ws, own, views[v], primary) for v in trained if not versions or v in versions]


def workspace_id(ws: Workspace) -> str:
    """The same for a workspace wherever it is moved or copied to: of the first line of its journal.

    Without a journal (a workspace that came without `.progtrain/`) it is empty, and checkpoints alone tell runs apart.
    """
    try:
        with opened(ws.journal) as file:
            return hashlib.sha256(file.readline(MOST_LINE).strip()).hexdigest()[:12]
    except OSError:
        return ""


def _trained(ws: Workspace, version: str) -> bool:
    """By its mark; where the engine's own folder is gone, by a score or a checkpoint."""
    folder = ws.version(version)
    if ws.own.is_dir() and not folder.eval_score.exists():
        return ws.mark(version, "train").exists()
    return folder.eval_score.exists() or folder.best_checkpoint.exists()


def _run(ws: Workspace, own: str, view: VersionView, primary: str) -> Run:
    folder = ws.version(view.version)
    spec = _object(try_read_json(folder.spec))
    log = _log(ws, view.version)
    progress = _progress(ws.live(view.version))
    started, ended = _span(spec, progress, log)
    evaluated = max(_milliseconds(view.created_at) or ended, started)
    final = {name: value for name, value in view.metrics.items() if value is not None}
    if view.latency_ms is not None:
        final.setdefault("latency_ms", view.latency_ms)
    action = clean_line(view.action or "").replace("→", "->")
    artifacts = tuple(path for path in (folder.per_sample, folder.action, folder.analysis) if path.is_file())
    run = Run(
        id=_id(ws, own, view.version),
        version=view.version,
        project=clean_line(ws.root.name) or "progtrain",
        base=view.base,
        base_id=None if view.base is None else _id(ws, own, view.base),
        action=action,
        lineage=_lineage(view.version, view.base, action),
        params=_object(spec.get("settings")),
        final=final,
        started=started,
        ended=ended,
        evaluated=evaluated,
        facts=_facts(spec, view, primary, own),
        artifacts=artifacts,
        log=log,
        times="log" if log and _has_times(log) else "progress" if progress else "spread",
        progress=progress,
        digest="",
    )
    return run._replace(digest=_digest(run))


def _lineage(version: str, base: str | None, action: str) -> str:
    if base is None:
        return f"{version} = {action}" if action else f"{version} (nobody knows what it was made from)"
    return f"{version} = {base} + {action}"


def _log(ws: Workspace, version: str) -> Path | None:
    """The training's own, else the curve that the hooks kept."""
    found = choose_log(ws, ws.version(version))
    return found or next((path for path in (ws.curve(version),) if path.is_file()), None)


def _id(ws: Workspace, own: str, version: str) -> str:
    return sha256_text(f"{own}\n{version}\n{_checkpoint(ws, version)}")[:12]


def _checkpoint(ws: Workspace, version: str) -> str:
    """As `spec.json` has it, so that it stays the same where the file itself was removed to save space."""
    stated = _object(_object(try_read_json(ws.version(version).spec)).get("checkpoint")).get("best_sha256")
    if isinstance(stated, str):
        return stated
    best = ws.version(version).best_checkpoint
    return sha256(best) if best.exists() else ""


def _facts(spec: Mapping[str, Any], view: VersionView, primary: str, own: str) -> dict[str, str]:
    told: dict[str, object] = {name: spec.get(name) for name in _FACTS}
    told |= {"primary_metric": primary, "verdict": view.verdict_previous, "workspace_id": own, "reason": view.reason}
    told["checkpoint_sha256"] = _object(spec.get("checkpoint")).get("best_sha256")
    return {name: clean_line(value) for name, value in told.items() if value not in (None, "")}


def _digest(run: Run) -> str:
    told = run._replace(artifacts=(), log=None, progress=())._asdict()
    files = [sha256(path) for path in (*run.artifacts, *([run.log] if run.log else []))]
    return sha256_text(json.dumps([told, files, list(run.progress)], sort_keys=True, default=str))


# ---- times


def _progress(path: Path) -> list[tuple[int, int]]:
    """Of a training that was taken up again, the last time that a step was reached counts."""
    found: list[tuple[int, int]] = []
    for line in reversed(LineReader(path, having=b'"t"').read()):
        at, step = finite(line.get("t")), finite(line.get("step"))
        if at is not None and step is not None and (not found or (step < found[-1][0] and at * 1000 <= found[-1][1])):
            found.append((int(step), round(at * 1000)))
    return found[::-1]


def _span(spec: Mapping[str, Any], progress: Sequence[tuple[int, int]], log: Path | None) -> tuple[int, int]:
    """Begin and end of the training, as near as they are known."""
    begun, done = _milliseconds(spec.get("training_started_at")), _milliseconds(spec.get("created_at"))
    if progress:
        begun, done = (begun if begun is not None else progress[0][1]), progress[-1][1]
    if done is None and log is not None:
        done = round(log.stat().st_mtime * 1000)
    known = [time for time in (begun, done) if time is not None] or [0]
    return min(known), max(known)


def _milliseconds(text: object) -> int | None:
    try:
        return round(datetime.fromisoformat(str(text)).timestamp() * 1000) if text else None
    except (ValueError, OverflowError):
        return None


def _of_time(value: float | None) -> int | None:
    """A time of a log in milliseconds; None for what is none."""
    if value is None or not math.isfinite(value) or value < _OLDEST:
        return None
    return round(value * 1000) if value < _NEWEST else round(value)


def _has_times(log: Path) -> bool:
    """Looks at the first row alone."""
    for _, _, logged in columns.read(log, rows=1):
        return any(told for name in _timed(logged) for told in map(_of_time, logged[name]))
    return False


def _timed(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.casefold() in _TIMES]


def _clock(run: Run) -> Callable[[int], int]:
    """When a step was reached, by what is known beside the log."""
    known = run.progress if run.times == "progress" else ((0, run.started), (_last_step(run), run.ended))
    steps, times = [step for step, _ in known], [time for _, time in known]

    def at(step: int) -> int:
        right = bisect_left(steps, step)
        if right == 0 or right == len(steps):
            return times[min(right, len(steps) - 1)]
        share = (step - steps[right - 1]) / (steps[right] - steps[right - 1])
        return round(times[right - 1] + share * (times[right] - times[right - 1]))

    return at


def _last_step(run: Run) -> int:
    return max((max(steps) for steps, _, _ in columns.read(run.log)), default=1) or 1 if run.log else 1


# ---- curves


def rows(run: Run) -> Iterator[Row]:
    """The log of a run, a row at a time; a row whose time is not known has that of its step."""
    for times, (steps, epochs, held) in blocks(run):
        cells = zip(*held.values(), strict=True)
        for step, epoch, at, values in zip(steps, epochs, times, cells, strict=True):
            yield step, epoch, at, {name: value for name, value in zip(held, values, strict=True) if value is not None}


def blocks(run: Run) -> Iterator[tuple[list[int], Block]]:
    """The same by column, some thousand rows at a time: the milliseconds since 1970 of each row, and the rows."""
    if run.log is None:
        return
    clock: Callable[[int], int] | None = None
    for steps, epochs, held in columns.read(run.log):
        times: list[int | None] = [None] * len(steps)
        if run.times == "log":
            times, held = _apart(times, held)
        nothing = (None,) * len(held)
        told = [values != nothing for values in zip(*held.values(), strict=True)]
        if not any(told):
            continue
        if not all(told):
            steps, epochs = list(compress(steps, told)), list(compress(epochs, told))
            times = list(compress(times, told))
            held = {name: list(compress(column, told)) for name, column in held.items()}
        clock = clock or (_clock(run) if None in times else None)
        if clock:
            times = [clock(step) if at is None else at for step, at in zip(steps, times, strict=True)]
        yield [at for at in times if at is not None], (steps, epochs, held)


_Columns = dict[str, list[float | None]]


def _apart(times: list[int | None], held: _Columns) -> tuple[list[int | None], _Columns]:
    """The time of each row, and the numbers without it."""
    left = held.copy()
    for name in _timed(held):
        told = [*map(_of_time, held[name])]
        times = [before if at is None else at for before, at in zip(times, told, strict=True)]
        # what says a time in one row can be a number like any other in the next
        left[name] = [value if at is None else None for value, at in zip(held[name], told, strict=True)]
        if left[name].count(None) == len(times):
            del left[name]
    return times, left


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
