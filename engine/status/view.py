"""Files of a workspace as frozen values for screens and the command line. Looks only, never writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progtrain.engine import comparable, metrics
from progtrain.engine.clock import Clock, now
from progtrain.engine.control import lock
from progtrain.engine.errors import InputError, ProgtrainError
from progtrain.engine.files import MOST_TEXT, LineReader, is_there, read_json, unread
from progtrain.engine.rules import goal
from progtrain.engine.rules import rules as rules_module
from progtrain.engine.rules.rules import Rules
from progtrain.engine.status import rows
from progtrain.engine.status.snapshot import Progress, Snapshot, Status, VersionView
from progtrain.engine.status.state import LoopState
from progtrain.engine.text import clean_line, lasting, tail
from progtrain.engine.workspace import Workspace

if TYPE_CHECKING:
    from progtrain.engine.schema import Review

#: bytes of a runner's log, and an error as it ends there (`outliving`)
_LAST_WORDS = 4096
_ERROR = re.compile(r"^(\S.*)\n  fix: (.*)\n\Z", re.MULTILINE)
_TRAINING = {"training", "orphan training", "repairing", "repeating"}


class WorkspaceView:
    """Reads a workspace incrementally: `snapshot()` may be called every second."""

    def __init__(self, root: Path, clock: Clock = now, *, once: bool = False) -> None:
        """`once`: it is asked once, and need not know the next time what has changed."""
        self.ws = Workspace(root)
        self._once = once
        self._clock = clock
        self._state = LoopState()
        self._journal = LineReader(self.ws.journal)
        self._live: dict[Path, LineReader] = {}
        self._progress: dict[Path, Progress] = {}
        #: file -> why it cannot be read
        self._damaged: dict[Path, str] = {}
        #: files -> how they were when they were read, and what was made of them
        self._cached: dict[tuple[Path, ...], tuple[object, Any]] = {}

    def snapshot(self) -> Snapshot:
        """Never raises for what lies in the workspace: what is broken becomes a state with a reason."""
        if self._journal.restarted():
            self._state = LoopState()
        for event in self._journal.look():
            self._state.add(event)
        state = self._state
        running = lock.running(self.ws)
        loaded, plain = self._rules()
        rules = loaded if isinstance(loaded, Rules) else None
        problem = self._journal.problem or (loaded if isinstance(loaded, ProgtrainError) else None)
        status, reason, fix = self._status(state, running, not running and self._orphan(state), problem)
        review = self._review(state) if status == "waiting" else None
        if isinstance(review, InputError):
            reason, fix = review.located, "progtrain run asks the question again"
        elif review is not None and (answered := self._by_an_agent(review)):
            review, reason, fix = None, answered, "progtrain run goes on with it"
        seen = rows.basis(self.ws, state, status, plain, read=self._read, clock=self._clock)
        return seen._replace(
            reason=reason,
            fix=fix,
            dataset_id=state.dataset_id or (rules.dataset_id if rules else None),
            running=running,
            autopilot=running and state.autopilot,
            versions=self._ranked(seen.versions, seen.higher_is_better),
            progress=self._read_progress(state) if status in _TRAINING else None,
            review=None if isinstance(review, InputError) else review,
            log=self._log(state),
            locks=rules.locks_shown() if rules else (),
            rules_notes=rules.notes() if rules else (),
            warnings=(*(rules.warnings if rules else ()), *state.warnings, *self._unread(problem, reason)),
            report=self.ws.root / state.report if state.report else None,
        )

    def _unread(self, problem: ProgtrainError | None, told: str) -> Iterator[str]:
        """Files that are there and cannot be read, which nothing else tells of."""
        if problem is not None and problem.located != told:
            yield problem.located
        yield from filter(None, self._damaged.values())

    # where the loop stands

    def _status(
        self, state: LoopState, running: bool, orphan: bool, problem: ProgtrainError | None
    ) -> tuple[Status, str, str]:
        if running:
            if is_there(self.ws.stop_request):
                return "stopping", "the script is asked to end after this batch", ""
            queue = self._queue(state)
            told = "; ".join(filter(None, (state.reason, queue))) if state.repeat else state.reason or queue
            return state.activity(), told, ""
        command = "progtrain run"
        if state.repeat and state.set_aside is not None:
            command = f"progtrain repeat {state.repeat[0]} --times {state.repeat[2]}"
        if orphan:
            what = f"the training of {state.repeating}" if state.repeating else "the training"
            return "orphan training", f"no runner, but {what} goes on", f"{command} takes it over"
        if any(last := self._last_words()):
            return "failed", *last
        if state.runner_open:
            since = f" (started {state.runner_at})" if state.runner_at else ""
            return "runner gone", f"it ended without a word{since}", f"{command} goes on where it stopped"
        if state.outcome:
            return state.outcome, state.reason, state.fix
        if problem is not None:
            return "not ready", problem.located, problem.fix or ""
        if not self.ws.versions() and not self.ws.baseline_script.is_file():
            return (
                "not ready",
                f"there is no {self.ws.baseline_script.name}, and no version",
                "put your training script there, or try: progtrain init --example digits DIR",
            )
        return "not started", "", ""

    def _last_words(self) -> tuple[str, str]:
        """Of the last runner, where the journal could not be written: why it ended, and what to do."""

        def read() -> tuple[str, str]:
            try:
                found = _ERROR.search(tail(self.ws.runner_log, _LAST_WORDS))
            except OSError:
                found = None
            return (clean_line(found[1]), clean_line(found[2])) if found else ("", "")

        told: tuple[str, str] = self._held(read, self.ws.runner_log)
        return told

    def _queue(self, state: LoopState) -> str:
        """Of a script that is a job on a cluster: why it does not run yet, or since when the cluster is silent."""
        ws, version = self._at_work(state)
        step = "[te]" if state.repeat else state.step
        if version is None or (state.step not in ("train", "evaluate") and not state.repeat):
            return ""
        folders = sorted(ws.jobs.glob(f"{version}-{step}*"), key=lambda path: _stamp(path))
        told = self._read(ws.job(folders[-1].name).seen, dict) if folders else None
        return "; ".join(_queue_in_words(told, self._clock().timestamp())) if told else ""

    def _at_work(self, state: LoopState) -> tuple[Workspace, str | None]:
        """The version that is trained or evaluated, and where: a repeat has a workspace of its own."""
        if state.repeat is None:
            return self.ws, state.version
        version, run, _ = state.repeat
        return Workspace(self.ws.repeat(version, run).workspace), version

    def _rules(self) -> tuple[Rules | ProgtrainError, Any]:
        """The rules, or what is wrong with them, and the plain JSON."""

        def load() -> tuple[Rules | ProgtrainError, Any]:
            try:
                return rules_module.load(self.ws, to_look=True), goal.read(self.ws)
            except ProgtrainError as error:
                return error, goal.read(self.ws)

        found: tuple[Rules | ProgtrainError, Any] = self._held(load, self.ws.rules, self.ws.instruction)
        return found

    def _orphan(self, state: LoopState) -> bool:
        """Whether a script is at work that no runner waits for."""
        ws, version = self._at_work(state)
        if not state.runner_open or version is None or not is_there(ws.jobs):
            return False
        from progtrain.engine.jobs.local import Local  # `status` need not wait for it

        for path in sorted(ws.jobs.glob(f"{version}-*"), reverse=True):
            try:
                job = Local().look(ws.job(path.name))
            except ValueError:  # not what a guard writes
                continue
            if job is not None and job.status != "ended":
                return True
        return False

    def _review(self, state: LoopState) -> Review | InputError | None:
        """The open question; what is wrong with it where its file was damaged or made by others."""
        if state.version is None:
            return None
        path = self.ws.drafts(state.version).review
        found: Review | InputError | None = self._read(path, lambda data: _review_in(data, path))
        return found

    def _by_an_agent(self, review: Review) -> str:
        """How it answered; "" where it has not. A person's answer starts the loop, an agent's waits for that."""
        given = self._read(self.ws.decision(review.question), dict)
        if not given or given.get("by") != "mcp":
            return ""
        said = " ".join(str(given[key]) for key in ("answer", "candidate") if given.get(key))
        return f"an agent has answered the question on {review.version}: {clean_line(said)}"

    def _log(self, state: LoopState) -> Path | None:
        ws, version = self._at_work(state)
        if version is None or not is_there(ws.jobs):
            return None
        logs = [p / "output.log" for p in ws.jobs.glob(f"*{version}*")]
        there = [(p.stat().st_mtime, p) for p in logs if is_there(p)]
        return max(there)[1] if there else None

    def _read_progress(self, state: LoopState) -> Progress | None:
        ws, version = self._at_work(state)
        if state.repeat and version and is_there(ws.mark(version, "train")):
            return None  # it is evaluated
        path = ws.live(version or "")
        reader = self._live.setdefault(path, LineReader(path))
        for line in reader.look():
            if "step" in line:
                self._progress[path] = _progress_in(line)
        return self._progress.get(path)

    # versions

    def _ranked(self, versions: Sequence[VersionView], higher_is_better: bool) -> tuple[VersionView, ...]:
        """With what a reader of their scores should know, and the best of those that can be compared."""
        bases, left_out = self._compared([row.version for row in versions])
        evaluator = cache(self._evaluator)
        best = metrics.best(
            (row for row in versions if row.version not in left_out), lambda row: row.value, higher_is_better
        )
        return tuple(
            row._replace(
                not_ranked=(why := left_out.get(row.version, "")),
                warnings=tuple(self._doubts(row.version, why, bases.get(row.version), evaluator)),
                is_best=row is best,
            )
            for row in versions
        )

    def _compared(self, versions: Sequence[str]) -> tuple[Mapping[str, comparable.Basis], Mapping[str, str]]:
        """Version -> what it was scored on, of those with a score; version -> why it is not compared with others."""
        read: list[Path] = []
        for version in () if self._once else versions:
            folder = self.ws.version(version)
            read += [folder.eval_score, folder.protocol, folder.per_sample, folder.spec]
            read += [self.ws.script(version), self.ws.split_record(version), self.ws.mark(version, "evaluate")]

        def hold() -> tuple[Mapping[str, comparable.Basis], Mapping[str, str]]:
            bases = comparable.bases_of(self.ws, versions)
            return bases, comparable.standing_of(bases)

        found: tuple[Mapping[str, comparable.Basis], Mapping[str, str]] = self._held(hold, *read)
        return found

    def _doubts(
        self, version: str, why_not: str, basis: comparable.Basis | None, evaluator: Callable[[], str | None]
    ) -> Iterator[str]:
        """What a reader of its score should know."""
        if why_not:
            yield f"{version} {why_not}: it is not ranked"
            return
        if basis is not None and basis["protocol"] is not None:
            used = str(basis["protocol"]["evaluator_sha256"])
        else:
            used = self._read(self.ws.version(version).protocol, lambda data: str(data["evaluator_sha256"]))
        if used is not None and used != evaluator():
            yield f"{version} was scored by another evaluator: not comparable until evaluated again"

    def _evaluator(self) -> str | None:
        """Hash of the evaluator that lies there."""
        script, modules = self.ws.eval_script, self.ws.eval_modules
        files = (script, *sorted(modules.glob("*.py")))
        readable = script.is_file() and script.stat().st_size <= MOST_TEXT

        def hashed() -> str | None:
            from progtrain.engine.templates.progtrain_eval.common import evaluator_sha256  # not where nothing is scored

            return evaluator_sha256(self.ws.root) if readable else None

        found: str | None = self._held(hashed, *files)
        return found

    def _read(self, path: Path, convert: Callable[[Any], Any], keys: Sequence[str] = ()) -> Any:
        """A JSON file through `convert`; None where it is missing or wrong."""

        def make() -> Any:
            found = rows.read_once(path, convert, keys)
            self._damaged[path] = _why_unread(path) if found is None else ""
            return found

        return self._held(make, path)

    def _held(self, make: Callable[[], Any], *paths: Path) -> Any:
        """What is made of files, made again only when one of them has changed."""
        if self._once:
            return make()
        stamps = tuple(map(_stamp, paths))
        held = self._cached.get(paths)
        if held is None or held[0] != stamps:
            held = self._cached[paths] = (stamps, make())
        return held[1]


def _why_unread(path: Path) -> str:
    """Empty where it is missing, or JSON all the same."""
    try:
        path.lstat()
    except OSError as error:
        return "" if isinstance(error, FileNotFoundError | NotADirectoryError) else unread(error, path).located
    try:
        return "" if isinstance(read_json(path), dict) else f"{path}: it holds no JSON object"
    except ProgtrainError as error:
        return error.located


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)


def _queue_in_words(told: dict[str, Any], now: float) -> Iterator[str]:
    phase, why = told.get("phase"), clean_line(str(told.get("reason") or ""))
    if phase in ("submitting", "queued", "waiting"):
        job = f" (job {told['job']})" if told.get("job") else ""
        yield f"{phase}{job}{f', {why}' if why else ''}"
    elif why and phase == "running":
        yield why
    with suppress(TypeError, ValueError):
        since = datetime.fromisoformat(str(told.get("silent_since"))).timestamp()
        yield f"the cluster has not answered for {lasting(now - since)}"


def _review_in(data: Any, path: Path) -> Review | InputError:
    from progtrain.engine.schema import Review, validate  # `status` need not wait for it

    try:
        return validate(data, Review, path)
    except InputError as error:
        return error


def _progress_in(line: dict[str, Any]) -> Progress:
    told, rates = line.get("metrics"), line.get("learning_rate")
    numbers = {k: v for k, v in told.items() if metrics.finite(v) is not None} if isinstance(told, dict) else {}
    if isinstance(rates, list) and rates and metrics.finite(rates[0]) is not None:
        numbers["learning_rate"] = rates[0]
    counts: dict[str, Any] = {key: metrics.count(line.get(key)) for key in ("epoch", "epochs", "step", "steps")}
    times: dict[str, Any] = {k: metrics.finite(line.get(k)) for k in ("samples_per_second", "seconds_left", "seconds")}
    return Progress(**counts, **times, metrics=numbers)
