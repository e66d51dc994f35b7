"""A loop whose trainings and evaluations are jobs of a real Slurm, while its runner stays where it was started."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from progtrain.engine.clock import now
from progtrain.engine.control import decisions, launch, lock
from progtrain.engine.control.launch import Options
from progtrain.engine.files import LineReader, try_read_json, write_json
from progtrain.engine.jobs.base import GO_ON_LATER, LOST
from progtrain.engine.jobs.slurm import Slurm
from progtrain.engine.loop import runner
from progtrain.engine.loop.steps import train
from progtrain.engine.repeats import found
from progtrain.engine.schema import JobState
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import JobFolder, Workspace
from tests.cli.commands import progtrain
from tests.jobs.cluster import Cluster, until

Edit = Callable[..., None]
ON_SLURM = {"executor": "slurm", "resources": {"cpus": 1, "memory": "200M", "time": 10, "poll_seconds": 1}}


@pytest.fixture
def on_slurm(plain: Workspace, edit_rules: Edit, cluster: Cluster) -> Workspace:
    edit_rules(plain, loop_config={"max_versions": 2, **ON_SLURM})
    return plain


def events(ws: Workspace, kind: str) -> list[dict[str, Any]]:
    return [e for e in LineReader(ws.journal).read() if e["event"] == kind]


def said(ws: Workspace) -> str:
    return WorkspaceView(ws.root).snapshot().reason


@pytest.mark.slow
def test_a_loop_of_two_versions(on_slurm: Workspace, cluster: Cluster) -> None:
    assert runner.run(on_slurm, Options(autopilot=True)) == 0
    assert on_slurm.versions() == ["v001", "v002"]
    for version in on_slurm.versions():
        for name in (f"{version}-train-1", f"{version}-evaluate"):
            told = try_read_json(on_slurm.job(name).seen)
            assert told["phase"] == "done" and cluster.job(told["job"])["JobState"] == "COMPLETED"
        assert on_slurm.live(version).parent.is_dir()
    assert not any("packages imported already" in e["text"] for e in events(on_slurm, "note"))


@pytest.mark.slow
def test_what_waits_in_the_queue_says_why_and_is_cancelled_by_a_stop(on_slurm: Workspace, cluster: Cluster) -> None:
    node = cluster.nodes[0]
    cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    try:
        process = launch.start(on_slurm, Options(autopilot=True))
        until(lambda: "drained or reserved" in said(on_slurm), "no reason is shown")
        assert said(on_slurm).startswith("waiting (job ")
        assert "training v001 of 2, dataset toy_v1: waiting (job " in progtrain(on_slurm, "status").stdout
        decisions.request_stop(on_slurm)
        assert process.wait(60) == 0
    finally:
        cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    assert not cluster.run("squeue", "-h") and not lock.running(on_slurm)
    assert WorkspaceView(on_slurm.root).snapshot().status == "stopped"


@pytest.mark.slow
def test_repeats_are_jobs_too_and_a_killed_runner_finds_them_again(
    on_slurm: Workspace, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runner.run(on_slurm, Options(autopilot=True, until="evaluate")) == 0
    count = tmp_path / "count"
    monkeypatch.setenv("COUNT_FILE", str(count))
    monkeypatch.setenv("SECONDS_PER_EPOCH", "1")
    process = launch.start(on_slurm, Options(repeat="v001", times=1))
    until(count.exists, "nothing was started")
    psutil.Process(process.pid).kill()
    process.wait()
    assert runner.run(on_slurm, Options(repeat="v001", times=1)) == 0
    assert count.read_text().split() == ["v001"]
    assert [one.seed for one in found.of(on_slurm, "v001")] == [43]
    own = Workspace(on_slurm.repeat("v001", "r1").workspace)
    for name in ("v001-train-1", "v001-evaluate"):
        told = try_read_json(own.job(name).seen)
        assert told["phase"] == "done" and cluster.job(told["job"])["JobState"] == "COMPLETED"


@pytest.mark.slow
def test_a_runner_that_is_killed_finds_its_job_again(
    on_slurm: Workspace, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    monkeypatch.setenv("COUNT_FILE", str(count))
    monkeypatch.setenv("SECONDS_PER_EPOCH", "1")
    process = launch.start(on_slurm, Options(autopilot=True, until="train"))
    until(count.exists, "nothing was started")
    psutil.Process(process.pid).kill()
    process.wait()
    assert runner.run(on_slurm, Options(autopilot=True, until="train")) == 0
    assert count.read_text().split() == ["v001"]


@pytest.mark.slow
def test_a_controller_that_does_not_answer_is_no_failure(
    on_slurm: Workspace, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = cluster.nodes[0]
    cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    process = launch.start(on_slurm, Options(autopilot=True, until="train"))
    until(lambda: "drained or reserved" in said(on_slurm), "no reason is shown")
    cluster.controller().suspend()
    try:
        until(lambda: "the cluster has not answered for" in said(on_slurm), "its silence is not shown")
    finally:
        cluster.controller().resume()
        cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    assert process.wait(90) == 0
    assert not events(on_slurm, "attempt_failed")


def test_a_job_that_slurm_refuses_is_told_with_its_reason(on_slurm: Workspace, edit_rules: Edit) -> None:
    edit_rules(on_slurm, loop_config={**ON_SLURM, "resources": {"partition": "nowhere", "poll_seconds": 1}})
    assert runner.run(on_slurm, Options(autopilot=True)) == 1
    assert "invalid partition" in events(on_slurm, "loop_failed")[-1]["reason"].casefold()


def test_check_says_what_the_cluster_says(on_slurm: Workspace, edit_rules: Edit) -> None:
    def told() -> list[str]:
        from progtrain.engine.cli import check_machine

        context = runner.prepare(on_slurm, Options(), dry_run=True)
        assert isinstance(context.executor, Slurm)
        return [f"{state}: {text}" for _, state, text, _ in check_machine.look(context)]

    assert any("ok: scripts run as jobs of Slurm: Job" in line for line in told())
    edit_rules(on_slurm, loop_config={**ON_SLURM, "resources": {"memory": "900G"}})
    assert any(line.startswith("error: Slurm would refuse the job") for line in told())


def test_check_without_slurm(plain: Workspace, edit_rules: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    from progtrain.engine.cli import check_machine

    edit_rules(plain, loop_config=ON_SLURM)
    monkeypatch.setenv("PATH", str(plain.root))
    context = runner.prepare(plain, Options(), dry_run=True)
    found = [text for _, state, text, _ in check_machine.look(context) if state == "error"]
    assert found == ["sbatch is not installed here, so there is no Slurm to ask"]


def test_what_each_job_asks_for(plain: Workspace, edit_rules: Edit) -> None:
    from progtrain.engine.control import place
    from progtrain.engine.rules import rules

    asked = {"partition": "gpu", "gpus": 2, "memory": "16G", "time": "1-02:30:00", "setup": ["module load cuda"]}
    edit_rules(plain, loop_config={"executor": "slurm", "resources": {**asked, "python": ".venv/bin/python"}})
    present = rules.load(plain)
    found = place.resources_of(present)
    assert (found.partition, found.gpus, found.memory_mb, found.minutes) == ("gpu", 2, 16384, 1590)
    assert found.setup == ["module load cuda"]
    assert place.python_of(plain, present) == str(plain.root / ".venv/bin/python")
    # a cluster hands out its own GPUs
    assert place.environment_of(present, "0,1") == {}
    plain.rules.write_text(json.dumps({"loop_config": {"resources": asked}}))
    assert place.resources_of(rules.load(plain)).partition is None


def test_a_job_that_saved_before_its_time_was_over_is_to_be_gone_on_with(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "v001-train-1")
    write_json(folder.intent, {"name": "pt", "at": now().isoformat(), "tries": 1, "answer": None})
    write_json(folder.submitted, {"job": "7"})
    told = {"status": "ended", "host": "n1", "pid": 1, "create_time": 1.0, "exit_code": 85, "ended_by": GO_ON_LATER}
    write_json(folder.state, {**told, "started_at": now().isoformat(), "ended_at": now().isoformat(), "job": "7"})
    state = Slurm().look(folder)
    assert state is not None and (state.status, state.ended_by) == ("ended", GO_ON_LATER)


def test_lost_jobs_are_told_as_the_cluster_tells_of_them(plain: Workspace) -> None:
    """More memory than asked for is nothing that another try would cure."""
    job = plain.job("v001-train-1")
    write_json(job.seen, {"phase": "failed", "reason": "it used more memory", "cause": "host memory"})
    moment = now()
    state = JobState(status="ended", host="n", pid=1, create_time=1.0, started_at=moment, ended_at=moment)
    lost = state.model_copy(update={"ended_by": LOST})
    failure, _ = train.came_of(runner.prepare(plain, Options(), dry_run=True), "v001", lost, job.log)
    assert failure is not None and (failure.cause, failure.error_summary) == ("host memory", "it used more memory")
    assert "loop_config.resources.memory" in failure.root_cause_hypothesis
