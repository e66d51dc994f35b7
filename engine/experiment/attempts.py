"""One attempt at a training or an evaluation: starting it, and what comes of it. Marks are written last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from progtrain.engine import values
from progtrain.engine.errors import ProgtrainError, StorageError
from progtrain.engine.experiment import devices, notify, placing, results, retry, state
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.logbook import Logbook
from progtrain.engine.experiment.opening import memory_mb, minutes, resources_of, tool_of, worker_of
from progtrain.engine.experiment.rows import row
from progtrain.engine.experiment.state import Part, RunState
from progtrain.engine.experiment.workers.base import Ended, EvaluationWorker, Piece, TrainingWorker
from progtrain.engine.files import object_in, sha256, try_read_json, write_json, write_text
from progtrain.engine.jobs import alive, leftovers
from progtrain.engine.jobs.base import Executor, Seen
from progtrain.engine.schema import JobState
from progtrain.engine.script.repair.failure import Failure
from progtrain.engine.workspace import JobFolder


def changes_of(part: Part, folder: ExperimentFolder) -> dict[str, Any]:
    """What its last attempt has otherwise than the plan."""
    return object_in(folder.run(part.run.name).changes(part.what, part.attempt)) if part.attempt else {}


# starting


def start(piece: Piece, part: Part, executor: Executor, log: Logbook, states: Sequence[RunState]) -> JobFolder:
    """Submits another attempt, or the one that was begun and never submitted. Raises `StorageError`."""
    begun = state.is_open(part)
    number = part.attempt if begun else part.attempt + 1
    attempt = piece.folder.attempt(part.what, number)
    changes = changes_of(part, piece.experiment.folder) if begun else _changes(piece, part, states)
    # before the attempt's folder is there: it says what that is about
    write_json(piece.folder.changes(part.what, number), {**changes, "of": part.identity})
    if not begun and part.attempt and (part.failure or {}).get("cause") == retry.LOST:
        # whoever watches over the one before, wherever that is: it ends itself
        before = piece.folder.attempt(part.what, part.attempt)
        leftovers.end(before.path)
        write_text(before.fence, attempt.path.name)
    piece = Piece(piece.experiment, piece.run, piece.cell, changes.get("settings", {}))
    try:
        _submit(piece, attempt, executor, changes, _devices(piece, states))
    except StorageError:
        raise
    except ProgtrainError as error:
        attempt.path.mkdir(parents=True, exist_ok=True)
        _fail(piece, part._replace(attempt=number), "could not start", str(error), None, log)
        return attempt
    told = f"submitted as {attempt.path.name}" + (f": {changes['why']}" if changes.get("why") else "")
    about = {"run": part.run.name, "what": part.what, "attempt": number}
    log.write("submitted", told, tool=tool_of(piece), **about)
    return attempt


def _submit(
    piece: Piece, attempt: JobFolder, executor: Executor, changes: Mapping[str, Any], gpus: Sequence[str]
) -> None:
    plan = piece.experiment.plan
    request = worker_of(piece).request(piece, attempt, resume=bool(changes.get("resume")))
    logs = piece.folder.evaluations if piece.cell else piece.folder.path
    update: dict[str, Any] = {"resources": resources_of(plan, changes).model_copy(update={"logs": str(logs)})}
    limits = [request.timeout_seconds, piece.experiment.rules.timeout_seconds]
    # an estimate is no reason to end what nobody else waits for
    if plan.resources.executor == "local" and plan.resources.time != "auto" and (limit := minutes(plan)):
        limits.append(limit * 60.0)
    update["timeout_seconds"] = min((limit for limit in limits if limit is not None), default=None)
    if gpus:
        update["environment"] = {**request.environment, devices.VARIABLE: ",".join(gpus)}
    for folder in (attempt.path.parent, logs):
        folder.mkdir(parents=True, exist_ok=True)
    executor.submit(attempt, request.model_copy(update=update))
    if attempt.batch.exists():
        # under the name that users look for, beside what Slurm itself prints of the job
        own = piece.folder.cell_script(piece.cell.name) if piece.cell else piece.folder.batch_script
        placing.put({}, {own: placing.leading(own, attempt.batch)}, piece.folder.path)


def _devices(piece: Piece, states: Sequence[RunState]) -> list[str]:
    """GPUs for one that is to be started on this machine, where several may run at once; empty: as it finds them."""
    asked = piece.experiment.plan.resources
    if asked.executor != "local" or asked.parallel == 1 or not asked.gpus:
        return []
    folder = piece.experiment.folder
    at_work = [part for held in states for part in held.parts if part.phase in state.AT_WORK]
    return devices.free(state.attempt_of(part, folder) for part in at_work)[: asked.gpus]


def _changes(piece: Piece, part: Part, states: Sequence[RunState]) -> dict[str, Any]:
    """Of the next attempt: what follows on a failure, or what a run like it has learned."""
    failure = part.failure or {}
    if part.again:
        kept = changes_of(part, piece.experiment.folder)
        kept = {key: value for key, value in kept.items() if key in ("settings", "memory_mb")}
        goes_on = failure.get("cause") in retry.GOES_ON and _can_resume(piece)
        return {**kept, "resume": goes_on, "why": "started again by hand"}
    if part.failure and failure.get("next"):
        return dict(failure["next"])
    return _learned(piece, part, states)


def _learned(piece: Piece, part: Part, states: Sequence[RunState]) -> dict[str, Any]:
    """Where another run with no more memory to fill had to be made smaller, this one begins with that."""
    if part.cell is not None:
        return {}
    for held in states:
        other = held.training
        # a first attempt has learned it from one of those, if at all
        if other.attempt < 2 or other.phase != "trained" or other.run.name == part.run.name:
            continue
        settings = changes_of(other, piece.experiment.folder).get("settings")
        if settings and retry.at_least_as_large(part.run, other.run, settings):
            return {"settings": settings, "why": f"as {other.run.name}, which ran out of memory as planned"}
    return {}


def _can_resume(piece: Piece) -> bool:
    worker = worker_of(piece)
    return isinstance(worker, TrainingWorker) and worker.can_resume(piece)


# what came of it


def take_in(piece: Piece, part: Part, log: Logbook, *, patient: bool, shared: bool) -> bool:
    """Looks at what an ended job left: a mark or a failure. False where it is `patient` and outputs may still come.

    `shared`: others may have used the same device meanwhile.
    """
    seen = part.seen
    assert seen is not None
    attempt = state.attempt_of(part, piece.experiment.folder)
    if not alive.is_its(alive.told_in(attempt.path), attempt.path):
        seen = Seen("lost", "it is the attempt of another folder, which this one was copied from", retry.LOST)
    ended = _looked_at(piece, attempt, seen)
    if ended is not None and ended.failure is None:
        _done(piece, part, ended, seen, log)
        return True
    if patient and seen.phase == "done":
        return False
    cause, reason = retry.cause_of(seen, ended.failure if ended else None)
    _fail(piece, part, cause, reason, ended.failure if ended else None, log, shared=shared)
    return True


def _looked_at(piece: Piece, attempt: JobFolder, seen: Seen) -> Ended | None:
    """None where the executor's word says all."""
    if seen.state is None or seen.phase not in ("done", "failed") or seen.cause in ("time limit", "host memory"):
        return None
    try:
        return worker_of(piece).ended(piece, attempt, seen.state)
    except StorageError:
        raise
    except ProgtrainError as error:
        return Ended(Failure("outputs", error.located, error.fix or ""))


