"""Files of a workspace as frozen values for screens and the command line. Looks only, never writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.clock import Clock, now
from progtrain.engine.control import lock
from progtrain.engine.errors import InputError
from progtrain.engine.files import LineReader, sha256, try_read_json
from progtrain.engine.jobs import local
from progtrain.engine.rules import rules as rules_module
from progtrain.engine.rules.rules import Rules
from progtrain.engine.schema import JobState, Review, validate
from progtrain.engine.status.snapshot import (
    ACTIVE,
    STEP_NAMES,
    Progress,
    Snapshot,
    Status,
    StepState,
    StepView,
    VersionView,
)
from progtrain.engine.status.state import LoopState
from progtrain.engine.workspace import Workspace


class WorkspaceView:
    """Reads a workspace incrementally: `snapshot()` may be called every second."""

    def __init__(self, root: Path, clock: Clock = now) -> None:
        self.ws = Workspace(root)
        self._clock = clock
        self._story = LoopState()
        self._journal = LineReader(self.ws.journal)
        self._live: dict[str, LineReader] = {}
        self._progress: dict[str, Progress] = {}
        self._cached: dict[Path, tuple[tuple[int, int], Any]] = {}
        self._rules_held: tuple[object, Rules | None, InputError | None] | None = None

    def snapshot(self) -> Snapshot:
        """Never raises for what lies in the workspace: what is broken becomes a state with a reason."""
        if self._journal.restarted():
            self._story = LoopState()
        for event in self._journal.read():
            self._story.add(event)
        story = self._story
        running = lock.running(self.ws)
        job = None if running else self._orphan(story)
        rules, problem = self._rules()
        status, reason, fix = self._status(story, running, job is not None, problem)
        primary = rules.primary_metric if rules else None
        higher = self._direction(rules)
        versions = self._versions(story, status, primary, higher)
        review = self._review(story) if status == "waiting" else None
        if isinstance(review, InputError):
            status, reason, fix = "waiting", _located(review), "progtrain run asks the question again"
            review = None
        progress = self._read_progress(story) if status in {"training", "orphan training", "repairing"} else None
        return Snapshot(
            root=self.ws.root,
            status=status,
            reason=reason,
            fix=fix,
            version=story.version or (versions[-1].version if versions else None),
            step=story.step,
            since_seconds=self._age(story.since),
            max_versions=self._max_versions(story, rules),
            dataset_id=story.dataset_id or (rules.file.dataset_config.dataset_id if rules else None),
            primary_metric=primary,
            higher_is_better=higher,
            running=running,
            autopilot=running and story.autopilot,
            steps=self._steps(story, status),
            versions=versions,
            progress=progress,
            review=review,
            log=self._log(story),
            locks=rules.locks_shown() if rules else (),
            rules_notes=rules.notes() if rules else (),
            warnings=(*(rules.warnings if rules else ()), *story.warnings),
            report=self.ws.root / story.report if story.report else None,
        )

    # where the loop stands

    def _status(
        self, story: LoopState, running: bool, orphan: bool, problem: InputError | None
    ) -> tuple[Status, str, str]:
        if running:
            if self.ws.stop_request.exists():
                return "stopping", "the script is asked to end after this batch", ""
            return story.activity(), story.reason, ""
        if orphan:
            return "orphan training", "no runner, but the training goes on", "progtrain run takes it over"
        if story.runner_open:
            since = f" (started {story.runner_at})" if story.runner_at else ""
            return "runner gone", f"it ended without a word{since}", "progtrain run goes on where it stopped"
        if story.outcome in {"failed", "waiting", "stopped", "finished"}:
            return story.outcome, story.reason, story.fix
        if problem is not None:
            return "not ready", _located(problem), problem.fix or ""
        if not self.ws.versions() and not self.ws.baseline_script.is_file():
            return (
                "not ready",
                f"there is no {self.ws.baseline_script.name}, and no version",
                "put your training script there, or try: progtrain init --example digits DIR",
            )
        return "not started", "", ""

    def _rules(self) -> tuple[Rules | None, InputError | None]:
        key = (_stamp(self.ws.rules), _stamp(self.ws.instruction))
        if self._rules_held is None or self._rules_held[0] != key:
            try:
                self._rules_held = (key, rules_module.load(self.ws), None)
            except InputError as error:
                self._rules_held = (key, None, error)
        return self._rules_held[1:]

    @staticmethod
    def _direction(rules: Rules | None) -> bool:
        try:
            return rules.higher_is_better(rules.primary_metric) if rules else True
        except InputError:
            return True

    @staticmethod
    def _max_versions(story: LoopState, rules: Rules | None) -> int:
        if rules is None:
            return story.max_versions or 10
        bound = rules.file.loop_config.max_versions
        stated = "max_versions" in rules.file.loop_config.model_fields_set
        asked = story.max_versions_asked
        return bound if asked is None else min(asked, bound) if stated else asked

    def _orphan(self, story: LoopState) -> JobState | None:
        if not story.runner_open or story.version is None or not self.ws.jobs.is_dir():
            return None
        for path in sorted(self.ws.jobs.glob(f"{story.version}-*"), reverse=True):
            try:
                state = local.poll(self.ws.job(path.name))
            except ValueError:  # not what a guard writes
                continue
            if state is not None and local.alive(state):
                return state
        return None

    def _age(self, since: str | None) -> float | None:
        try:
            return None if since is None else (self._clock() - datetime.fromisoformat(since)).total_seconds()
        except (ValueError, TypeError):  # edited by hand: no time, or one without its zone
            return None

    def _steps(self, story: LoopState, status: Status) -> tuple[StepView, ...]:
        ends: dict[str, StepState] = {"waiting": "waiting", "failed": "failed", "not ready": "failed"}
        rows = []
        for number, name in enumerate(STEP_NAMES):
            seconds, done = story.steps.get(name, (None, False))
            # it is done once, for the first version
            done = done or (name == "initialize" and story.step not in (None, "initialize"))
            state: StepState = "done" if done else "pending"
            if name == story.step and not done:
                state = "running" if status in ACTIVE or status == "orphan training" else ends.get(status, "pending")
            rows.append(StepView(number, name, state, seconds))
        return tuple(rows)

    def _review(self, story: LoopState) -> Review | InputError | None:
        """The open question; what is wrong with it where its file was damaged or made by others."""
        if story.version is None:
            return None
        path = self.ws.drafts(story.version).review
        found: Review | InputError | None = self._read(path, lambda data: _review(data, path))
        return found

    def _log(self, story: LoopState) -> Path | None:
        if story.version is None or not self.ws.jobs.is_dir():
            return None
        logs = [p / "output.log" for p in self.ws.jobs.glob(f"*{story.version}*")]
        there = [(p.stat().st_mtime, p) for p in logs if p.exists()]
        return max(there)[1] if there else None

    def _read_progress(self, story: LoopState) -> Progress | None:
        version = story.version or ""
        reader = self._live.setdefault(version, LineReader(self.ws.live(version)))
        for line in reader.read():
            if "step" in line:
                self._progress[version] = _progress(line)
        return self._progress.get(version)

    # versions

    def _versions(self, story: LoopState, status: Status, primary: str | None, higher: bool) -> tuple[VersionView, ...]:
        rows = [self._version(version, story, status, primary) for version in self.ws.versions()]
        scored = [row for row in rows if row.value is not None]
        sign = 1 if higher else -1
        top = max(scored, key=lambda row: sign * (row.value or 0.0), default=None)
        return tuple(replace(row, is_best=True) if row is top else row for row in rows)

    def _version(self, version: str, story: LoopState, status: Status, primary: str | None) -> VersionView:
        made = story.authored.get(version, {})
        score = self._read(self.ws.version(version).eval_score, _score) or {}
        insight = self._read(self.ws.insight(version), _verdicts) or {}
        values: dict[str, float | None] = score.get("metrics", {})
        value = metrics.value_of(primary or "loss", values)
        current = version == story.version
        state = "done" if self.ws.mark(version, "extract").exists() else "pending"
        if current and state != "done":
            state = _SHORT.get(status, status)
        return VersionView(
            version=version,
            state=state,
            value=value,
            metrics=values,
            **insight,
            action=str(made.get("action") or ""),
            reason=str(made.get("reason") or ""),
            base=made.get("base"),
            attempts=story.attempts.get(version, 0),
            created_at=score.get("created_at"),
            latency_ms=score.get("latency_ms"),
            train_seconds=story.train_seconds.get(version),
            warnings=tuple(self._doubts(version)),
        )

    def _doubts(self, version: str) -> Iterator[str]:
        """What a reader of its score should know."""
        used = self._read(self.ws.version(version).protocol, lambda data: str(data["evaluator_sha256"]))
        if used is not None and used != self._evaluator():
            yield f"{version} was scored by another {self.ws.eval_script.name}: not comparable until evaluated again"

    def _evaluator(self) -> str | None:
        """Hash of the evaluator that lies there, worked out again only when the file has changed."""
        path = self.ws.eval_script
        stamp = _stamp(path)
        held = self._cached.get(path)
        if held is None or held[0] != stamp:
            held = (stamp, sha256(path) if path.is_file() else None)
            self._cached[path] = held
        found: str | None = held[1]
        return found

    def _read(self, path: Path, convert: Callable[[Any], Any]) -> Any:
        """A JSON file through `convert`, again only when it has changed; None where it is missing or wrong."""
        stamp = _stamp(path)
        held = self._cached.get(path)
        if held is None or held[0] != stamp:
            data = try_read_json(path)
            try:
                held = (stamp, None if data is None else convert(data))
            except (ValueError, TypeError, KeyError, AttributeError):
                held = (stamp, None)
            self._cached[path] = held
        return held[1]


#: What a version is called in the history while the loop is in a status.
_SHORT = {
    "orphan training": "training",
    "analyzing": "drafting",
    "runner gone": "stopped",
    "repairing": "repairing",
}


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)


def _located(problem: InputError) -> str:
    where = ", ".join(part for part in (problem.file, problem.place) if part)
    return f"{where}: {problem.reason}" if where else problem.reason


def _review(data: Any, path: Path) -> Review | InputError:
    try:
        return validate(data, Review, path)
    except InputError as error:
        return error


def _score(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "metrics": {str(m["name"]): metrics.finite(m["value"]) for m in data["metrics"]},
        "created_at": str(data.get("created_at") or ""),
        "latency_ms": metrics.finite(data.get("latency_ms")),
    }


def _verdicts(data: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = metrics.value_of(data["primary_metric"], {r["name"]: r for r in data["metrics"]}) or {}
    deltas = {key: metrics.finite(row.get(key)) for key in ("delta_previous", "delta_best")}
    verdicts = {key: row.get(key) for key in ("verdict_previous", "verdict_best")}
    return deltas | {key: value if isinstance(value, str) else None for key, value in verdicts.items()}


def _progress(line: dict[str, Any]) -> Progress:
    told, rates = line.get("metrics"), line.get("learning_rate")
    numbers = {k: v for k, v in told.items() if metrics.finite(v) is not None} if isinstance(told, dict) else {}
    if isinstance(rates, list) and rates and metrics.finite(rates[0]) is not None:
        numbers["learning_rate"] = rates[0]
    counts: dict[str, Any] = {key: _count(line.get(key)) for key in ("epoch", "epochs", "step", "steps")}
    times: dict[str, Any] = {k: metrics.finite(line.get(k)) for k in ("samples_per_second", "seconds_left", "seconds")}
    return Progress(**counts, **times, metrics=numbers)


def _count(value: object) -> int | None:
    found = metrics.finite(value)
    return int(found) if found is not None and found >= 0 else None
