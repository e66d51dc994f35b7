"""An experiment as a screen shows it: whole, in words, and frozen, so that a thread can hand it over.

Asks no cluster, writes nothing. Numbers are those of the files: intervals and verdicts stand in the tables of the last
analysis, and are left out where results have come since.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from progtrain.engine import metrics, values
from progtrain.engine.clock import Clock, now
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import following as again
from progtrain.engine.experiment import plan as plans
from progtrain.engine.experiment import results, state
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.plan import Plan
from progtrain.engine.experiment.results import Row
from progtrain.engine.experiment.state import Part, RunState
from progtrain.engine.experiment.view import View, progress_of
from progtrain.engine.files import lines_of, object_in, try_read_json
from progtrain.engine.rules import goal
from progtrain.engine.workspace import Workspace

if TYPE_CHECKING:
    from progtrain.engine.experiment.plots import Plot

_OVER = ("done", "failed", "lost", "cancelled")
_BAD = ("failed", "lost", "cancelled")
#: the other way round
_AGAINST = {"better": "worse", "worse": "better"}


class RunRow(NamedTuple):
    """A run in a table."""

    run: str
    type: str
    #: of what varies, in the order of `Board.varied`
    values: tuple[str, ...]
    phase: state.Phase
    #: why, in words; empty where the phase says it all
    reason: str = ""
    #: what to do about its failure; empty where it has not failed
    advice: str = ""
    #: what of it has a job: "train", or the name of an evaluation; else empty
    what: str = ""
    #: of the job that runs: `epoch`, `epochs`, `step`, `steps`, `seconds_left`, each where it is known
    progress: Mapping[str, Any] = {}
    metric: float | None = None
    #: ends of its 95 % interval, and the verdict against `Board.against`; None: not analysed
    interval: tuple[float, float] | None = None
    verdict: str | None = None
    job: str = ""
    node: str = ""
    #: starts of its training
    attempts: int = 0

    @property
    def over(self) -> bool:
        return self.phase in _OVER


class Board(NamedTuple):
    name: str
    question: str
    #: as `view.View` has it
    status: str
    running: bool
    executor: str
    #: seconds since the cluster answered last; None on this machine, or where it was never asked
    answered: float | None
    #: whether it does not answer, or nobody asks it
    stale: bool
    #: name, "done", "running", "failed" or "pending", how many are done, and of how many; None: it is not counted
    stages: tuple[tuple[str, str, int | None, int], ...]
    #: hours of training so far, and at most; None: nobody says
    hours: tuple[float, float | None]
    varied: tuple[str, ...]
    #: what runs are judged by; empty: nothing was measured yet
    metric: str
    #: what verdicts are against
    against: str
    rows: tuple[RunRow, ...]
    #: how the last runner failed, or that it cannot be reached; empty where it did not
    trouble: str
    #: of which events the plan wants a bell: "ended", "failed", "waiting"
    rings: tuple[str, ...]


def listing(ws: Workspace, clock: Clock = now) -> Callable[[], tuple[tuple[str, str, str, str], ...]]:
    """Name, status, counts of runs and question of each experiment, each time it is asked. A broken plan is told, and
    stops nothing.
    """
    looks: dict[str, Callable[[], View]] = {}

    def listed() -> tuple[tuple[str, str, str, str], ...]:
        found = []
        for name in folders.names(ws):
            if name not in looks:
                looks[name] = again.following(folders.folder(ws, name), clock)
            try:
                view = looks[name]()
            except InputError as error:
                found.append((name, "broken", "", error.reason))
                continue
            told = ", ".join(f"{count} {phase}" for phase, count in state.counts(view.states).items())
            found.append((name, view.status, told, view.plan.experiment.question))
        return tuple(found)

    return listed


def read(ws: Workspace, name: str, clock: Clock = now) -> Board:
    """Raises `InputError` where there is no such experiment, or its plan is broken."""
    return following(ws, name, clock)()


def following(ws: Workspace, name: str, clock: Clock = now) -> Callable[[], Board]:
    """`read`, each time it is asked: it then reads and works out no more than what has changed."""
    folder = folders.folder(ws, name)
    look_again = again.following(folder, clock)
    read_rows = again.kept(lambda: [folder.results], results.following(folder))
    measured = again.same(_measured)
    tables = again.kept(
        lambda: [folder.results, folder.results_table, folder.comparisons],
        lambda: (_table(folder.results_table, folder), _table(folder.comparisons, folder)),
    )
    analysed = again.same(_analysed)
    make_rows = _row_maker(folder)

    def look() -> Board:
        folders.existing(ws, name)
        view, rows = look_again(), read_rows()
        plan = view.plan
        task, metric, values_of = measured(plan, rows, goal.primary_metric(goal.read(ws)))
        intervals, against, verdicts = analysed(tables(), task, metric)
        varied = tuple(dict.fromkeys(key for held in view.states for key in held.run.parameters))
        answered, stale = _answered(view, folder, clock)
        return Board(
            name=name,
            question=plan.experiment.question,
            status=view.status,
            running=view.running,
            executor=plan.resources.executor,
            answered=answered,
            stale=stale,
            stages=tuple(_stages(view, folder)),
            hours=(_used(view, folder, rows, clock), _estimated(plan, view.states)),
            varied=varied,
            metric=metric,
            against=against,
            rows=make_rows(view.states, varied, values_of, intervals, verdicts),
            trouble=_trouble(view),
            rings=tuple(plan.notify.on) if plan.notify.bell else (),
        )

    return look


def _measured(plan: Plan, rows: Sequence[Row], primary: str) -> tuple[str | None, str, dict[str, float | None]]:
    """Evaluation and metric that runs are judged by, and what each run has of it."""
    task, epoch, metric = _chief(plan, rows, primary)
    of_it = [row for row in rows if row.state == "done" and (row.task, row.epoch) == (task, epoch)]
    found = {row.run: metrics.value_of(metric, {m.name: m.value for m in row.metrics}) for row in of_it}
    return task, metric, {run: metrics.finite(value) for run, value in found.items()}


def _chief(plan: Plan, rows: Sequence[Row], primary: str) -> tuple[str | None, str | int | None, str]:
    """Evaluation and metric that runs are judged by, as the report chooses them."""
    wanted = plan.search.metric if plan.search else primary
    found = [(row.task, row.epoch, m.name) for row in rows if row.state == "done" and row.task for m in row.metrics]
    return next((one for one in found if metrics.same(one[2], wanted)), found[0] if found else (None, None, ""))


def _row_maker(folder: ExperimentFolder) -> Callable[..., tuple[RunRow, ...]]:
    """What makes the rows of the table: the very ones that it made before, for runs that are as they were."""
    known: dict[str, tuple[RunState, tuple[Any, ...], RunRow]] = {}

    def rows(
        states: Sequence[RunState],
        varied: tuple[str, ...],
        measured: Mapping[str, float | None],
        intervals: Mapping[str, tuple[float, float]],
        verdicts: Mapping[str, str],
    ) -> tuple[RunRow, ...]:
        found = []
        for held in states:
            run = held.run
            told = varied, measured.get(run.name), intervals.get(run.name), verdicts.get(run.point)
            before = known.get(run.name)
            # of one at work files tell how far it is
            if before is None or before[0] is not held or before[1] != told or before[2].what:
                before = known[run.name] = held, told, _row(held, folder, *told)
            found.append(before[2])
        return tuple(found)

    return rows


def _row(
    held: RunState,
    folder: ExperimentFolder,
    varied: Sequence[str],
    metric: float | None,
    interval: tuple[float, float] | None,
    verdict: str | None,
) -> RunRow:
    part = held.at_work
    seen = part.seen if part else None
    cause = held.cause if held.phase in ("failed", "lost") and held.cause not in held.reason else ""
    parameters = held.run.parameters
    return RunRow(
        run=held.run.name,
        type=held.run.type,
        values=tuple(values.show(parameters[key]) if key in parameters else "" for key in varied),
        phase=held.phase,
        reason=": ".join(filter(None, (cause, held.reason))),
        advice=held.advice,
        what=part.what if part else "",
        progress=progress_of(held, folder),
        metric=metric,
        interval=interval,
        verdict=verdict,
        job=str(seen.job or "") if seen else "",
        node=str(seen.node or "") if seen else "",
        attempts=held.training.attempt,
    )


# the whole


def _stages(view: View, folder: ExperimentFolder) -> Iterator[tuple[str, str, int | None, int]]:
    parts = [part for held in view.states for part in held.parts]
    written = sum(part.scaffolded is not None and part.phase != "stale" for part in parts)
    yield "design", "done", None, 0
    yield (
        "scaffold",
        "done" if written == len(parts) else "pending",
        None if written == len(parts) else written,
        len(parts),
    )
    for name, of_it in (
        ("train", [held.training for held in view.states if held.run.type != "eval-only"]),
        ("eval", [cell for held in view.states for cell in held.cells]),
    ):
        if of_it:
            yield name, _stage_state(of_it), sum(part.phase in ("trained", "done") for part in of_it), len(of_it)
    yield "analyze", "done" if _is_fresh(folder.report, folder) else "pending", None, 0


def _stage_state(parts: Sequence[Part]) -> str:
    phases = [part.phase for part in parts]
    if any(phase in state.AT_WORK for phase in phases):
        return "waiting" if all(phase == "waiting" for phase in phases if phase in state.AT_WORK) else "running"
    if any(phase in _BAD for phase in phases):
        return "failed"
    return "done" if all(phase in ("trained", "done") for phase in phases) else "pending"


def _answered(view: View, folder: ExperimentFolder, clock: Clock) -> tuple[float | None, bool]:
    if view.plan.resources.executor == "local":
        return None, False
    age = age_of(object_in(folder.seen).get("at"), clock)
    if view.stale is None or age is None:
        return age, False
    # of a runner that is at work: so long had the cluster been silent when that was written
    return (view.stale + age if view.running else view.stale), True


def moment(at: Any) -> datetime | None:
    """As files have it; None where there is none."""
    try:
        found = datetime.fromisoformat(at)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def age_of(at: Any, clock: Clock) -> float | None:
    """Seconds since then."""
    found = moment(at)
    return None if found is None else max(0.0, (clock() - found).total_seconds())


def _used(view: View, folder: ExperimentFolder, rows: Sequence[Row], clock: Clock) -> float:
    """Hours of trainings that have ended, and of those that run."""
    ended = {row.run: row.seconds for row in rows if row.seconds}
    trainings = [held.training for held in view.states]
    for part in trainings:
        told = (part.mark or {}).get("seconds")
        if isinstance(told, int | float):
            ended.setdefault(part.run.name, told)
    running = [try_read_json(state.attempt_of(part, folder).state) for part in trainings if part.phase == "running"]
    ages = [age_of(held.get("started_at"), clock) or 0.0 for held in running if isinstance(held, dict)]
    return (sum(ended.values()) + sum(ages)) / 3600


def _estimated(plan: Plan, states: Sequence[RunState]) -> float | None:
    from progtrain.engine.experiment.opening import minutes  # brings the executors with it

    each = minutes(plan)
    return None if each is None else each * sum(held.run.type != "eval-only" for held in states) / 60


def _trouble(view: View) -> str:
    outcome = view.outcome or {}
    return str(outcome.get("reason") or "") if not view.running else ""


# what the analysis says


def _is_fresh(made: Path, folder: ExperimentFolder) -> bool:
    try:
        return made.stat().st_mtime_ns >= folder.results.stat().st_mtime_ns
    except OSError:
        return False


def _table(path: Path, folder: ExperimentFolder) -> list[dict[str, str]]:
    if not _is_fresh(path, folder):
        return []
    try:
        return [{key: value or "" for key, value in line.items() if key} for line in csv.DictReader(lines_of(path))]
    except (OSError, ValueError, csv.Error):
        return []


def _analysed(
    tables: tuple[list[dict[str, str]], list[dict[str, str]]], task: str | None, metric: str
) -> tuple[dict[str, tuple[float, float]], str, dict[str, str]]:
    """Intervals by run; what points are held against, and what that comes to for each."""
    results_table, comparisons = tables
    return _intervals(results_table, task, metric), *_verdicts(comparisons, task, metric)


def _intervals(table: Sequence[dict[str, str]], task: str | None, metric: str) -> dict[str, tuple[float, float]]:
    """By run."""
    found = {}
    for line in table:
        ends = values.number(line.get("low")), values.number(line.get("high"))
        if line.get("task") == task and metrics.same(line.get("metric", ""), metric) and None not in ends:
            found[line["run"]] = (ends[0] or 0.0, ends[1] or 0.0)
    return found


def _verdicts(table: Sequence[dict[str, str]], task: str | None, metric: str) -> tuple[str, dict[str, str]]:
    """What points are held against, and what that comes to: the control, or else the best one."""
    lines = [line for line in table if line.get("task") == task]
    lines = [line for line in lines if line.get("verdict") and metrics.same(line.get("metric", ""), metric)]
    control = [line for line in lines if line["kind"] == "control"]
    if control:
        against = control[0]["a"]
        return against, {line["b"]: line["verdict"] for line in control if line["a"] == against}
    best = [line for line in lines if line["kind"] == "best"]
    against = best[0]["b"] if best else ""
    return against, {line["a"]: _AGAINST.get(line["verdict"], line["verdict"]) for line in best}


def plots_of(ws: Workspace, name: str) -> list[Plot]:
    """All that can be drawn of an experiment's results. Takes a while. Raises `InputError` where there is nothing."""
    from progtrain.engine.experiment import compare, plots, report  # numpy comes with them

    folder = folders.existing(ws, name)
    plan = plans.read(folder)
    rows = compare.ordered(plan, results.read(folder))
    found = report.chief_first(plan, compare.measures(folder, rows), goal.primary_metric(goal.read(ws)))
    drawn = plots.plots(folder, plan, rows, found, compare.differences(plan, rows, found))
    if not drawn:
        fix = f"progtrain experiment run {name}, or see its status"
        raise InputError("nothing to draw: no run has given a number or a curve yet", file=folder.results, fix=fix)
    return drawn
