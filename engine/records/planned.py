"""What a loop would run next, and the attempts of experiments: the rows of the ledger that need more than job files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from progtrain.engine.control.launch import Options
from progtrain.engine.errors import ProgtrainError
from progtrain.engine.experiment import folder as experiments
from progtrain.engine.experiment import retry, view
from progtrain.engine.experiment.folder import ExperimentFolder, RunFolder
from progtrain.engine.experiment.state import AT_WORK, TRAIN, attempt_of
from progtrain.engine.files import try_read_json
from progtrain.engine.jobs.base import Seen
from progtrain.engine.loop import attempts
from progtrain.engine.loop.plan import plan
from progtrain.engine.records.jobs import Job, State, began, in_turn, jobs, look, told_of
from progtrain.engine.records.visits import SCRIPTS
from progtrain.engine.text import clean_line
from progtrain.engine.values import within
from progtrain.engine.workspace import JobFolder, Workspace


def ledger(ws: Workspace) -> list[Job]:
    """All attempts, the oldest first, and last what `progtrain run` would do next. Writes nothing."""
    found = sorted([*jobs(ws), *of_experiments(ws)], key=began)
    return [*found, *planned(ws, found)]


def planned(ws: Workspace, known: Sequence[Job]) -> Iterable[Job]:
    """As `run --dry-run` says; nothing where that would be refused."""
    try:
        following = plan(ws, Options())
    except ProgtrainError:
        return
    at_work = {(job.version, job.kind) for job in known if job.state == "running"}
    for item in following:
        if item.step in SCRIPTS and (item.version, item.step) not in at_work:
            name = f"report-{item.version}" if item.step == "report" else f"{item.version}-{item.step}"
            if item.step == "train":
                last = attempts.last(ws, item.version)
                name = f"{name}-{last.number + 1 if last else 1}"
            yield Job(name, item.step, item.version, "planned", clean_line("; ".join(item.reasons)))


# ---- experiments


def of_experiments(ws: Workspace) -> list[Job]:
    """A row for each attempt of each run: mark and failure count, then what is known of its job."""
    return [job for name in experiments.names(ws) for job in _of_experiment(experiments.folder(ws, name), ws)]


def _of_experiment(folder: ExperimentFolder, ws: Workspace) -> Iterable[Job]:
    try:
        looked = view.look(folder)
    except ProgtrainError:  # its plan is broken: what ran, ran all the same
        opened, running = {}, False
    else:
        parts = [part for held in looked.states for part in held.parts if part.phase in AT_WORK and part.seen]
        opened, running = {attempt_of(part, folder): part.seen for part in parts}, looked.running
    for path in sorted(folder.path.glob("*/attempts")):
        run = RunFolder(path.parent)
        named = (child.name.rpartition("-") for child in path.iterdir() if child.is_dir())
        for what in sorted({what for what, _, number in named if number.isdecimal()}):
            held = [
                _of_attempt(run, what, number, opened.get(run.attempt(what, number)), running, ws, folder.name)
                for number in run.attempts_at(what)
            ]
            yield from in_turn(held)


def _of_attempt(
    run: RunFolder, what: str, number: int, seen: Seen | None, running: bool, ws: Workspace, experiment: str
) -> Job:
    attempt: JobFolder = run.attempt(what, number)
    name = f"{experiment}/{run.path.name}"
    job = Job(f"experiments/{name}/{attempt.path.name}", "train" if what == TRAIN else "evaluate", name, "lost")
    found = seen or look(attempt, running)
    if found.phase == "none":
        found = Seen("lost", "nothing is left of its job")
    job = told_of(attempt, job, found, ws)
    failure, mark = try_read_json(run.failure(what, number)), try_read_json(run.mark(what))
    if failure is not None:
        state: State = "lost" if failure.get("cause") == retry.LOST else "failed"
        return job._replace(state=state, why=clean_line(str(failure.get("reason") or failure.get("cause") or "")))
    if mark is not None and str(within(mark, "inputs").get("attempt")) == str(number):
        return job._replace(state="finished", why="")
    return job