def _done(piece: Piece, part: Part, ended: Ended, seen: Seen, log: Logbook) -> None:
    experiment, run = piece.experiment, part.run.name
    about: dict[str, Any] = {"run": run, "what": part.what, "attempt": part.attempt}
    for note in ended.notes:
        log.write("note", note, tool=tool_of(piece), **about)
    worker = worker_of(piece)
    if isinstance(worker, EvaluationWorker):
        scores = worker.scores(piece)
        results.append(experiment.folder, row(piece, part, "done", scores=scores))
        told = ", ".join(f"{s.metric} {'-' if s.value is None else values.metric(s.value)}" for s in scores)
        about["metrics"] = {score.metric: score.value for score in scores}
    else:
        told = ""
    _mark(piece, part, ended.outputs, seen.state)
    seconds = seen.state.seconds if seen.state else 0.0
    event: Literal["evaluated", "trained"] = "evaluated" if piece.cell else "trained"
    text = f"{event} in {seconds:.1f} s{f': {told}' if told else ''}"
    log.write(event, text, tool=tool_of(piece), seconds=seconds, **about)


def _mark(piece: Piece, part: Part, outputs: Iterable[Path], ended: JobState | None) -> None:
    root = piece.experiment.folder.path
    write_json(
        piece.folder.mark(part.what),
        {
            "step": "evaluate" if piece.cell else "train",
            "version": part.run.name,
            "finished_at": piece.experiment.clock().isoformat(),
            "seconds": round(ended.seconds, 3) if ended else 0.0,
            "outputs": {_relative(path, root): sha256(path) for path in outputs},
            "inputs": {**part.identity, "attempt": str(part.attempt)},
        },
    )


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def check(piece: Piece, part: Part, log: Logbook) -> None:
    """Whether what a training left is still what it wrote, and can be loaded. Its mark is taken back where not."""
    root, tool = piece.experiment.folder.path, tool_of(piece)
    mark = part.mark or {}
    failure = next(
        (
            Failure("outputs", f"{name} {why}", "train it again")
            for name, digest in values.within(mark, "outputs").items()
            if (why := _why_wrong(root / name, digest))
        ),
        None,
    )
    worker = worker_of(piece)
    assert isinstance(worker, TrainingWorker)
    failure = failure or worker.check(piece)
    if failure is None:
        write_json(piece.folder.mark("check"), {"of": mark.get("finished_at")})
        log.write("note", "its results can be loaded", tool=tool, run=part.run.name, what=part.what)
        return
    piece.folder.mark(part.what).unlink(missing_ok=True)
    _fail(piece, part, failure.cause, failure.error_summary, failure, log, final=True)


