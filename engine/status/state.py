"""The journal folded into where the loop stands. Knows nothing but events, so that a test can tell it anything."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from progtrain.engine.metrics import finite
from progtrain.engine.status.snapshot import STEP_STATUS, Status
from progtrain.engine.workspace import version_number

_REPEAT = re.compile(r"r[1-9]\d{0,5}")


@dataclass
class LoopState:
    dataset_id: str | None = None
    max_versions: int | None = None
    max_versions_asked: int | None = None
    autopilot: bool = False
    version: str | None = None
    step: str | None = None
    #: when the present step or outcome began, ISO-8601
    since: str | None = None
    #: how the last runner ended; "" while none has, or while one is at work
    outcome: Literal["", "waiting", "stopped", "failed", "finished"] = ""
    reason: str = ""
    fix: str = ""
    #: a runner has started and has not said that it ended
    runner_open: bool = False
    runner_at: str | None = None
    drafting: bool = False
    repairing: bool = False
    #: a version that is trained with another seed, in words
    repeating: str = ""
    #: its version, the name of that run, and how many there are to be
    repeat: tuple[str, str, int] | None = None
    #: where the loop stood before a runner came that only repeats: outcome, reason, fix, step, since
    set_aside: tuple[Any, ...] | None = None
    #: of the current version: step -> (seconds, done)
    steps: dict[str, tuple[float | None, bool]] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    train_seconds: dict[str, float] = field(default_factory=dict)
    #: version -> base, action, reason, operation
    authored: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: of the last runner
    warnings: list[str] = field(default_factory=list)
    report: str | None = None

    def activity(self) -> Status:
        """What a runner that is at work is doing."""
        if self.repeating:
            return "repeating"
        if self.step is None:
            return "starting"
        if self.repairing:
            return "repairing"
        return "drafting" if self.drafting else STEP_STATUS.get(self.step, "starting")

    def add(self, event: dict[str, Any]) -> None:
        """Values of another kind than the runner writes count as not there: the file may have been edited."""
        handle = getattr(self, f"_on_{event.get('event')}", None)
        if handle is not None:
            handle(event)

    def _end(self, event: dict[str, Any], outcome: Literal["waiting", "stopped", "failed", "finished"]) -> None:
        self.outcome, self.since = outcome, _text(event, "at")
        self.reason = str(event.get("reason") or "")
        # a journal of an older version says "mend"
        self.fix = str(event.get("fix") or event.get("mend") or "")

    def _on_loop_started(self, event: dict[str, Any]) -> None:
        self.dataset_id = _text(event, "dataset_id")
        self.max_versions = _count(event, "max_versions")
        self.max_versions_asked = _count(event, "max_versions_asked")

    def _on_loop_changed(self, event: dict[str, Any]) -> None:
        self.max_versions_asked = _count(event, "max_versions_asked") or self.max_versions_asked

    def _on_runner_started(self, event: dict[str, Any]) -> None:
        there = (self.outcome, self.reason, self.fix, self.step, self.since)
        self.set_aside = there if event.get("repeats") else None
        self.runner_open, self.runner_at, self.since = True, _text(event, "at"), _text(event, "at")
        self.autopilot = bool(event.get("autopilot"))
        self.outcome, self.reason, self.fix, self.step = "", "", "", None
        self.repeating, self.repeat = "", None
        self.drafting = self.repairing = False
        self.warnings = []

    def _on_runner_ended(self, event: dict[str, Any]) -> None:
        self.runner_open = False
        self.repeating, self.repeat = "", None
        if self.set_aside is not None:
            # nothing of the loop has changed meanwhile
            self.outcome, self.reason, self.fix, self.step, self.since = self.set_aside

    def _on_loop_waiting(self, event: dict[str, Any]) -> None:
        self._end(event, "waiting")

    def _on_loop_stopped(self, event: dict[str, Any]) -> None:
        self._end(event, "stopped")
        by = event.get("by")
        self.reason = "you stopped it" if by == "user" else f"it was to run {by}"

    def _on_loop_failed(self, event: dict[str, Any]) -> None:
        self._end(event, "failed")
        where = ", ".join(str(event[key]) for key in ("file", "place") if event.get(key))
        self.reason = f"{where}: {self.reason}" if where else self.reason

    def _on_loop_finished(self, event: dict[str, Any]) -> None:
        self._end(event, "finished")
        self.report = _text(event, "report")

    def _on_step_started(self, event: dict[str, Any]) -> None:
        version = _version(event, "version")
        if version != self.version:
            self.steps = {}
        self.version, self.step, self.since = version, _text(event, "step"), _text(event, "at")
        self.steps[str(self.step)] = (None, False)
        self.drafting = self.repairing = False

    def _on_step_done(self, event: dict[str, Any]) -> None:
        seconds = finite(event.get("seconds"))
        self.steps[str(event.get("step"))] = (seconds, True)
        if event.get("step") == "train" and seconds is not None:
            self.train_seconds[str(event.get("version"))] = seconds
        if event.get("step") == "report":
            self.report = _text(event, "text")

    def _on_attempt_failed(self, event: dict[str, Any]) -> None:
        version = str(event.get("version"))
        self.attempts[version] = self.attempts.get(version, 0) + 1
        self.repairing = True
        self.reason = f"attempt {event.get('attempt')} failed: {event.get('summary')}"

    def _on_repeat_started(self, event: dict[str, Any]) -> None:
        seed = f", seed {event['seed']}" if _count(event, "seed") is not None else ""
        self.repeating = f"{_version(event, 'version')}, repeat {event.get('number')} of {event.get('of')}{seed}"
        self.reason, self.since = self.repeating, _text(event, "at")
        version, run, of = _version(event, "version"), _text(event, "run") or "", _count(event, "of")
        self.repeat = (version, run, of or 1) if version and _REPEAT.fullmatch(run) else None

    def _on_repeat_done(self, event: dict[str, Any]) -> None:
        self.repeating = self.reason = ""
        self.repeat = None

    def _on_repeat_failed(self, event: dict[str, Any]) -> None:
        self.repeating = self.reason = ""
        self.repeat = None
        self.warnings.append(f"{event.get('version')}, {event.get('run')}: {event.get('summary')}")

    def _on_draft_started(self, event: dict[str, Any]) -> None:
        self.drafting = True

    def _on_draft_ready(self, event: dict[str, Any]) -> None:
        self.drafting = False

    def _on_version_authored(self, event: dict[str, Any]) -> None:
        self.authored[str(event.get("version"))] = {**event, "base": _version(event, "base")}

    def _on_warning(self, event: dict[str, Any]) -> None:
        self.warnings.append(str(event.get("text")))


def _text(event: dict[str, Any], key: str) -> str | None:
    value = event.get(key)
    return value if isinstance(value, str) else None


def _version(event: dict[str, Any], key: str) -> str | None:
    """What names no version leads to no path either."""
    value = _text(event, key)
    return value if value and version_number(value) else None


def _count(event: dict[str, Any], key: str) -> int | None:
    value = event.get(key)
    return value if isinstance(value, int) else None
