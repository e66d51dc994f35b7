"""Step 1: trains `02_train_v###.py` as the user would, and sees to it that what must come of it is there.

Reads the script and the rules. Writes nothing into the version's folder but `spec.json` (completed) and
`_tests/train_retry_report.md`; the rest is the script's own.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from progtrain.engine.control import digests, marks, watched
from progtrain.engine.control.context import Context, forget, set_aside
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.experiment import checkpoints
from progtrain.engine.files import (
    LineReader,
    object_in,
    read_json,
    read_text,
    storage_errors,
    try_read_json,
    write_text,
)
from progtrain.engine.jobs import alive
from progtrain.engine.jobs.base import GO_ON_LATER, LOST
from progtrain.engine.loop import attempts, elsewhere, left_behind, spec
from progtrain.engine.loop.collect import collect
from progtrain.engine.schema import JobState, Review
from progtrain.engine.script import version_files
from progtrain.engine.script.repair.failure import Failure, explain
from progtrain.engine.script.repair.repairs import advice, propose
from progtrain.engine.script.settings import find_settings
from progtrain.engine.text import tail, unified_diff
from progtrain.engine.workspace import JobFolder, VersionFolder, Workspace

#: Causes for which the same script may well succeed the next time.
WORTH_REPEATING = {"signal", "guard lost", "lost", "node failure", "preempted"}
#: what stands behind an end that a cluster tells of
_ON_CLUSTER = {
    "host memory": "it needs more memory than it asked for: raise loop_config.resources.memory",
    "node failure": "a fault of the node, not of the script",
    "preempted": "the cluster gave its place to others",
    "lost": "killed from outside, or its node restarted",
}


def reasons(context: Context, version: str) -> list[str]:
    """Why the version must be trained; empty when a finished, valid training is there."""
    return marks.why_not_done(context.ws, version, "train", adopt=lambda: _adopt(context, version))


def run(context: Context, version: str) -> str:
    """Trains until it succeeds, repairing on the way as the user allows. Returns a line for the journal.

    Raises `DecisionNeeded`, `StepFailed` when no attempt is left and nobody can be asked, `Stopped`.
    """
    ws = context.ws
    last = attempts.last(ws, version)
    started_again = last.number if last else 0
    while True:
        context.check_stop()
        last = attempts.last(ws, version)
        if last is not None and not last.resolved:
            _resolve(context, version, last, started_again=last.number == started_again)
            continue
        number = last.number + 1 if last else 1
        name = f"{version}-train-{number}"
        prepare(context, version, name)
        failure = attempt(context, version, name)
        if failure is None:
            break
        attempts.archive(ws, version, number, failure, ws.job(name), context.clock)
        _taken(ws.job(name))
        summary = failure.error_summary
        context.journal.write("attempt_failed", version=version, attempt=number, cause=failure.cause, summary=summary)
        _reset(ws.version(version))
        attempts.write_report(ws, version)
    attempts.write_report(ws, version, passed=number)
    return f"trained in {mark(context, version, name):.1f} s"


def mark(context: Context, version: str, name: str) -> float:
    """Says that the training is done, by the job of that name. Returns how long it took, in seconds."""
    ws, job = context.ws, context.executor.look(context.ws.job(name))
    seconds = job.seconds if job else 0.0
    # what it was started with, which need not be what lies there now
    stated = read_json(ws.version(version).spec)
    script = {ws.script(version).name: stated["script_sha256"]}
    inputs = {"script": stated["script_sha256"], "rules": stated["rules_sha256"]}
    inputs |= {f"file {path}": digest for path, digest in {**script, **stated["files"]}.items()}
    marks.write(ws, version, "train", outputs(ws, version), clock=context.clock, seconds=seconds, inputs=inputs)
    _taken(ws.job(name))
    watched.forget(ws, name)
    return seconds


def _taken(job: JobFolder) -> None:
    """Nothing takes its result again: marks and attempts may be removed, and the script changed."""
    if job.path.is_dir():
        with storage_errors(job.taken):
            job.taken.touch()


def outputs(ws: Workspace, version: str) -> list[Path]:
    """What a finished training is recognised by."""
    folder = ws.version(version)
    return [path for path in (folder.best_checkpoint, folder.last_checkpoint, folder.spec) if path.exists()]


def attempt(context: Context, version: str, name: str) -> Failure | None:
    """One training. None when it is whole and valid."""
    script = context.ws.script(version)
    words = version_files.arguments(context.ws, version, context.rules.training_args)
    begun = _begun(context, version, name)
    state = _run_to_its_end(context, version, name, [script.name, *words])
    left_behind.take_away(context, version, state.started_at)
    if begun is not None:
        begun["changed"] = watched.tell(context.ws, begun, context.journal)
    failure, brought = came_of(context, version, state, context.executor.log(context.ws.job(name)), begun)
    if failure is None and checkpoints.complete_curve(context.ws, version):
        brought.append("it was cut short and gone on with: metrics.csv has the rows of the starts before too")
    if brought:
        context.journal.write("note", text=f"{version}: {'; '.join(brought)}")
    if failure is None:
        checkpoints.forget(context.ws, version)
    return failure


def _begun(context: Context, version: str, name: str) -> dict[str, Any] | None:
    """How all was when the training began, which another runner may have begun; None where that one did not say."""
    ws = context.ws
    if watched.under_way(context, ws.job(name)):
        return watched.kept(ws, name)
    taken = watched.before(ws, version, context.dataset_id) | {"started_with": spec.started_with(context, version)}
    watched.keep(ws, name, taken)
    return taken


def _run_to_its_end(context: Context, version: str, name: str, words: list[str]) -> JobState:
    """A job whose time is nearly over saves and stops: another one goes on from there, as long as it gets further."""
    ws, script = context.ws, context.ws.script(version)
    going_on, reached = None, -1
    while True:
        state = context.run_script(
            name, words, live_version=version, begins_as=script, going_on=going_on, writes=ws.version(version).path
        )
        if state.ended_by != GO_ON_LATER:
            checkpoints.put_back_best(ws, version)
            return state
        before, reached = reached, _step(ws, version)
        going_on = checkpoints.keep(ws, version, f"{name}-{reached}") if reached > before else None
        if going_on is None:
            return state
        context.journal.write("note", text=f"{version}: its time was nearly over; it goes on from step {reached}")
        shutil.rmtree(ws.job(name).path, ignore_errors=True)


def _step(ws: Workspace, version: str) -> int:
    """How far the training got."""
    told = [line["step"] for line in LineReader(ws.live(version)).read() if isinstance(line.get("step"), int)]
    return max(told, default=0)


def came_of(
    context: Context, version: str, state: JobState, output: Path, begun: Mapping[str, Any] | None = None
) -> tuple[Failure | None, list[str]]:
    """What came of a training that has ended: None when it is whole and valid; and what was brought to its folder.

    `output` is what the training printed, `begun` how all was before, where that is known. Completes `spec.json`.
    Raises `StorageError` when the disk is full.
    """
    if state.ended_by == GO_ON_LATER:
        summary = "its time was over, and it left nothing further to go on from"
        hypothesis = "the training takes longer than it was given: ask for more in loop_config.resources.time"
        return Failure("time limit", summary, hypothesis), []
    if state.ended_by == LOST:
        seen = object_in(JobFolder(output.parent).seen)
        if seen.get("cause") and seen.get("reason"):
            # as the cluster says it
            return Failure(str(seen["cause"]), str(seen["reason"]), _ON_CLUSTER.get(seen["cause"], "")), []
        lost = Failure(
            cause="guard lost",
            error_summary="the training ended without a word: its guard was killed, or the machine restarted",
            root_cause_hypothesis="killed from outside, or a restart of the machine",
        )
        return lost, []
    if state.exit_code != 0 or state.ended_by:
        return _in_sandbox(context, version, explain(tail(output), state.exit_code, state.ended_by)), []
    brought: list[str] = []
    try:
        brought, spared = collect(context.ws, version, output)
        _check_outputs(context.ws.version(version), spared)
        spec.complete(context, version, started_at=state.started_at, begun=begun)
        spec.check_locks(context, version)
    except (InputError, StepFailed) as error:
        failure = Failure(
            cause="outputs",
            error_summary=str(error),
            root_cause_hypothesis="the script does not keep to what is required",
        )
        return failure, brought
    return None, brought


def _in_sandbox(context: Context, version: str, failure: Failure) -> Failure:
    """The system says no more than that a permission is missing."""
    if not context.rules.sandboxed or not re.search("PermissionError|Read-only file system", failure.error_summary):
        return failure
    folder = context.ws.relative(context.ws.version(version).path)
    why = f"in the sandbox a training writes to {folder} and to temporary files alone: write there, or do without it"
    return replace(failure, cause="sandbox", root_cause_hypothesis=why)


def _check_outputs(folder: VersionFolder, not_made: list[str]) -> None:
    spared = {*not_made, *object_in(folder.spec).get("not_required", [])}
    for path in (folder.eval_score, folder.infer_samples):
        if path.exists():
            raise StepFailed(
                "the training wrote it, which only the evaluation may",
                file=path,
                fix="take the writing of eval_score.json and infer_samples/ out of the training script",
            )
    required = {"best.ckpt": folder.best_checkpoint, "last.ckpt": folder.last_checkpoint}
    log_dirs = folder.log_dirs()
    for name in ("metrics.csv", "hparams.yaml"):
        required[name] = (log_dirs[-1] if log_dirs else folder.logs / "version_0") / name
    for name, path in required.items():
        if not path.is_file() and name not in spared:
            raise StepFailed(
                "the script ended without an error and did not write it",
                file=path,
                fix=f'let the script write it, or name "{name}" in not_required of spec.json',
            )


def _adopt(context: Context, version: str) -> bool:
    """Takes over a training without a mark: the engine's own (a copied workspace, say), or one from elsewhere."""
    ws, folder = context.ws, context.ws.version(version)
    best = folder.best_checkpoint
    own = best.is_file() and elsewhere.stated_digest(folder) == digests.of(ws, best)
    experiment = elsewhere.experiment_of(ws, version)
    if experiment == "":
        return False
    if not own and not elsewhere.is_finished(context, version):
        return False
    if not context.dry_run:
        stated = try_read_json(folder.spec)
        script = stated.get("script_sha256", "") if own and stated is not None else digests.of(ws, ws.script(version))
        inputs = {"script": str(script)}
        marks.write(ws, version, "train", outputs(ws, version), clock=context.clock, inputs=inputs, adopted=True)
        told = "" if own else f", not trained again: {elsewhere.described(ws, version)}"
        told = f", not trained again: that of experiment {experiment}" if experiment else told
        context.journal.write("note", text=f"{version}: a finished training was found and taken over{told}")
    return True


