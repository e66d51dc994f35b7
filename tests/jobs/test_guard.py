"""Real guards around real scripts."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from progtrain.engine.jobs.base import LOST
from progtrain.engine.jobs.local import Local, guard_alive
from progtrain.engine.schema import JobRequest, JobState
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
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.02)
    return path.read_text()


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
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
    assert not guard_alive(state)


def test_a_job_that_is_submitted_again_while_its_guard_starts_runs_once(folder: JobFolder) -> None:
    """The runner was killed before the guard had written a word, and the next one knows nothing of it."""
    count = folder.path.parent / "count"
    code = f"import time; open({str(count)!r}, 'a').write('x'); time.sleep(0.5)"
    _begin(folder, code)
    _begin(folder, code)
    assert _finish(folder).exit_code == 0
    time.sleep(1.0)
    assert count.read_text() == "x"
