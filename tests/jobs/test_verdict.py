"""Guard and Slurm say different things: who is believed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from progtrain.engine.jobs.queue_reasons import in_words
from progtrain.engine.jobs.verdict import verdict
from progtrain.engine.schema import JobState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG = {"gone": 1e6}


def guard(status: str, exit_code: int | None = None, ended_by: str | None = None, restarts: int = 0) -> JobState:
    told = {"status": status, "exit_code": exit_code, "ended_by": ended_by, "restarts": restarts}
    return JobState.model_validate({"host": "a", "pid": 1, "create_time": 0.0, "started_at": NOW, **told})


def row(state: str, reason: str = "None", restarts: int = 0, node: str = "n1", code: int = 0) -> dict[str, str]:
    told = {"job": "7", "name": "pt", "state": state, "reason": reason}
    return {**told, "restarts": str(restarts), "node": node, "exit": str(code << 8)}


RUNNING, DONE, TOLD = guard("running"), guard("ended", 0), guard("ended", -15, "cancelled")
KILLED = guard("ended", -9)
MEMORY = {"output": "slurmstepd: error: Exceeded job memory limit"}


@pytest.mark.parametrize(
    ("guards", "slurm", "more", "phase", "cause"),
    [
        # the guard's word on how its script ended counts, whatever Slurm says
        (DONE, row("COMPLETED"), {}, "done", ""),
        (DONE, row("NODE_FAIL"), {}, "done", ""),
        (DONE, row("RUNNING"), {}, "done", ""),
        (DONE, None, {"answered": False}, "done", ""),
        (guard("ended", 7), None, {}, "failed", "exit code"),
        (guard("ended", -11), row("FAILED"), {}, "failed", "signal"),
        (guard("ended", 85, "go on later"), row("FAILED"), {}, "paused", "time limit"),
        (guard("ended", -15, "replaced"), row("FAILED"), {}, "failed", "replaced"),
        (guard("ended", 127, "could not start"), row("FAILED"), {}, "failed", "could not start"),
        # but a signal from outside has reasons that Slurm alone knows
        (TOLD, row("CANCELLED"), {}, "cancelled", "cancelled"),
        (TOLD, None, {}, "cancelled", "cancelled"),
        (TOLD, row("PENDING", "BeginTime", restarts=1), {}, "queued", ""),
        (TOLD, row("PENDING", "JobHeldAdmin", restarts=1), {}, "waiting", ""),
        (TOLD, row("RUNNING", restarts=1), {}, "running", ""),
        (TOLD, row("FAILED", "JobLaunchFailure", restarts=1), LONG, "failed", "could not start"),
        (TOLD, row("COMPLETED", restarts=1), {"gone": 5.0}, "ending", ""),
        (guard("ended", -15, "cancelled", restarts=1), row("CANCELLED", restarts=1), {}, "cancelled", "cancelled"),
        (TOLD, row("COMPLETING"), {}, "ending", ""),
        (TOLD, None, {"answered": False}, "ending", ""),
        (TOLD, row("RUNNING"), {"asked": True}, "cancelled", "cancelled"),
        (TOLD, row("TIMEOUT"), {}, "failed", "time limit"),
        (guard("ended", -15, "time limit"), row("TIMEOUT"), {}, "failed", "time limit"),
        (guard("ended", -15, "time limit"), None, {}, "failed", "time limit"),
        (guard("ended", -15, "time limit"), row("CANCELLED"), {}, "cancelled", "cancelled"),
        (TOLD, row("NODE_FAIL"), {}, "failed", "node failure"),
        (TOLD, row("PREEMPTED"), {"gone": 10.0}, "ending", ""),
        (TOLD, row("PREEMPTED"), LONG, "lost", "preempted"),
        (KILLED, row("COMPLETING"), {}, "ending", ""),
        (KILLED, row("OUT_OF_MEMORY"), {}, "failed", "host memory"),
        (KILLED, row("FAILED"), MEMORY, "failed", "host memory"),
        (KILLED, row("FAILED"), {}, "failed", "signal"),
        # a beat that is fresh: it runs
        (RUNNING, row("RUNNING"), {"beat": 5.0}, "running", ""),
        (RUNNING, row("NODE_FAIL"), {"beat": 5.0}, "running", ""),
        (RUNNING, row("COMPLETED"), {"beat": 5.0}, "running", ""),
        (RUNNING, None, {"beat": 5.0}, "running", ""),
        (RUNNING, None, {"beat": 5.0, **MEMORY}, "running", ""),
        (RUNNING, row("RUNNING"), {"beat": 5.0, **MEMORY}, "running", ""),
        (RUNNING, row("NODE_FAIL"), {"beat": 5.0, **MEMORY}, "running", ""),
        # unless its node has ended all of it for memory
        (RUNNING, row("OUT_OF_MEMORY"), {"beat": 5.0}, "failed", "host memory"),
        (RUNNING, row("FAILED"), {"beat": 5.0, **MEMORY}, "failed", "host memory"),
        # an end that Slurm knows of and the guard could not tell of any more
        (RUNNING, row("COMPLETED"), {"beat": 90.0, "gone": 5.0}, "ending", ""),
        (RUNNING, row("COMPLETED"), {"beat": 90.0, **LONG}, "lost", "lost"),
        (None, row("COMPLETED"), LONG, "lost", "lost"),
        (RUNNING, row("FAILED"), {"beat": 90.0, **LONG}, "lost", "lost"),
        (RUNNING, row("FAILED"), {"beat": 90.0, **MEMORY}, "failed", "host memory"),
        (RUNNING, row("FAILED"), {"beat": 90.0, "output": "Detected 1 oom_kill event"}, "failed", "host memory"),
        (RUNNING, row("OUT_OF_MEMORY"), {"beat": 90.0}, "failed", "host memory"),
        (RUNNING, row("TIMEOUT"), {"beat": 90.0, **LONG}, "failed", "time limit"),
        (RUNNING, row("CANCELLED"), {"beat": 90.0, **LONG}, "cancelled", "cancelled"),
        (None, row("CANCELLED", node=""), {"gone": 0.0}, "cancelled", "cancelled before start"),
        (None, row("FAILED"), LONG, "failed", "could not start"),
        (None, row("FAILED", code=75), LONG, "failed", "replaced"),
        # a node that Slurm has lost sight of may well go on: no second one beside it
        (RUNNING, row("NODE_FAIL"), {"beat": 90.0, **LONG}, "running", ""),
        (RUNNING, row("NODE_FAIL"), {"beat": 200.0, **LONG}, "failed", "node failure"),
        (None, row("BOOT_FAIL"), LONG, "failed", "node failure"),
        # the queue
        (None, row("PENDING", "Priority", node=""), {}, "queued", ""),
        (None, row("PENDING", "JobHeldUser", node=""), {}, "waiting", ""),
        (None, row("CONFIGURING"), {}, "running", ""),
        (None, row("COMPLETING"), {}, "ending", ""),
        (RUNNING, row("SUSPENDED"), {"beat": 400.0}, "running", ""),
        (RUNNING, row("RUNNING"), {"beat": 400.0}, "running", ""),
        # Slurm knows nothing of it, or does not answer, which is another thing
        (RUNNING, None, {"beat": 400.0, **LONG}, "lost", "lost"),
        (RUNNING, None, {"beat": 400.0, "gone": 5.0}, "ending", ""),
        (None, None, LONG, "lost", "lost"),
        (RUNNING, None, {"beat": 400.0, "answered": False}, "running", ""),
        (None, None, {"answered": False}, "queued", ""),
    ],
)
def test_who_is_believed(
    guards: JobState | None, slurm: dict[str, str] | None, more: dict[str, Any], phase: str, cause: str
) -> None:
    seen = verdict(guards, slurm, **more)
    assert (seen.phase, seen.cause) == (phase, cause)
    assert seen.ended == (cause != "" or phase == "done")


@pytest.mark.parametrize(
    ("reason", "starts", "said"),
    [
        ("None", True, ""),
        ("Resources", True, "it waits for nodes to become free"),
        ("QOSMaxJobsPerUserLimit", True, "as much of yours runs as may (QOSMaxJobsPerUserLimit)"),
        ("AssocGrpCpuLimit", True, "as much of yours runs as may (AssocGrpCpuLimit)"),
        ("QOSMaxWallDurationPerJobLimit", False, "it asks for more than one job may have"),
        ("JobHeldUser", False, "held: scontrol release 7 lets it go"),
        ("DependencyNeverSatisfied", False, "it waits for a job that failed, and would wait for ever: cancel it"),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-4]", False, "the nodes that it needs are down, drained or reserved"),
        ("SomethingNew", True, "Slurm's reason: SomethingNew"),
    ],
)
def test_reasons_of_the_queue_are_put_into_words(reason: str, starts: bool, said: str) -> None:
    found, words = in_words(reason, "7")
    assert found == starts and words.startswith(said)
