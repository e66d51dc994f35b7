"""Real jobs on a real Slurm, and what may come between: nobody of them is counted wrongly, and none runs twice."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.files import read_json, write_json
from progtrain.engine.jobs import alive, batch, commands
from progtrain.engine.jobs.base import Seen
from progtrain.engine.jobs.local import Local
from progtrain.engine.jobs.slurm import Slurm
from progtrain.engine.schema import JobRequest
from progtrain.engine.workspace import JobFolder
from tests.jobs.cluster import Cluster, missing, until

SLEEP = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
WAITS = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)\n"
#: it trains for six seconds, goes on from where an earlier start ended, and saves when it is asked to stop
TRAIN = """
import os, time
done = int(open('last.ckpt').read()) if os.path.exists('last.ckpt') else 0
print('from', done, flush=True)
for step in range(done, 60):
    if os.path.exists(os.environ.get('PROGTRAIN_STOP_FILE', 'nothing')): break
    time.sleep(0.1)
    open('last.tmp', 'w').write(str(step + 1)); os.replace('last.tmp', 'last.ckpt')
print('to', open('last.ckpt').read(), flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "run" / "attempts" / "train-1")


@pytest.fixture
def slurm(cluster: Cluster) -> Slurm:
    return quick()


def quick() -> Slurm:
    return Slurm(poll_seconds=0.3, fresh_seconds=60.0)


def request(folder: JobFolder, code: str, environment: dict[str, str] | None = None, **resources: Any) -> JobRequest:
    home = folder.path.parents[1]
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-u", "-c", code]
    return JobRequest.model_validate(
        {"name": "x", "command": command, "cwd": str(home), "environment": environment or {}, "resources": resources}
    )


def wait(slurm: Slurm, folder: JobFolder, *phases: str, seconds: float = 120) -> Seen:
    """Until the job is in one of these; in any that is an end where none is named."""
    deadline = time.monotonic() + seconds
    while True:
        slurm.settle([folder])
        seen = slurm.look_all([folder])[folder]
        if seen.phase in phases if phases else seen.ended:
            return seen
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)


def home(folder: JobFolder) -> Path:
    return folder.path.parents[1]


def begun(slurm: Slurm, folder: JobFolder, name: str = "pid") -> None:
    until(lambda: wait(slurm, folder, "running") and (home(folder) / name).exists(), f"no {name}")


@pytest.fixture
def drained(cluster: Cluster) -> Iterator[Callable[[], None]]:
    """A cluster whose node takes no jobs until this is called."""
    node = f"NodeName={cluster.nodes[0]}"
    cluster.run("scontrol", "update", node, "State=DRAIN", "Reason=test")
    resume = partial(cluster.run, "scontrol", "update", node, "State=RESUME")
    yield resume
    cluster.empty()
    if "DRAIN" in cluster.run("scontrol", "show", "node", cluster.nodes[0]):
        resume()
    until(cluster.fits, "Slurm has not noticed that its node is back")


@pytest.fixture
def in_place_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a shell script before one of Slurm's programs; `$REAL` is that."""

    def put(name: str, text: str) -> None:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\nREAL={shutil.which(name) or '/bin/false'}\n{text}\n")
        path.chmod(0o755)
        if not os.environ["PATH"].startswith(str(path.parent)):
            monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")

    return put


# ---- how it ends


@pytest.mark.parametrize(
    ("code", "phase", "cause", "for_slurm"),
    [("", "done", "", ("COMPLETED", "0:0")), ("raise SystemExit(7)", "failed", "exit code", ("FAILED", "7:0"))],
)
def test_the_exit_code_of_the_script_is_that_of_the_job(
    code: str, phase: str, cause: str, for_slurm: tuple[str, str], slurm: Slurm, folder: JobFolder, cluster: Cluster
) -> None:
    slurm.submit(folder, request(folder, code))
    seen = wait(slurm, folder)
    assert (seen.phase, seen.cause) == (phase, cause)
    assert seen.job is not None and seen.node == cluster.nodes[0]
    until(lambda: cluster.job(str(seen.job))["JobState"] == for_slurm[0], "Slurm does not say so")
    assert cluster.job(seen.job)["ExitCode"] == for_slurm[1]


