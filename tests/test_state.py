"""The journal folded into where the loop stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from progtrain.engine.status.rows import basis
from progtrain.engine.status.state import LoopState
from progtrain.engine.workspace import Workspace


def _told(*events: dict[str, Any]) -> LoopState:
    story = LoopState()
    for event in events:
        story.add({"at": "2026-01-01T00:00:00+00:00", **event})
    return story


STARTED = {"event": "runner_started", "autopilot": False}


def test_a_runner_without_an_end_is_open() -> None:
    assert _told(STARTED).runner_open
    assert not _told(STARTED, {"event": "loop_waiting", "reason": "x"}, {"event": "runner_ended"}).runner_open


def test_steps_begin_anew_with_each_version() -> None:
    story = _told(
        STARTED,
        {"event": "step_started", "version": "v001", "step": "train"},
        {"event": "step_done", "version": "v001", "step": "train", "seconds": 2.0},
        {"event": "step_started", "version": "v002", "step": "train"},
    )
    assert story.steps == {"train": (None, False)}
    assert story.train_seconds == {"v001": 2.0}
    assert story.activity() == "training"


def test_a_failed_attempt_shows_as_repairing_until_the_next_step() -> None:
    failed = {"event": "attempt_failed", "version": "v001", "attempt": 1, "summary": "out of memory"}
    story = _told(STARTED, {"event": "step_started", "version": "v001", "step": "train"}, failed)
    assert story.activity() == "repairing"
    assert "out of memory" in story.reason
    story.add({"event": "step_started", "version": "v001", "step": "train"})
    assert story.activity() == "training"


def test_a_failure_names_file_and_place() -> None:
    event = {"event": "loop_failed", "reason": "bad", "file": "rules.json", "place": "key seed", "fix": "correct it"}
    story = _told(STARTED, event)
    assert (story.outcome, story.reason, story.fix) == ("failed", "rules.json, key seed: bad", "correct it")


def test_a_new_runner_forgets_the_last_outcome() -> None:
    story = _told(STARTED, {"event": "loop_failed", "reason": "bad"}, {"event": "runner_ended"}, STARTED)
    assert (story.outcome, story.reason) == ("", "")


def test_events_of_a_later_progtrain_are_passed_over() -> None:
    assert _told({"event": "something_new", "x": 1}).outcome == ""


def test_a_training_and_a_score_that_were_taken_over_are_done(tmp_path: Path) -> None:
    """Of such a version the journal tells no more than what came after."""

    def shown(*steps: str) -> dict[str, str]:
        story = _told(STARTED)
        for step in steps:
            story.add({"at": "2026-01-01T00:00:00+00:00", "event": "step_started", "version": "v002", "step": step})
            story.add({"at": "2026-01-01T00:00:00+00:00", "event": "step_done", "version": "v002", "step": step})
        return {step.name: step.state for step in basis(Workspace(tmp_path), story, "finished", {}).steps}

    told = shown("analyze", "extract", "report")
    assert [name for name, state in told.items() if state == "done"] == [
        *("initialize", "train", "evaluate", "analyze", "extract", "report")
    ]
    story = _told(STARTED, {"event": "step_started", "version": "v002", "step": "evaluate"})
    told = {step.name: step.state for step in basis(Workspace(tmp_path), story, "evaluating", {}).steps}
    assert (told["train"], told["evaluate"], told["analyze"]) == ("done", "running", "pending")
