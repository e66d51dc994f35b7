"""The runner with a real Slurm on this machine."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from progtrain.engine.control import lock
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import runner
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.runner import Options
from progtrain.engine.experiment.stages import run as run_stage
from progtrain.engine.files import try_read_json
from progtrain.engine.workspace import Workspace
from tests.cli.commands import progtrain
from tests.experiment.conftest import carried_out, lines, phases, reasons, scaffolded, starts
from tests.jobs.cluster import Cluster, until

Planned = Callable[..., ExperimentFolder]
Faults = Callable[[dict[int, dict[str, Any]]], None]
SLURM = {"executor": "slurm", "poll": 1, "time": 10, "cpus": 1}
TWO = {"variables": {"rank": [8, 16]}, "runs": {}, "controls": {"rate": 0.1}, "resources": SLURM}


def test_an_experiment_on_a_cluster(lab: Workspace, planned: Planned, faults: Faults, cluster: Cluster) -> None:
    folder = planned(**TWO, notify={"mail": "me@example.org"})
    faults({16: {"exit": 7}})
    assert carried_out(lab) == 1
    assert phases(folder) == {"rank8": "done", "rank16": "failed"}
    assert starts(lab) == ["rank8", "rank16"] or starts(lab) == ["rank16", "rank8"]
    submitted = try_read_json(folder.run("rank16").attempt("train", 1).submitted)
    assert cluster.job(submitted["job"])["JobState"] == "FAILED"
    assert list(folder.run("rank8").path.glob("slurm-*.out")) and list(
        folder.run("rank8").path.glob("eval/slurm-*.out")
    )
    own = folder.run("rank8")
    assert own.batch_script.resolve() == own.attempt("train", 1).batch
    assert own.cell_script("caps_best").read_text() == own.attempt("caps_best", 1).batch.read_text()
    until(lambda: "me@example.org" in "\n".join(lines(cluster.folder / "mails")), "nobody was told")


@pytest.mark.slow
def test_a_runner_that_is_killed_trains_nothing_twice(
    lab: Workspace, planned: Planned, faults: Faults, cluster: Cluster
) -> None:
    folder = planned(**TWO | {"variables": {"rank": [1, 2, 3, 4]}})
    faults({rank: {"seconds": 1} for rank in (1, 2, 3, 4)})
    scaffolded(lab)
    for seconds in (0.6, 0.8, 1.1, 1.5, 2.0):
        process = run_stage.start(lab, "cap", Options())
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert runner.run(lab, "cap", Options()) == 0
    assert sorted(starts(lab)) == ["rank1", "rank2", "rank3", "rank4"]
    assert set(phases(folder).values()) == {"done"}


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_waited_for(
    lab: Workspace, planned: Planned, faults: Faults, cluster: Cluster
) -> None:
    folder = planned(**TWO)
    faults({rank: {"seconds": 8} for rank in (8, 16)})
    scaffolded(lab)
    process = run_stage.start(lab, "cap", Options())
    until(lambda: len(starts(lab)) == 2, "nothing was started")
    process.send_signal(signal.SIGKILL)
    process.wait()
    cluster.controller().suspend()
    try:
        for path in folder.path.glob("*/attempts/train-1/beat"):
            path.unlink()
        assert runner.run(lab, "cap", Options(wait_for_slurm=3)) == 4
        assert "the cluster has not answered for" in folder.log("run-experiment").read_text()
    finally:
        cluster.controller().resume()
    assert runner.run(lab, "cap", Options()) == 0
    assert len(starts(lab)) == 2


@pytest.mark.slow
def test_a_job_that_is_cancelled_from_outside_is_not_retried(
    lab: Workspace, planned: Planned, faults: Faults, cluster: Cluster
) -> None:
    folder = planned(**TWO)
    faults({8: {"seconds": 60}})
    scaffolded(lab)
    process = run_stage.start(lab, "cap", Options())
    until(lambda: "rank8" in starts(lab), "nothing was started")
    job = try_read_json(folder.run("rank8").attempt("train", 1).submitted)["job"]
    cluster.run("scancel", job)
    assert process.wait(60) == 1
    assert phases(folder) == {"rank8": "cancelled", "rank16": "done"}
    assert sorted(starts(lab)) == ["rank16", "rank8"]
    assert "cancelled" in reasons(folder)["rank8"]


@pytest.mark.slow
def test_jobs_that_only_wait_end_the_following_and_not_the_runner(
    lab: Workspace, planned: Planned, cluster: Cluster
) -> None:
    folder = planned(**TWO | {"resources": SLURM | {"sbatch": ["--hold"]}})
    scaffolded(lab)
    followed = progtrain(lab, "experiment", "run", "cap")
    assert followed.returncode == 3, followed.stdout
    assert "waiting: " in followed.stderr and "the runner stays" in followed.stderr
    assert set(phases(folder).values()) == {"waiting"}
    assert progtrain(lab, "experiment", "run", "cap").returncode == 4

    def released() -> bool:
        # evaluations are held too
        for job in cluster.run("squeue", "-h", "-t", "PENDING", "-o", "%A").split():
            cluster.run("scontrol", "release", job)
        return set(phases(folder).values()) == {"done"}

    until(released, "it did not go on")
    until(lambda: not lock.held(folder.lock), "the runner stays")


@pytest.mark.slow
def test_more_memory_is_given_where_the_machine_s_was_used_up(
    lab: Workspace, planned: Planned, faults: Faults, cluster: Cluster
) -> None:
    folder = planned(**TWO | {"variables": {"rank": [8]}, "resources": SLURM | {"memory": "150M"}})
    faults({8: {"megabytes": 160, "seconds": 6}})
    assert carried_out(lab) == 0
    assert try_read_json(folder.run("rank8").failure("train", 1))["cause"] == "host memory"
    assert try_read_json(folder.run("rank8").changes("train", 2))["memory_mb"] == 225
    assert starts(lab) == ["rank8", "rank8"]


@pytest.mark.slow
def test_what_the_cluster_would_refuse_is_refused_before_anything_is_written(
    lab: Workspace, planned: Planned, cluster: Cluster
) -> None:
    folder = planned(**TWO | {"resources": SLURM | {"partition": "nowhere"}})
    with pytest.raises(InputError, match="Slurm would refuse the job"):
        scaffolded(lab)
    assert not folder.run("rank8").path.exists()