def test_the_script_is_told_that_it_is_in_no_batch_job(slurm: Slurm, folder: JobFolder) -> None:
    """Lightning has such a job started again by itself, beside us."""
    slurm.submit(folder, request(folder, "import os; print(os.environ['SLURM_JOB_NAME'])"))
    assert wait(slurm, folder).phase == "done"
    assert slurm.log(folder).read_text() == "bash\n"


def test_lines_of_setup_run_before_it_and_stop_it_when_they_fail(slurm: Slurm, folder: JobFolder) -> None:
    code = "import os; print(os.environ['SET'])"
    slurm.submit(folder, request(folder, code, setup=["export SET=$(basename $PWD)"]))
    assert wait(slurm, folder).phase == "done"
    assert slurm.log(folder).read_text() == "run\n"
    slurm = Slurm(poll_seconds=0.3, fresh_seconds=1.0)
    slurm.submit(folder, request(folder, code, setup=["echo no such module >&2; false"], logs=str(home(folder))))
    seen = wait(slurm, folder)
    assert (seen.phase, seen.cause) == ("failed", "could not start")
    assert "no such module" in (home(folder) / f"slurm-{seen.job}.out").read_text()


def test_too_much_memory_is_told_from_a_fault_of_the_script(cluster: Cluster, folder: JobFolder) -> None:
    slurm = Slurm(poll_seconds=0.3, fresh_seconds=1.0)
    slurm.submit(folder, request(folder, "x = b'1' * 700_000_000; import time; time.sleep(60)", memory_mb=100))
    seen = wait(slurm, folder)
    assert (seen.phase, seen.cause) == ("failed", "host memory")
    assert slurm.look(folder).ended_by == "lost"  # type: ignore[union-attr]


