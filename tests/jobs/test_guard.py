"""Real guards around real scripts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from progtrain.engine.files import write_text
from progtrain.engine.jobs import alive, guard
from progtrain.engine.jobs.base import LOST
from progtrain.engine.jobs.local import Local
from progtrain.engine.schema import JobRequest, JobState, load
from progtrain.engine.workspace import JobFolder


def _begin(folder: JobFolder, code: str, timeout: float | None = None) -> None:
    script = folder.path.parent / "script.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(code)
    Local().submit(
        folder,
        JobRequest(name="job", command=[sys.executable, str(script)], cwd=str(script.parent), timeout_seconds=timeout),
    )


def _finish(folder: JobFolder) -> JobState:
    return Local().wait(folder, lambda: None)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "jöb s" / "one")


def _until(path: Path) -> str:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.02)
    return path.read_text()


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while alive.began(pid) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_keeps_the_whole_output_and_the_exit_code(folder: JobFolder) -> None:
    """Binary output included."""
    _begin(folder, "import sys; sys.stdout.buffer.write(bytes(range(256))); sys.stdout.flush(); sys.exit(3)")
    assert _finish(folder).exit_code == 3
    assert folder.log.read_bytes() == bytes(range(256))


def test_script_runs_in_a_session_of_its_own(folder: JobFolder) -> None:
    """A signal to the terminal's process group does not reach it."""
    _begin(folder, "import os; print(os.getsid(0) == os.getpid())")
    _finish(folder)
    assert folder.log.read_text() == "True\n"


def test_it_tells_how_much_memory_the_script_held(folder: JobFolder) -> None:
    _begin(folder, "held = b'x' * (200 << 20)")
    memory = _finish(folder).memory
    assert memory is not None and 200 << 20 < memory < 400 << 20


def test_a_signal_shows_as_negative_exit_code(folder: JobFolder) -> None:
    _begin(folder, "import os; os.kill(os.getpid(), 9)")
    assert _finish(folder).exit_code == -signal.SIGKILL


def test_time_limit_ends_a_script_that_ignores_the_request(folder: JobFolder) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    _begin(folder, code, timeout=0.5)
    state = _finish(folder)
    assert (state.ended_by, state.exit_code) == ("time limit", -signal.SIGKILL)