def _why_wrong(path: Path, digest: str) -> str:
    if not path.exists():
        return "is gone"
    return "" if sha256(path) == digest else "is not what the training wrote"


def _fail(
    piece: Piece,
    part: Part,
    cause: str,
    reason: str,
    failure: Failure | None,
    log: Logbook,
    *,
    final: bool = False,
    shared: bool = False,
) -> None:
    """Writes down that an attempt failed, why, and what follows. `final`: nothing does."""
    plan = piece.experiment.plan
    changes = changes_of(part, piece.experiment.folder)
    step = state.progress(piece.folder.attempt(part.what, part.attempt)).get("step")
    following, advice = None, "mend it, then: progtrain experiment resume"
    asked = piece.experiment.folder.cancelled(part.run.name).exists()
    if cause == retry.CANCELLED:
        reason, advice = (
            "cancelled by you" if asked else reason or "cancelled from outside",
            "progtrain experiment resume",
        )
    elif not final and not asked:
        past = _past(piece, part, cause, reason, changes, step)
        following, advice = retry.following(past._replace(shared=shared), plan.retry)
    told: dict[str, Any] = {
        "at": piece.experiment.clock().isoformat(),
        "cause": cause,
        "reason": reason,
        "hypothesis": failure.root_cause_hypothesis if failure else "",
        "file": failure.file if failure else None,
        "line": failure.line if failure else None,
        "step": step,
        **part.identity,
        "next": following,
        "advice": "" if following else advice,
    }
    if following is None:
        cell_state = "cancelled" if cause == retry.CANCELLED else "failed"
        results.append(piece.experiment.folder, row(piece, part, cell_state, cause=cause))
    write_json(piece.folder.failure(part.what, part.attempt), told)
    about = {"run": part.run.name, "what": part.what, "attempt": part.attempt, "cause": cause, "reason": reason}
    log.write("attempt_failed", f"{cause}: {reason}", tool=tool_of(piece), **about)
    if following is None:
        log.write("failed", f"no further attempt; {advice}", tool=tool_of(piece), **about)
        if cause != retry.CANCELLED:
            notify.tell(piece.experiment.folder, plan, "failed", about)


def _past(
    piece: Piece, part: Part, cause: str, reason: str, changes: Mapping[str, Any], step: int | None
) -> retry.Past:
    worker, seen = worker_of(piece), part.seen
    smaller = None
    if cause == retry.OUT_OF_MEMORY and isinstance(worker, TrainingWorker):
        smaller = worker.smaller(piece)
    lost_with_its_node = seen is not None and seen.cause == "node failure"
    return retry.Past(
        cause,
        reason,
        _earlier(piece, part),
        changes,
        step,
        seen.node if seen and lost_with_its_node else None,
        changes.get("memory_mb") or memory_mb(piece.experiment.plan),
        smaller,
        _can_resume(piece),
    )


def _earlier(piece: Piece, part: Part) -> list[dict[str, Any]]:
    """Failures of the attempts before, back to where a person asked for one, or it was about something else."""
    found: list[dict[str, Any]] = []
    for number in range(part.attempt - 1, 0, -1):
        failed = try_read_json(piece.folder.failure(part.what, number))
        other = failed is None or any(failed.get(k) != v for k, v in part.identity.items())
        if other or piece.folder.again(part.what, number).exists():
            break
        found.insert(0, failed)
    return found