def test_a_job_that_was_killed_for_memory_is_told_at_the_next_look(
    folder: JobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its guard is killed with it and says nothing; a beat that comes late is reason enough to ask Slurm."""
    program = tmp_path / "bin" / "squeue"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\ncat {tmp_path}/queue\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    def say(state: str) -> None:
        widths = [width for _, width in commands._COLUMNS.values()]
        cells = ("7", "pt", state, "None", "0", "0", "n1")
        (tmp_path / "queue").write_text("".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + "\n")

    write_json(folder.job, request(folder, "pass").model_dump())
    write_json(folder.submitted, {"job": "7"})
    told = {"status": "running", "host": "n1", "pid": 1, "create_time": 1.0, "job": "7", "node": "n1"}
    write_json(folder.state, {**told, "started_at": "2026-01-01T00:00:00+00:00"})
    folder.beat.touch()
    say("RUNNING")
    slurm = Slurm(poll_seconds=0.0)
    assert slurm.look_all([folder])[folder].phase == "running" and not (tmp_path / "asked").exists()
    say("FAILED")
    batch.output_of(folder, request(folder, "pass").resources, "7").write_text("slurmstepd: Exceeded job memory limit")
    late = time.time() - 30
    os.utime(folder.beat, (late, late))
    seen = slurm.look_all([folder])[folder]
    assert (seen.phase, seen.cause) == ("failed", "host memory")


def test_accounting_is_never_asked(
    slurm: Slurm, folder: JobFolder, in_place_of: Callable[[str, str], None], tmp_path: Path
) -> None:
    in_place_of("sacct", f"touch {tmp_path}/asked; exit 1")
    for code, phase in (("", "done"), ("raise SystemExit(1)", "failed")):
        slurm.submit(folder, request(folder, code))
        assert wait(slurm, folder).phase == phase
    assert not (tmp_path / "asked").exists()


# ---- cancelled


def test_a_queued_job_that_is_cancelled_never_ran(slurm: Slurm, folder: JobFolder, drained: Callable[[], None]) -> None:
    slurm.submit(folder, request(folder, SLEEP))
    wait(slurm, folder, "waiting")
    slurm.cancel(folder)
    seen = wait(slurm, folder)
    assert (seen.phase, seen.cause, seen.state) == ("cancelled", "cancelled before start", None)


DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
CHILD = SLEEP.replace("pid', 'w'", "child', 'w'")
FORKED = f"import os\nif os.fork() == 0: os.setsid(); {CHILD}\n{SLEEP}"


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (SLEEP, "scancel"),
        (SLEEP, "ours"),
        (FORKED, "ours"),
        pytest.param(DEAF, "ours", marks=pytest.mark.slow),
        pytest.param(DEAF, "scancel", marks=pytest.mark.slow),
        pytest.param(FORKED, "scancel", marks=pytest.mark.slow),
    ],
    ids=["scancel", "ours", "forked", "deaf", "deaf-scancel", "forked-scancel"],
)
def test_a_running_job_that_is_cancelled_leaves_nothing(
    code: str, how: str, slurm: Slurm, folder: JobFolder, cluster: Cluster
) -> None:
    slurm.submit(folder, request(folder, code))
    begun(slurm, folder, "child" if code is FORKED else "pid")
    if how == "ours":
        slurm.cancel(folder)
    else:
        cluster.run("scancel", str(slurm.look_all([folder])[folder].job))
    seen = wait(slurm, folder)
    assert (seen.phase, seen.cause) == ("cancelled", "cancelled")
    assert ("from outside" in seen.reason) == (how == "scancel")
    pids = [int(file.read_text()) for file in home(folder).glob("[pc]*d") if file.is_file()]
    until(lambda: not any(map(alive.began, pids)), "something of it is left")


# ---- started again, and the time limit


def test_a_requeued_job_trains_again_from_where_it_was(slurm: Slurm, folder: JobFolder, cluster: Cluster) -> None:
    slurm.submit(folder, request(folder, TRAIN, preemptible=True))
    begun(slurm, folder, "last.ckpt")
    job = str(slurm.look_all([folder])[folder].job)
    cluster.run("scontrol", "requeue", job)
    seen = wait(slurm, folder, "queued")
    assert "starts it again" in seen.reason
    assert slurm.look(folder).status == "pending"  # type: ignore[union-attr]
    until(lambda: cluster.job(job)["JobState"] == "PENDING", "it is not in the queue")
    # a node refuses a job that it ended within the same second: therefore Slurm waits two minutes by itself
    time.sleep(2)
    cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")
    assert wait(slurm, folder).phase == "done"
    assert slurm.log(folder) == folder.restarted(1).log
    first, last = slurm.log(folder).read_text().splitlines()
    assert int(first.removeprefix("from ")) > 0 and last == "to 60"


def test_near_its_time_limit_a_job_saves_and_goes_on_later(slurm: Slurm, folder: JobFolder, cluster: Cluster) -> None:
    stop = home(folder) / "stop"
    slurm.submit(folder, request(folder, TRAIN, {"PROGTRAIN_STOP_FILE": str(stop)}))
    begun(slurm, folder, "last.ckpt")
    job = str(slurm.look_all([folder])[folder].job)
    cluster.run("scancel", "--signal=USR1", "--batch", job)
    seen = wait(slurm, folder)
    assert (seen.phase, seen.cause) == ("paused", "time limit")
    assert 0 < int((home(folder) / "last.ckpt").read_text()) < 60
    assert not stop.exists(), "the next attempt would stop at once"
    until(lambda: cluster.job(job)["ExitCode"] == "85:0", "Slurm does not know of it")


@pytest.mark.slow
@pytest.mark.parametrize(("code", "phase"), [(TRAIN.replace("0.1", "5"), "paused"), (SLEEP, "failed")])
def test_the_time_limit_of_slurm(code: str, phase: str, slurm: Slurm, folder: JobFolder) -> None:
    stop = {"PROGTRAIN_STOP_FILE": str(home(folder) / "stop")}
    slurm.submit(folder, request(folder, code, stop, minutes=1, save_seconds=20))
    seen = wait(slurm, folder, seconds=150)
    assert (seen.phase, seen.cause) == (phase, "time limit")


# ---- submitted once, whatever comes between


@pytest.mark.parametrize(
    "wrapper",
    ["kill -9 $PPID; sleep 1", '"$REAL" "$@"; kill -9 $PPID; sleep 1', 'out=$("$REAL" "$@"); sleep 2; kill -9 $PPID'],
    ids=["before Slurm has it", "after Slurm has it", "after it has run"],
)
def test_a_runner_that_is_killed_while_it_submits_leaves_one_job(
    wrapper: str, cluster: Cluster, folder: JobFolder, in_place_of: Callable[[str, str], None], tmp_path: Path
) -> None:
    wanted = request(folder, "open('count', 'a').write('x')")
    path = tmp_path / "request.json"
    write_json(path, wanted.model_dump())
    in_place_of("sbatch", wrapper)
    runner = (
        "import sys; from pathlib import Path; from progtrain.engine.jobs.slurm import Slurm\n"
        "from progtrain.engine.schema import JobRequest, load; from progtrain.engine.workspace import JobFolder\n"
        "Slurm().submit(JobFolder(Path(sys.argv[1])), load(Path(sys.argv[2]), JobRequest))"
    )
    done = subprocess.run([sys.executable, "-c", runner, str(folder.path), str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    in_place_of("sbatch", 'exec /usr/bin/sbatch "$@"')
    slurm = quick()
    assert slurm.look_all([folder])[folder].phase in {"submitting", "done"}
    assert wait(slurm, folder).phase == "done"
    time.sleep(1)
    assert (home(folder) / "count").read_text() == "x"
    assert len(cluster.run("squeue", "-h", "-t", "all", f"--name={read_json(folder.intent)['name']}").splitlines()) == 1


def test_a_controller_that_does_not_answer_sbatch_gets_no_second_job(
    slurm: Slurm, folder: JobFolder, cluster: Cluster
) -> None:
    controller = cluster.controller()
    controller.suspend()
    try:
        slurm.submit(folder, request(folder, "open('count', 'a').write('x')"))
        seen = wait(slurm, folder, "submitting")
        assert "timed out" in seen.reason.lower() or "contact" in seen.reason.lower()
        assert slurm.look(folder).status in {"pending", "unreachable"}  # type: ignore[union-attr]
    finally:
        controller.resume()
    assert wait(slurm, folder).phase == "done"
    assert (home(folder) / "count").read_text() == "x"
    names = cluster.run("squeue", "-h", "-t", "all", "-o", "%j").split()
    assert names.count(read_json(folder.intent)["name"]) == 1


def test_a_limit_of_submissions_is_waited_for(
    slurm: Slurm, folder: JobFolder, in_place_of: Callable[[str, str], None], tmp_path: Path
) -> None:
    limit = "echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; exit 1"
    in_place_of("sbatch", f'[ -e {tmp_path}/free ] && exec "$REAL" "$@"; {limit}')
    slurm.submit(folder, request(folder, ""))
    seen = wait(slurm, folder, "submitting")
    assert "takes no more jobs" in seen.reason and "QOSMaxSubmit" in seen.reason
    (tmp_path / "free").touch()
    assert wait(slurm, folder).phase == "done"


# ---- a controller or a node that is away


@pytest.mark.slow
def test_jobs_that_end_while_the_controller_is_dead_count_as_their_guards_said(
    tmp_path: Path, folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back and has forgotten them."""
    if why := missing():
        pytest.skip(f"no Slurm here: {why}")
    ends = {JobFolder(folder.path.with_name(f"train-{code}")): code for code in (0, 3)}
    with Cluster(tmp_path / "slurm", forgets=2) as cluster:
        monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
        slurm = quick()
        for one, code in ends.items():
            slurm.submit(one, request(one, f"{WAITS}raise SystemExit({code})"))
        for one in ends:
            until(one.beat.exists, "no guard began")
        cluster.controller().kill()
        assert quick().look_all([folder, *ends])[one].phase == "running"
        (home(one) / "go").touch()
        for one, code in ends.items():
            assert wait(slurm, one).phase == ("failed" if code else "done")
        cluster.start_controller()
        until(lambda: cluster.answers(), "the controller did not come back")
        until(lambda: not cluster.run("squeue", "-h", "-t", "all"), "it has not forgotten them")
        assert {seen.phase for seen in quick().look_all(ends).values()} == {"done", "failed"}


def test_a_queue_that_cannot_be_asked_is_stale_and_not_gone(
    slurm: Slurm,
    folder: JobFolder,
    in_place_of: Callable[[str, str], None],
    drained: Callable[[], None],
    tmp_path: Path,
) -> None:
    slurm.submit(folder, request(folder, ""))
    before = wait(slurm, folder, "waiting")
    assert "drained" in before.reason
    in_place_of("squeue", f'[ -e {tmp_path}/back ] && exec "$REAL" "$@"; echo \'Socket timed out\' >&2; exit 1')
    until(lambda: slurm.look_all([folder])[folder].stale is not None, "it is not called stale")
    seen = slurm.look_all([folder])[folder]
    assert (seen.phase, seen.reason) == (before.phase, before.reason)
    assert slurm.look(folder).status == "unreachable"  # type: ignore[union-attr]
    drained()
    (tmp_path / "back").touch()
    assert wait(slurm, folder).stale is None


# ---- why it waits, and what is refused


def test_a_held_job_says_what_lets_it_go(
    slurm: Slurm, folder: JobFolder, cluster: Cluster, drained: Callable[[], None]
) -> None:
    slurm.submit(folder, request(folder, ""))
    job = str(slurm.look_all([folder])[folder].job)
    cluster.run("scontrol", "uhold", job)
    until(lambda: "held" in wait(slurm, folder, "waiting").reason, "it is not called held")
    assert f"scontrol release {job}" in slurm.look_all([folder])[folder].reason


@pytest.mark.parametrize(
    ("resources", "said"),
    [({"partition": "nowhere"}, "Invalid partition"), ({"memory_mb": 9_000_000}, "Requested node configuration")],
)
def test_what_the_cluster_has_not_is_refused_before_and_when_it_is_submitted(
    resources: dict[str, Any], said: str, slurm: Slurm, folder: JobFolder
) -> None:
    wanted = request(folder, "", **resources)
    with pytest.raises(InputError, match=said):
        slurm.check(wanted)
    slurm.submit(folder, wanted)
    seen = slurm.look_all([folder])[folder]
    assert (seen.phase, seen.cause) == ("failed", "refused") and said in seen.reason
    state = slurm.look(folder)
    assert state is not None and state.ended_by == "could not start" and said in slurm.log(folder).read_text()


def test_a_check_says_when_it_would_start_and_submits_nothing(
    slurm: Slurm, folder: JobFolder, cluster: Cluster
) -> None:
    wanted = request(folder, "", minutes=5)
    before = cluster.run("squeue", "-h", "-t", "all")
    assert "to start at" in slurm.check(wanted)
    assert cluster.run("squeue", "-h", "-t", "all") == before


def test_without_slurm_it_says_so(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="sbatch is not installed here"):
        Slurm().submit(folder, request(folder, ""))


# ---- many


def test_one_question_for_all_jobs(
    folder: JobFolder, in_place_of: Callable[[str, str], None], drained: Callable[[], None], tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    in_place_of("squeue", f'echo x >> {asked}; exec "$REAL" "$@"')
    folders = [JobFolder(folder.path.with_name(f"train-{number}")) for number in range(20)]
    now = 1000.0
    slurm = Slurm(clock=lambda: now)
    for one in folders:
        slurm.submit(one, request(one, ""))
    assert {seen.phase for seen in slurm.look_all(folders).values()} <= {"queued", "waiting"}
    assert asked.read_text() == "x\n"
    for _ in range(120):
        now += 5.0
        slurm.look_all(folders)
    # every half minute at first, every two where nothing changes
    assert 5 <= len(asked.read_text().split()) <= 10


def test_an_attempt_that_a_newer_one_replaces_ends_itself(slurm: Slurm, folder: JobFolder) -> None:
    slurm.submit(folder, request(folder, SLEEP))
    begun(slurm, folder)
    folder.fence.write_text("train-2")
    seen = wait(slurm, folder)
    assert (seen.phase, seen.cause) == ("failed", "replaced")


def test_paths_of_the_batch_script_may_have_any_name(slurm: Slurm, tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "a 'b' \"c\" %j $x" / "runs" / "träin 1")
    wanted = request(folder, "print('here')", setup=["true"], logs=str(home(folder) / "lögs"))
    slurm.submit(folder, wanted)
    seen = wait(slurm, folder)
    assert seen.phase == "done" and (home(folder) / f"lögs/slurm-{seen.job}.out").exists()
    assert shlex.split(folder.batch.read_text().splitlines()[-1])[-2] == str(folder.path)


def test_a_check_knows_nodes_that_are_drained_from_nodes_that_are_not(
    slurm: Slurm, folder: JobFolder, cluster: Cluster, drained: Callable[[], None]
) -> None:
    assert f"away: {cluster.nodes[0]}" in slurm.check(request(folder, ""))


@pytest.fixture
def two_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    if why := missing():
        pytest.skip(f"no Slurm here: {why}")
    with Cluster(tmp_path / "slurm", nodes=2) as cluster:
        monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
        yield cluster


def test_jobs_keep_off_nodes_that_are_excluded_and_none_is_judged_by_its_host(
    two_nodes: Cluster, folder: JobFolder
) -> None:
    slurm = quick()
    slurm.submit(folder, request(folder, SLEEP, exclude=["n1"]))
    begun(slurm, folder)
    state = read_json(folder.state)
    write_json(folder.state, {**state, "host": "elsewhere", "pid": 2**22 - 1})
    seen = slurm.look_all([folder])[folder]
    assert (seen.phase, seen.node) == ("running", "n2")
    assert slurm.look(folder).status == "running"  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_node_that_slurm_has_lost_is_no_proof_that_its_job_has_ended(two_nodes: Cluster, folder: JobFolder) -> None:
    slurm = quick()
    slurm.submit(folder, request(folder, SLEEP))
    begun(slurm, folder)
    seen = slurm.look_all([folder])[folder]
    two_nodes.node(seen.node).kill()
    until(lambda: two_nodes.job(str(seen.job))["JobState"] == "NODE_FAIL", "the node is not missed")
    assert slurm.look_all([folder])[folder].phase == "running"
    assert psutil.pid_exists(int((home(folder) / "pid").read_text()))
    two_nodes.start_node(str(seen.node))
    ended = wait(slurm, folder)
    assert (ended.phase, ended.cause, ended.node) == ("failed", "node failure", seen.node)
    until(lambda: alive.began(int((home(folder) / "pid").read_text())) is None, "its script goes on")


def test_a_job_that_was_begun_on_this_machine_is_known_here_too(slurm: Slurm, folder: JobFolder) -> None:
    """The plan names a cluster from now on."""
    Local().submit(folder, request(folder, "raise SystemExit(4)"))
    Local().wait(folder, lambda: None)
    assert slurm.look_all([folder])[folder].cause == "exit code"
    assert slurm.look(folder) == Local().look(folder)