def prepare(context: Context, version: str, job: str) -> None:
    """Makes room for a new training, unless one under that name is still to be attached to or taken over.

    Raises `InputError` where rows that it trains with besides are not there, or not as they were made.
    """
    spec.additions_of(context.ws, version, context.dataset_id)
    ws, made, folder = context.ws, context.ws.version(version), context.ws.job(job)
    taken_over_before = marks.read(ws, version, "train") is not None
    state = context.executor.look(folder)
    lost = state is not None and state.ended_by == LOST and not context.rules.on_cluster
    its = alive.is_its(alive.told_in(folder.path), folder.path)
    if state is not None and its and not (lost or taken_over_before or folder.taken.exists()):
        return
    if lost and its:
        set_aside(folder, "lost")
    else:
        forget(folder)
    watched.forget(ws, job)
    checkpoints.forget(ws, version)
    if kept := make_room(ws, version):
        context.journal.write("note", text=f"what lay in {ws.relative(made.path)} is kept in {kept}")
    marks.remove(ws, version, "train", "evaluate", "analyze", "extract")


def make_room(ws: Workspace, version: str) -> str:
    """An empty folder for a version. What lies there is set aside, never thrown away; gives where, "" for nothing."""
    made = ws.version(version)
    there = made.path.exists() and any(path for path in made.path.iterdir() if path != made.tests)
    kept = attempts.set_aside(ws, version) if there else ""
    _reset(made)
    return kept