#: a script that leaves a grandchild in a session of its own, whose parent has ended
ORPHAN = (
    "import os, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        open('orphan.pid', 'w').write(str(os.getpid()))\n"
    "        time.sleep(600)\n"
    "    os._exit(0)\n"
    "os.wait()\n"
    "while not os.path.exists('orphan.pid') or not open('orphan.pid').read(): time.sleep(0.01)\n"
)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_nothing_of_the_tree_is_left_behind(folder: JobFolder) -> None:
    """A grandchild in a session of its own, whose parent has ended."""
    _begin(folder, ORPHAN)
    assert _finish(folder).leftovers == 1
    assert _gone(int((folder.path.parent / "orphan.pid").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="the script's death signal is Linux only")
def test_a_killed_guard_takes_its_script_along(folder: JobFolder) -> None:
    _begin(folder, "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)")
    script = int(_until(folder.path.parent / "pid"))
    state = Local().look(folder)
    assert state is not None
    os.kill(state.pid, signal.SIGKILL)
    assert _gone(script)
    assert _finish(folder).ended_by == LOST


def test_cancel_ends_it(folder: JobFolder) -> None:
    _begin(folder, "import time; open('pid', 'w').write('x'); time.sleep(600)")
    _until(folder.path.parent / "pid")
    Local().cancel(folder)
    assert _finish(folder).ended_by == "cancelled"


def test_an_interpreter_that_is_not_there_is_told(folder: JobFolder) -> None:
    Local().submit(folder, JobRequest(name="job", command=["/no/such/python", "x.py"], cwd=str(folder.path.parent)))
    state = _finish(folder)
    assert state.ended_by == "could not start"
    assert "No such file" in folder.log.read_text()


def test_the_same_pid_of_another_process_is_not_taken_for_the_guard(folder: JobFolder) -> None:
    _begin(folder, "pass")
    state = _finish(folder).model_copy(update={"status": "running", "pid": os.getpid(), "create_time": 1.0})
    assert not alive.lives(state.model_dump())


def test_a_job_that_is_submitted_again_while_its_guard_starts_runs_once(folder: JobFolder) -> None:
    """The runner was killed before the guard had written a word, and the next one knows nothing of it."""
    count = folder.path.parent / "count"
    code = f"import time; open({str(count)!r}, 'a').write('x'); time.sleep(0.5)"
    _begin(folder, code)
    _begin(folder, code)
    assert _finish(folder).exit_code == 0
    time.sleep(1.0)
    assert count.read_text() == "x"


def _guard(folder: JobFolder, code: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
    """One that is a child of this test, as it is one of a cluster's batch job."""
    folder.path.mkdir(parents=True, exist_ok=True)
    own = {name: value for name, value in environment.items() if name.startswith("PROGTRAIN")}
    request = {"command": [sys.executable, "-c", code], "cwd": str(folder.path.parent), "environment": own}
    folder.job.write_text(json.dumps(request))
    command = [sys.executable, "-P", "-m", "progtrain.engine.jobs.guard", str(folder.path), *options]
    return subprocess.Popen(command, env={**os.environ, **environment})


def _told(folder: JobFolder) -> tuple[int | None, str | None]:
    state = load(folder.state, JobState)
    return state.exit_code, state.ended_by


@pytest.mark.parametrize(
    ("code", "exit_code"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_it_leaves_with_the_exit_code_of_its_script(code: str, exit_code: int, folder: JobFolder) -> None:
    assert _guard(folder, code).wait(60) == exit_code


def test_a_signal_that_went_to_script_and_guard_is_a_cancellation(folder: JobFolder) -> None:
    """Whichever of the two had it first."""
    guard = _guard(folder, "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)")
    os.kill(int(_until(folder.path.parent / "pid")), signal.SIGTERM)
    guard.terminate()
    assert guard.wait(60) == 128 + signal.SIGTERM
    assert _told(folder) == (-signal.SIGTERM, "cancelled")


def test_who_asks_for_an_end_again_and_again_takes_nobodys_last_word(folder: JobFolder) -> None:
    """A cluster's signal comes after the request by file, whenever it likes."""
    guard = _guard(folder, "import time; open('pid', 'w').write('x'); time.sleep(600)", "--batch", SLURM_JOB_ID="7")
    _until(folder.path.parent / "pid")
    folder.cancel.touch()
    while guard.poll() is None:
        guard.terminate()
        time.sleep(0.001)
    assert _told(folder) == (-signal.SIGTERM, "cancelled")


SAVES = "import os, time\nwhile not os.path.exists(os.environ['PROGTRAIN_STOP_FILE']): time.sleep(0.02)\n"


@pytest.mark.parametrize(
    ("by", "told"), [("stop request", (85, "go on later")), ("max_epochs", (0, None)), (None, (85, "go on later"))]
)
def test_a_script_whose_time_is_nearly_over_is_asked_to_save(
    by: str | None, told: tuple[int, str | None], folder: JobFolder
) -> None:
    """One that came to its end meanwhile is done."""
    stop, record = folder.path.parent / "stop", folder.path.parent / "record.json"
    code = f"open('pid', 'w').write('x')\n{SAVES}"
    code += f"open({str(record)!r}, 'w').write({json.dumps({'ended': by and {'by': by}})!r})"
    guard = _guard(folder, code, PROGTRAIN_STOP_FILE=str(stop), PROGTRAIN_RECORD_FILE=str(record))
    _until(folder.path.parent / "pid")
    guard.send_signal(signal.SIGUSR1)
    assert guard.wait(60) == told[0]
    assert _told(folder) == told
    assert not stop.exists()


@pytest.mark.parametrize(("by_somebody", "trained"), [(False, "yes"), (True, "no")])
def test_a_stop_before_a_requeue_counts_only_where_somebody_asked_for_it(
    by_somebody: bool, trained: str, folder: JobFolder
) -> None:
    """The guard of the first start is killed while its script saves: the time of the next one is not over."""
    stop = folder.path.parent / "stop"
    first = f"open('pid', 'w').write('x')\n{SAVES}import time; time.sleep(600)"
    guard = _guard(folder, first, "--batch", SLURM_JOB_ID="7", PROGTRAIN_STOP_FILE=str(stop))
    _until(folder.path.parent / "pid")
    guard.send_signal(signal.SIGUSR1)
    _until(stop)
    if by_somebody:
        write_text(stop, "")
    guard.kill()
    guard.wait(60)
    os.utime(folder.beat, (1.0, 1.0))
    code = "import os; open('trained', 'w').write('no' if os.path.exists(os.environ['PROGTRAIN_STOP_FILE']) else 'yes')"
    again = _guard(folder, code, "--batch", SLURM_JOB_ID="7", SLURM_RESTART_COUNT="1", PROGTRAIN_STOP_FILE=str(stop))
    assert again.wait(60) == 0
    assert (folder.path.parent / "trained").read_text() == trained


def test_it_ends_itself_when_a_newer_attempt_is_named(folder: JobFolder) -> None:
    guard = _guard(folder, "import time; open('pid', 'w').write('x'); time.sleep(600)")
    _until(folder.path.parent / "pid")
    folder.fence.write_text("two")
    assert guard.wait(60) != 0
    assert _told(folder)[1] == "replaced"
    assert _guard(folder, "").wait(60) == 75, "it began although another one takes its place"


def test_a_job_on_another_machine_lives_as_long_as_its_beat_is_fresh(folder: JobFolder) -> None:
    guard = _guard(folder, "import time; open('pid', 'w').write('x'); time.sleep(600)")
    _until(folder.path.parent / "pid")
    state = json.loads(folder.state.read_text())
    guard.terminate()
    guard.wait(60)
    folder.state.write_text(json.dumps({**state, "boot": "elsewhere"}))
    assert Local().look(folder) == JobState.model_validate({**state, "boot": "elsewhere"})
    os.utime(folder.beat, (1.0, 1.0))
    assert Local().wait(folder, lambda: None).ended_by == LOST


def test_each_start_by_a_cluster_has_a_folder_of_its_own(folder: JobFolder) -> None:
    """The same job, started again under the same id: it trains again, unless it has been done already."""
    code = "import os; open('count', 'a').write('x'); raise SystemExit(os.path.getsize('count') < 2)"
    starts = [_guard(folder, code, "--batch", SLURM_JOB_ID="7", SLURM_RESTART_COUNT=str(n)).wait(60) for n in range(3)]
    assert starts == [1, 0, 0]
    assert (folder.path.parent / "count").read_text() == "xx"
    assert _told(folder) == (1, None) and _told(folder.restarted(1)) == (0, None)
    assert load(folder.restarted(1).state, JobState).restarts == 1
    assert not folder.restarted(2).path.exists()


def test_a_second_job_for_the_same_attempt_does_nothing_and_says_so(folder: JobFolder) -> None:
    code = "open('count', 'a').write('x')"
    assert [_guard(folder, code, "--batch", SLURM_JOB_ID=job).wait(60) for job in ("7", "8")] == [0, 75]
    assert (folder.path.parent / "count").read_text() == "x"


def test_a_guard_whose_job_was_submitted_anew_before_it_began_starts_nothing(folder: JobFolder, tmp_path: Path) -> None:
    """A runner that is killed leaves a guard starting; on a slow machine the next runner does not wait for its word."""
    told = tmp_path / "told"
    code = f"open({str(told)!r}, 'a').write('x')"
    folder.path.mkdir(parents=True)
    request = {"command": [sys.executable, "-c", code], "cwd": str(tmp_path)}
    assert guard._claim(folder.path)
    _begin(folder, code)
    assert guard.run([folder.path], request) == guard.NOT_MINE
    assert _finish(folder).exit_code == 0 and told.read_text() == "x"
    assert [path.name for path in folder.path.parent.iterdir() if path.name.endswith(".old")] == []
