"""One turn of the runner: what has ended is taken in, what may begin is submitted. The work itself is elsewhere."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from progtrain.engine import values
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import attempts, devices, expand, notify, results, search, state, summary
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.logbook import Logbook
from progtrain.engine.experiment.opening import tool_of
from progtrain.engine.experiment.stages import scaffold
from progtrain.engine.experiment.stages.pieces import is_named, pieces
from progtrain.engine.experiment.state import AT_WORK, SETTLED, Part, RunState
from progtrain.engine.experiment.workers.base import Experiment, Piece
from progtrain.engine.files import write_json
from progtrain.engine.jobs.base import Executor, Seen
from progtrain.engine.workspace import JobFolder

#: a guard that a runner started just before it was killed has so long to tell of itself
_GUARD_SECONDS = 5.0
#: outputs may come later than a job's end on a network folder
_OUTPUT_SECONDS = 60.0
#: then jobs are looked at again
_CHECK_SECONDS = 2.0
#: between two times that what was seen is written though nothing is new
_SEEN_SECONDS = 10.0


@dataclass
class Carrier:
    experiment: Experiment
    executor: Executor
    log: Logbook
    #: names or patterns of the runs that are wanted, and a tool by itself; empty: all
    wanted: Sequence[str] = ()
    tool: str = ""
    states: list[RunState] = field(default_factory=list)
    #: seconds since the cluster answered last, while it does not
    silent: float | None = None
    #: attempts -> since when this runner waits for something about them
    _since: dict[tuple[JobFolder, str], float] = field(default_factory=dict)
    _told: dict[tuple[str, str], str] = field(default_factory=dict)
    _written: tuple[float, Any] = (-math.inf, None)
    _done: dict[str, Sequence[Part]] = field(default_factory=dict)
    #: of a search: nothing that has ended is read twice
    _trials: dict[str, search.Trial] = field(default_factory=dict)
    _curves: search.Curves = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rows = results.following(self.experiment.folder)
        self.refresh()

    def refresh(self) -> None:
        """Works the runs out anew: a search adds to them. Raises `InputError`."""
        plan, folder = self.experiment.plan, self.experiment.folder
        self._runs = expand.runs(plan, folder)
        cells = expand.cells(plan, self._runs, folder)
        self._cells = expand.by_run(self._runs, cells)

    @property
    def chosen(self) -> list[RunState]:
        """Of the runs that are wanted."""
        return [held for held in self.states if self._is_wanted(held.run)]

    def refuse_unready(self) -> None:
        """Raises `InputError` where something of what is wanted is not scaffolded as the plan has it now."""
        self._look()
        pieces(self.experiment, self.wanted, self.tool)
        parts = [part for held in self.chosen for part in held.parts if self._is_its(part)]
        refuse_unready(parts, self.experiment.folder)

    def turn(self) -> tuple[bool, bool]:
        """Whether something changed, and whether something is left to wait for. Raises `StorageError`."""
        opened = self._look()
        changed = self._take_in() or self._check() or self._search() or self._submit()
        self._cancel()
        self.executor.settle(opened)
        if changed:
            return True, True
        return False, any(part.phase in AT_WORK for part in self._parts())

    # looking

    def _look(self) -> list[JobFolder]:
        folder, plan = self.experiment.folder, self.experiment.plan
        parts = [
            self._done.get(run.name) or state.read_run(plan, run, self._cells[run.name], folder.run(run.name))
            for run in self._runs
        ]
        opened = list(state.open_attempts(parts, folder))
        seen = self.executor.look_all(opened)
        self.states = state.fold(parts, seen, folder)
        # nobody but this runner changes what is done: it need not be read again
        self._done |= {held.run.name: held.parts for held in self.states if held.phase == "done"}
        ages = [held.stale for held in seen.values() if held.stale is not None]
        self.silent = max(ages, default=None)
        self._keep(seen)
        for part in self._parts():
            self._tell(part)
        return opened

    def _keep(self, seen: dict[JobFolder, Seen]) -> None:
        """For `status` and the app: they ask no cluster."""
        folder, at = self.experiment.folder, time.monotonic()
        jobs = {job.path.relative_to(folder.path).as_posix(): _plain(held) for job, held in seen.items()}
        last, before = self._written
        if before is not None and jobs.keys() == before.keys():
            calm = all(_lasting(held) == _lasting(before[job]) for job, held in jobs.items())
            if calm and at - last < _SEEN_SECONDS:
                return
        self._written = at, jobs
        write_json(folder.seen, {"at": self.experiment.clock().isoformat(), "jobs": jobs})

    def _tell(self, part: Part) -> None:
        """Of a state that is new, where it tells more than what the runner itself did."""
        # not the words of the part: they tell for how long a cluster is silent
        reason = part.seen.reason if part.seen else part.reason
        key, shown = (part.run.name, part.what), f"{part.phase} {_steady(reason)}"
        before = self._told.get(key)
        self._told[key] = shown
        if before in (None, shown) or part.phase not in ("queued", "running", "waiting"):
            return
        about = {"run": part.run.name, "what": part.what, "phase": part.phase, "reason": reason}
        text = f"{part.phase}{f': {reason}' if reason else ''}"
        if part.phase == "waiting":
            self.log.write("waiting", text, tool=self._tool(part), **about)
            notify.tell(self.experiment.folder, self.experiment.plan, "waiting", about)
        else:
            self.log.write("state", text, tool=self._tool(part), **about)

    # what has ended

    def _take_in(self) -> bool:
        ended = [part for part in self._parts() if part.phase == "checking"]
        done = [
            attempts.take_in(self._piece(part), part, self.log, patient=self._patient(part), shared=self._shares(part))
            for part in ended
        ]
        if any(done):
            self._look()
            summary.write(self.experiment, self.states)
        return any(done)

    def _shares(self, part: Part) -> bool:
        """Whether other jobs of this machine may have had the device that it had."""
        asked = self.experiment.plan.resources
        if asked.executor != "local" or asked.gpus:
            return False
        return any(other.phase in AT_WORK and other.run.name != part.run.name for other in self._parts())

    def _patient(self, part: Part) -> bool:
        """Whether outputs that are missing may still come."""
        if self.experiment.plan.resources.executor == "local":
            return False
        return self._waited(part, "outputs") < _OUTPUT_SECONDS

    def _waited(self, part: Part, what: str) -> float:
        key = (state.attempt_of(part, self.experiment.folder), what)
        return time.monotonic() - self._since.setdefault(key, time.monotonic())

    def _check(self) -> bool:
        """Loads what trainings left, one by one: before the first evaluation of any, or of its own."""
        begun, found = time.monotonic(), False
        for held in self.states if self._may_evaluate() else ():
            training = held.training
            unchecked = training.phase == "trained" and training.trains and not training.checked
            if unchecked and self._is_wanted(held.run) and time.monotonic() - begun < _CHECK_SECONDS:
                attempts.check(self._piece(training), training, self.log)
                found = True
        return found

    def _may_evaluate(self) -> bool:
        """Whether evaluations may begin, as far as the trainings of other runs go."""
        # the next point of a search depends on what the ones before came to
        if self.experiment.plan.evaluation.when == "each" or self.experiment.plan.search is not None:
            return True
        return all(self._is_over(held.training) for held in self.states)

    def _is_over(self, training: Part) -> bool:
        """Also where it is not for this runner to train it."""
        return training.phase in SETTLED or (training.phase not in AT_WORK and not self._is_its(training))

    # what a search asks for

    def _search(self) -> bool:
        """Ends trials early that lose, and begins new ones."""
        plan, folder = self.experiment.plan, self.experiment.folder
        if plan.search is None or self.wanted or self.tool:
            return False
        for training, told in search.losers(plan, self.states, folder, self._curves):
            search.end_early(training, told, folder)
            text = f"ends early: after epoch {told['epoch']} {plan.search.metric} is {values.metric(told['value'])}"
            self.log.write("note", text, run=training.run.name, what=training.what, **told)
        known = search.trials(self.states, self._rows, plan, folder, self._trials)
        repeats = [held for held in self.states if held.run.name != held.run.point]
        runs = search.following(plan, known, repeats, folder)
        for run in runs:
            scaffold.write_run(self.experiment, run, self.log)
        if runs:
            self.refresh()
            self._look()
        return bool(runs)

    # what may begin

    def _submit(self) -> bool:
        room = self._room()
        started = False
        at_work = any(part.phase in AT_WORK for part in self._parts())
        for part in self._startable():
            alone = values.within(part.failure, "next").get("alone")
            if room <= 0 or (alone and (at_work or started)):
                break
            attempt = attempts.start(self._piece(part), part, self.executor, self.log, self.states)
            started = True
            room = room - 1 if self._is_taken(attempt) else 0
            if alone or self.experiment.plan.resources.gpus:
                # the next one is given what this one has left
                break
        return started

    def _is_taken(self, attempt: JobFolder) -> bool:
        """Whether the cluster has answered: while it does not, or takes no more, nothing else is submitted."""
        return self.executor.look_all([attempt])[attempt].phase != "submitting"

    def _room(self) -> int:
        asked = self.experiment.plan.resources
        at_work = [part for part in self._parts() if part.phase in AT_WORK and not self._is_abandoned(part)]
        if asked.executor != "local":
            waits = any(part.seen and part.seen.phase == "submitting" for part in at_work)
            return 0 if waits else asked.max_queued - len(at_work)
        if any((part.begun or {}).get("alone") for part in at_work):
            return 0
        there = len(devices.known()) // asked.gpus if asked.gpus else 0
        return min(asked.parallel, there or asked.parallel) - len(at_work)

    def _startable(self) -> Iterator[Part]:
        """First what was begun already, then trainings, then evaluations."""
        parts = [part for part in self._parts() if self._is_its(part)]
        yield from (part for part in parts if self._is_abandoned(part))
        trainings = [part for part in parts if part.phase == "scaffolded" and part.cell is None]
        yield from sorted(trainings, key=lambda part: not part.attempt)
        may = self._may_evaluate()
        for held in self.states if may else ():
            ready = held.training.phase == "trained" and (held.training.checked or not held.training.trains)
            yield from (part for part in held.cells if ready and part.phase == "scaffolded" and self._is_its(part))

    def _is_abandoned(self, part: Part) -> bool:
        """Whether a runner died before it had submitted it: nobody knows the job, and no guard has come forward."""
        seen = part.seen
        return (
            part.phase == "submitting"
            and (seen is None or seen.phase == "none")
            and self._waited(part, "guard") > _GUARD_SECONDS
        )

    # whose end is wanted

    def _cancel(self) -> None:
        folder = self.experiment.folder
        for part in self._parts():
            if part.phase in AT_WORK and part.phase != "checking" and folder.cancelled(part.run.name).exists():
                attempt = state.attempt_of(part, folder)
                if (attempt, "cancel") not in self._since and attempt.job.exists():
                    self._waited(part, "cancel")
                    self.executor.cancel(attempt)

    # of one part

    def _parts(self) -> list[Part]:
        return [part for held in self.states for part in held.parts]

    def _is_wanted(self, run: expand.Run) -> bool:
        return not self.wanted or any(is_named(run, pattern) for pattern in self.wanted)

    def _is_its(self, part: Part) -> bool:
        return self._is_wanted(part.run) and self.tool in ("", self._tool(part))

    def _piece(self, part: Part) -> Piece:
        changes = attempts.changes_of(part, self.experiment.folder)
        return Piece(self.experiment, part.run, part.cell, changes.get("settings", {}))

    def _tool(self, part: Part) -> str:
        return tool_of(Piece(self.experiment, part.run, part.cell))


def refuse_unready(parts: Iterable[Part], folder: ExperimentFolder) -> None:
    """Raises `InputError` where something of what is to be done is not scaffolded as the plan has it now."""
    for phase, said in (("planned", "not scaffolded"), ("stale", "scaffolded for an earlier plan")):
        names = list(dict.fromkeys(part.run.name for part in parts if part.phase == phase))
        if names:
            told = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            fix = f"progtrain experiment scaffold {folder.name}"
            raise InputError(f"{told}: {said}", file=folder.plan, fix=fix)


def _plain(seen: Seen) -> dict[str, Any]:
    return {key: value for key, value in asdict(seen).items() if key != "state" and value not in (None, "")}


def _lasting(plain: dict[str, Any]) -> dict[str, Any]:
    """Without what changes from one second to the next."""
    lasting = {key: value for key, value in plain.items() if key not in ("beat_age", "stale")}
    return lasting | {"reason": _steady(plain.get("reason", ""))}


def _steady(reason: str) -> str:
    """Without its numbers: some tell for how long something has been so."""
    return re.sub(r"\d+", "", reason)