def _reset(folder: VersionFolder) -> None:
    """An empty folder for the version; reports of earlier attempts are written anew afterwards."""
    with storage_errors(folder.path):
        if folder.path.exists():
            shutil.rmtree(folder.path)
        folder.path.mkdir(parents=True)


def _resolve(context: Context, version: str, attempt: attempts.Attempt, *, started_again: bool) -> None:
    """After a failed attempt: repair, repeat, or ask."""
    script = context.ws.script(version)
    current = read_text(script)
    locks = _locks(context, current)
    used_up = attempt.number % context.rules.max_train_attempts == 0
    repair = None if used_up else propose(attempt.failure(), current, locked=locks, root=context.ws.root)
    if repair is None and (used_up or attempt.cause not in WORTH_REPEATING):
        _ask_after_last(context, version, attempt, advice(attempt.failure(), locked=locks), started_again)
        return
    if repair is None:
        attempts.resolve(context.ws, version, attempt, "none: the same script is run again")
        return
    source, summary = repair
    review = Review(
        question=f"{version}-repair-{attempt.number}-{attempt.digest}",
        kind="repair",
        version=version,
        title=f"{version}: the training failed (attempt {attempt.number}), and a repair is proposed",
        text=f"{attempt.error_summary}\n\n{attempt.root_cause_hypothesis}\n\nRepair: {summary}",
        diff=unified_diff(current, source, script.name),
        target=script.name,
        answers=["accept", "skip", "stop"],
    )
    if context.ask(review, "accept").answer != "accept":
        attempts.resolve(context.ws, version, attempt, "none: the repair was declined")
        return
    write_text(script, source)
    attempts.resolve(context.ws, version, attempt, summary)
    context.journal.write("repair_applied", version=version, attempt=attempt.number, summary=summary)


