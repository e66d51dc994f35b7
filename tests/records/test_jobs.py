"""The ledger of jobs: states are what guards, their processes and the journal say at this moment."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable

import psutil
import pytest

from progtrain.engine.control import launch, lock
from progtrain.engine.control.launch import Options
from progtrain.engine.files import append_line, try_read_json, write_json, write_text
from progtrain.engine.loop import runner
from progtrain.engine.records import jobs as records
from progtrain.engine.records.jobs import Job
from progtrain.engine.records.planned import ledger
from progtrain.engine.workspace import JobFolder, Workspace
from tests.tui.fakes import write_experiment


def states(ws: Workspace) -> dict[str, str]:
    return {job.id: job.state for job in records.jobs(ws)}


def one(ws: Workspace, name: str) -> Job:
    return next(job for job in records.jobs(ws) if job.id == name)


def _wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def _kill_guard(folder: JobFolder) -> None:
    guard = psutil.Process(try_read_json(folder.state)["pid"])
    guard.kill()
    psutil.wait_procs([guard], timeout=60)


def test_each_job_of_a_finished_loop_has_a_row(finished: Workspace) -> None:
    rows = ledger(finished)
    assert [(job.id, job.kind, job.version, job.state, job.exit_code) for job in rows][:5] == [
        ("v001-train-1", "train", "v001", "finished", 0),
        ("v001-evaluate", "evaluate", "v001", "finished", 0),
        ("v002-train-1", "train", "v002", "finished", 0),
        ("v002-evaluate", "evaluate", "v002", "finished", 0),
        ("report-v002", "report", "v002", "finished", 0),
    ]
    for job in rows[:5]:
        assert job.log and (finished.root / job.log).is_file()
        assert job.queued_at and job.started_at and job.ended_at


def test_in_a_copy_whose_files_are_younger_the_order_is_the_same(copied: Workspace) -> None:
    before = [job.id for job in records.jobs(copied)]
    os.utime(copied.job("v001-train-1").job)
    assert [job.id for job in records.jobs(copied)] == before
    job = one(copied, "v001-train-1")
    assert job.queued_at == job.started_at


def test_planned_is_what_a_dry_run_says(plain: Workspace) -> None:
    assert [(job.id, job.state) for job in ledger(plain)] == [("v001-train-1", "planned"), ("v001-evaluate", "planned")]
    assert not plain.own.exists()


def test_killed_guard_and_runner_are_lost_and_superseded_when_it_is_done_again(
    plain: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECONDS_PER_EPOCH", "5")
    process = launch.start(plain, Options(autopilot=True))
    folder = plain.job("v001-train-1")
    _wait_for(lambda: (try_read_json(folder.state) or {}).get("status") == "running")
    assert states(plain) == {"v001-train-1": "running"}
    process.kill()
    process.wait()
    _kill_guard(folder)
    assert states(plain) == {"v001-train-1": "lost"}
    assert "without a word" in one(plain, "v001-train-1").why

    monkeypatch.setenv("SECONDS_PER_EPOCH", "1")
    again = launch.start(plain, Options(autopilot=True))
    _wait_for(lambda: plain.job("v001-train-1.lost-1").path.exists())
    _wait_for(lambda: (try_read_json(folder.state) or {}).get("status") == "running")
    assert states(plain) == {"v001-train-1.lost-1": "superseded", "v001-train-1": "running"}
    assert one(plain, "v001-train-1").supersedes == "v001-train-1.lost-1"
    launch.stop(plain)
    assert again.wait(timeout=60) == 0
    assert states(plain) == {"v001-train-1.lost-1": "superseded", "v001-train-1.stopped-1": "failed"}
    assert one(plain, "v001-train-1.stopped-1").why == "stopped by user"


def test_a_killed_guard_under_a_living_runner_is_superseded_by_the_next_attempt(
    plain: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECONDS_PER_EPOCH", "5")
    process = launch.start(plain, Options(autopilot=True))
    folder, second = plain.job("v001-train-1"), plain.job("v001-train-2")
    _wait_for(lambda: (try_read_json(folder.state) or {}).get("status") == "running")
    _kill_guard(folder)
    _wait_for(lambda: (try_read_json(second.state) or {}).get("status") == "running")
    assert states(plain) == {"v001-train-1": "superseded", "v001-train-2": "running"}
    assert lock.running(plain)
    process.kill()
    process.wait()
    _kill_guard(second)
    assert states(plain) == {"v001-train-1": "superseded", "v001-train-2": "lost"}


def test_a_script_that_leaves_the_wrong_outputs_has_failed_with_its_cause(plain: Workspace) -> None:
    text = plain.baseline_script.read_text()
    plain.baseline_script.write_text(text.replace('ARTIFACTS / "spec.json"', 'ARTIFACTS / "eval_score.json"'))
    assert runner.run(plain, Options(autopilot=True)) == 1
    job = one(plain, "v001-train-1")
    assert (job.state, job.exit_code) == ("failed", 0)
    assert "only the evaluation may" in job.why
    # also when the folder of the job is gone
    shutil.rmtree(plain.job("v001-train-1").path)
    kept = one(plain, "v001-train-1")
    assert (kept.state, kept.exit_code, kept.why) == ("failed", 0, job.why)
    assert kept.log == ".progtrain/attempts/v001/1/output.log"


def test_an_evaluation_done_again_takes_the_place_of_the_first(copied: Workspace) -> None:
    for event in ("step_started", "step_done"):
        append_line(
            copied.journal, {"at": "2099-01-01T00:00:00+00:00", "event": event, "version": "v001", "step": "evaluate"}
        )
    assert states(copied)["v001-evaluate.1"] == "superseded"
    last = one(copied, "v001-evaluate")
    assert (last.state, last.supersedes) == ("finished", "v001-evaluate.1")


def test_a_step_whose_runner_went_without_a_word_is_lost(copied: Workspace) -> None:
    append_line(
        copied.journal,
        {"at": "2099-01-01T00:00:00+00:00", "event": "step_started", "version": "v003", "step": "evaluate"},
    )
    assert states(copied)["v003-evaluate"] == "lost"


def test_a_job_on_a_cluster_goes_by_its_files_alone(copied: Workspace) -> None:
    folder = copied.job("v003-train-1")
    write_json(folder.job, {"name": "v003-train-1", "command": ["x"], "cwd": "."})
    write_json(folder.intent, {"name": "pt-1", "at": "2099-01-01T00:00:00+00:00", "tries": 1, "answer": None})
    assert one(copied, "v003-train-1").why == "being submitted"
    write_json(folder.submitted, {"job": "17", "at": "2099-01-01T00:00:01+00:00"})
    write_json(folder.seen, {"phase": "waiting", "reason": "no node is free", "cause": ""})
    job = one(copied, "v003-train-1")
    assert (job.state, job.why, job.queued_at) == (
        "running",
        "waits in the queue: no node is free",
        "2099-01-01T00:00:00+00:00",
    )
    state = {
        "status": "running",
        "host": "node7",
        "pid": 1,
        "create_time": 0,
        "started_at": "2099-01-01T00:01:00+00:00",
    }
    write_json(folder.state, state)
    write_json(folder.seen, {"phase": "running", "reason": "", "cause": ""})
    write_text(folder.beat, "")
    assert one(copied, "v003-train-1").state == "running"
    os.utime(folder.beat, (1.0, 1.0))
    assert one(copied, "v003-train-1").state == "lost"
    write_json(folder.seen, {"phase": "failed", "reason": "its node node7 failed", "cause": "node failure"})
    assert (one(copied, "v003-train-1").state, one(copied, "v003-train-1").why) == ("failed", "its node node7 failed")


def test_jobs_of_repeats_stand_under_their_version(copied: Workspace) -> None:
    repeat = Workspace(copied.repeat("v001", "r1").workspace)
    for name in ("v001-train-1", "v001-evaluate"):
        shutil.copytree(copied.job(name).path, repeat.job(name).path)
    mark = repeat.mark("v001", "evaluate")
    mark.parent.mkdir(parents=True)
    shutil.copy(copied.mark("v001", "evaluate"), mark)
    assert one(copied, "repeats/v001/r1/v001-evaluate").state == "finished"
    job = one(copied, "repeats/v001/r1/v001-train-1")
    assert (job.version, job.state, job.kind) == ("v001/r1", "finished", "train")
    assert job.log == ".progtrain/repeats/v001/r1/workspace/.progtrain/jobs/v001-train-1/output.log"


def test_what_a_guard_did_not_write_is_no_traceback(copied: Workspace) -> None:
    copied.job("v001-train-1").state.write_text(json.dumps({"status": "who knows"}))
    (copied.jobs / "stray").mkdir()
    assert one(copied, "v001-train-1").state == "lost"


def test_attempts_of_an_experiment_go_by_failure_and_mark(copied: Workspace) -> None:
    run = write_experiment(copied).run("rank8")
    for number in (1, 2, 3):
        shutil.copytree(copied.job("v001-train-1").path, run.attempt("train", number).path)
    write_json(run.failure("train", 1), {"cause": "lost", "reason": "its node went"})
    write_json(run.failure("train", 2), {"cause": "exit code", "reason": "it broke"})
    write_json(run.mark("train"), {"inputs": {"attempt": "3"}})
    name = "experiments/cap/rank8/train"
    found = {job.id: job for job in ledger(copied)}
    first, second, third = (found[f"{name}-{number}"] for number in (1, 2, 3))
    assert (first.state, second.state, third.state) == ("superseded", "failed", "finished")
    assert (second.why, second.version, second.kind) == ("it broke", "cap/rank8", "train")
    assert (second.supersedes, third.supersedes) == (f"{name}-1", f"{name}-2")
    # a plan that cannot be read takes nothing from what ran
    (copied.experiments / "cap" / "experiment.yaml").write_text("experiment: [")
    assert f"{name}-3" in {job.id for job in ledger(copied)}