def _locks(context: Context, source: str) -> dict[str, Any]:
    try:
        return context.rules.locks_in(setting.key for setting in find_settings(source))
    except InputError:
        # a script that cannot be read as Python is what is being repaired
        return context.rules.locks_in(())


def _ask_after_last(
    context: Context, version: str, attempt: attempts.Attempt, advised: str, started_again: bool
) -> None:
    if context.autopilot and started_again:
        # the loop had failed with it, and whoever starts it again has fixed something, or wants to see it again
        attempts.resolve(context.ws, version, attempt, "by hand, or none: the loop was started again")
        return
    log = context.ws.relative(context.ws.attempt(version, attempt.number) / "output.log")
    script = context.ws.script(version)
    # true also after a retry beyond the limit
    limit = context.rules.max_train_attempts
    times = f"(attempt {attempt.number}{f' of {limit}' if attempt.number <= limit else ''})"
    if context.autopilot:
        raise StepFailed(
            f"the training failed {times}, and no repair is known: {attempt.error_summary}",
            file=script,
            place=f"line {attempt.line}" if attempt.line else None,
            fix=f"{advised}; then start again; the whole output is in {log}",
        )
    # some advice begins with the cause: once is enough
    cause = () if attempt.root_cause_hypothesis in advised else (attempt.root_cause_hypothesis,)
    then = f"{advised}; then answer retry ({script.name} is yours to edit); the whole output is in {log}"
    review = Review(
        question=f"{version}-attempts-{attempt.number}-{attempt.digest}",
        kind="attempts",
        version=version,
        title=f"{version}: the training failed {times}",
        text="\n\n".join((attempt.error_summary, *cause, then)),
        target=script.name,
        answers=["retry", "stop"],
    )
    context.ask(review, None)
    attempts.resolve(context.ws, version, attempt, "by hand, or none: the user asked for another attempt")
