"""Who is alive and what belongs to whom: names of hosts, killed guards, copied and moved folders, damaged files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from progtrain.engine.control import launch, lock, marks, temporary
from progtrain.engine.control.launch import Options
from progtrain.engine.jobs import alive, leftovers
from progtrain.engine.jobs.base import LOST
from progtrain.engine.jobs.local import Local
from progtrain.engine.loop import attempts, runner
from progtrain.engine.schema import JobState
from progtrain.engine.workspace import JobFolder, Workspace
from tests.jobs.test_guard import ORPHAN, _begin, _finish, _gone, _until
from tests.test_loop import AUTOPILOT, events

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
#: until somebody says so, then to its end
WAITS = "import os, time; open('pid', 'w').write(str(os.getpid()))\nwhile not os.path.exists('go'): time.sleep(0.02)"


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "jöb s" / "one")


def _running(folder: JobFolder, code: str) -> JobState:
    _begin(folder, code)
    _until(folder.path.parent / "pid")
    return _wait_for_running(folder)


def _wait_for_running(folder: JobFolder) -> JobState:
    deadline = time.monotonic() + 60
    while (state := Local().look(folder)) is None or state.status != "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return state


def _change(path: Path, **told: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **told}))


def test_a_host_that_changes_its_name_has_lost_no_training(folder: JobFolder) -> None:
    _running(folder, WAITS)
    _change(folder.state, host="name-2.local")
    assert Local().look(folder).status == "running"  # type: ignore[union-attr]
    (folder.path.parent / "go").touch()
    assert _finish(folder).exit_code == 0


def test_a_process_of_an_earlier_start_of_the_machine_is_not_this_one() -> None:
    assert alive.lives(alive.myself()) is True
    assert alive.lives({**alive.myself(), "create_time": 1.0}) is False
    assert alive.lives({**alive.myself(), "boot": "another one"}) is None
    assert alive.lives({**alive.myself(), "pid": 2**22 + 1}) is False


def test_the_age_of_a_beat_is_counted_by_this_machine_once_it_was_seen(tmp_path: Path) -> None:
    """Whoever sets the clock by an hour while somebody waits ends nothing."""
    beat, age = tmp_path / "beat", alive.ages()
    assert age(beat) is None
    beat.touch()
    first = age(beat)
    assert first is not None and first < 5
    ahead = time.time() + 3600
    os.utime(beat, (ahead, ahead))
    assert age(beat) == pytest.approx(0.0, abs=1.0)


def test_what_a_killed_guard_started_is_ended_at_once(folder: JobFolder) -> None:
    """A double fork in a session of its own included."""
    state = _running(folder, f"{ORPHAN}\n{WAITS}")
    orphan = int((folder.path.parent / "orphan.pid").read_text())
    os.kill(state.pid, signal.SIGKILL)
    assert _gone(orphan) and _gone(int((folder.path.parent / "pid").read_text()))
    assert _finish(folder).ended_by == LOST


#: with a child in its session that has an empty environment, and one in a session of its own that has not
CHILDREN = (
    "import subprocess, sys\n"
    "sleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
    "a, b = subprocess.Popen(sleep, env={}), subprocess.Popen(sleep, start_new_session=True)\n"
    "open('children', 'w').write(f'{a.pid} {b.pid}')\n"
)


def _without_keeper(folder: JobFolder) -> tuple[JobState, list[int]]:
    """Guard and keeper are killed; what their script has started is still there."""
    state = _running(folder, f"{CHILDREN}\n{WAITS}")
    keeper = psutil.Process(state.pid).ppid()
    for pid in (keeper, state.pid):
        os.kill(pid, signal.SIGKILL)
    assert _gone(state.pid)
    children = [int(pid) for pid in (folder.path.parent / "children").read_text().split()]
    assert all(psutil.pid_exists(pid) for pid in children)
    return state, children


def test_what_a_killed_guard_and_keeper_left_is_found_and_ended(folder: JobFolder) -> None:
    _, children = _without_keeper(folder)
    assert leftovers.end_all(folder.path.parent) == 2
    assert all(_gone(pid) for pid in children)
    assert leftovers.end_all(folder.path.parent) == 0


def test_a_copy_ends_nothing_of_the_original(folder: JobFolder, tmp_path: Path) -> None:
    _, children = _without_keeper(folder)
    shutil.copytree(folder.path.parent, tmp_path / "copy")
    assert leftovers.end_all(tmp_path / "copy") == 0
    assert all(psutil.pid_exists(pid) for pid in children)
    assert leftovers.end_all(folder.path.parent) == 2


def test_a_guard_that_dies_at_its_start_is_seen_at_once(folder: JobFolder) -> None:
    local = Local()
    _begin_with(local, folder, "pass")
    local._started[folder].kill()
    begun = time.monotonic()
    ended = local.wait(folder, lambda: None)
    assert time.monotonic() - begun < 10
    # one that was made before its keeper was killed goes on
    assert ended.ended_by in (LOST, None)


def _begin_with(local: Local, folder: JobFolder, code: str) -> None:
    from progtrain.engine.schema import JobRequest

    folder.path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", code]
    local.submit(folder, JobRequest(name="job", command=command, cwd=str(folder.path.parent)))


@pytest.mark.parametrize("text", ["{", "[]", '{"status": "running", "pid": "x"}'])
def test_a_damaged_state_is_read_as_none_and_ends_no_training(text: str, folder: JobFolder) -> None:
    pid = _running(folder, WAITS).pid
    folder.state.write_text(text)
    state = Local().look(folder)
    assert state is not None and state.status == "pending"
    (folder.path.parent / "go").touch()
    assert _finish(folder).exit_code == 0 and _gone(pid)
    folder.state.write_text(text)
    state = Local().look(folder)
    assert state is not None and state.ended_by == LOST


def test_a_job_whose_folder_is_removed_ends(folder: JobFolder) -> None:
    _running(folder, WAITS)
    script = int((folder.path.parent / "pid").read_text())
    local = Local()
    waited = []

    def remove() -> None:
        if not waited:
            waited.append(1)
            shutil.rmtree(folder.path)

    assert local.wait(folder, remove).ended_by == LOST
    assert not psutil.pid_exists(script) or psutil.Process(script).status() == psutil.STATUS_ZOMBIE


def test_a_guard_whose_folder_is_removed_ends_by_itself(folder: JobFolder) -> None:
    state = _running(folder, WAITS)
    shutil.rmtree(folder.path)
    assert _gone(int((folder.path.parent / "pid").read_text())) and _gone(state.pid)
    assert not folder.path.exists()


# in a loop


@pytest.fixture
def count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "count"
    monkeypatch.setenv("COUNT_FILE", str(path))
    return path


def _trained(count: Path) -> Counter[str]:
    return Counter(count.read_text().split())


def _training(ws: Workspace, count: Path) -> Any:
    """A runner in a process of its own, whose training stands in its second epoch."""
    process = launch.start(ws, Options(autopilot=True, until="train"))
    _until(count)
    _wait_for_running(ws.job("v001-train-1"))
    return process


def test_a_workspace_copied_while_it_trains_trains_by_itself(
    plain: Workspace, count: Path, tmp_path: Path, go_on: Path
) -> None:
    process = _training(plain, count)
    copy = Workspace(tmp_path / "copy")
    shutil.copytree(plain.root, copy.root)
    go_on.touch()
    assert runner.run(copy, Options(autopilot=True, until="train")) == 0
    assert not any("attached" in event["text"] for event in events(copy, "note"))
    assert process.wait(60) == 0 and _trained(count) == {"v001": 2}
    for ws in (plain, copy):
        assert marks.read(ws, "v001", "train") is not None
        assert not events(ws, "attempt_failed")


def test_a_workspace_renamed_while_it_trains_goes_on_and_is_taken(
    plain: Workspace, count: Path, tmp_path: Path, go_on: Path
) -> None:
    process = _training(plain, count)
    moved = Workspace(tmp_path / "moved")
    plain.root.rename(moved.root)
    assert process.wait(60) == 5
    go_on.touch()
    assert not plain.root.exists(), "nothing is made in its old place"
    assert "moved or removed" in moved.runner_log.read_text()
    assert runner.run(moved, Options(autopilot=True, until="train")) == 0
    assert any("attached" in event["text"] for event in events(moved, "note"))
    assert _trained(count) == {"v001": 1} and marks.read(moved, "v001", "train") is not None


def test_a_result_is_taken_once_though_marks_are_removed(plain: Workspace, count: Path) -> None:
    """What is trained then is the script as it is now."""
    assert runner.run(plain, Options(autopilot=True, until="train")) == 0
    shutil.rmtree(plain.own / "marks")
    shutil.rmtree(plain.version("v001").path)
    plain.script("v001").write_text(plain.script("v001").read_text().replace("EPOCHS = 6", "EPOCHS = 5"))
    assert runner.run(plain, Options(autopilot=True, until="train")) == 0
    assert _trained(count) == {"v001": 2}
    assert attempts.read(plain, "v001") == [] and not events(plain, "attempt_failed")


def test_a_damaged_state_costs_no_more_than_the_training(plain: Workspace, count: Path) -> None:
    text, job = '{"status": 7}', plain.job("v001-train-1")
    job.path.mkdir(parents=True)
    job.state.write_text(text)
    job.job.write_text(text)
    assert runner.run(plain, Options(autopilot=True, until="train")) == 0
    assert _trained(count) == {"v001": 1}


def test_a_report_that_was_made_is_found(plain: Workspace) -> None:
    """The runner was killed before it could write that the loop is done."""
    assert runner.run(plain, Options(autopilot=True, max_versions=1)) == 0
    lines = plain.journal.read_text().splitlines(keepends=True)
    last = next(index for index, line in enumerate(lines) if '"report_ready"' in line)
    plain.journal.write_text("".join(lines[: last + 1]))
    made = list(plain.reports.iterdir())
    assert runner.run(plain, AUTOPILOT.model_copy(update={"max_versions": 1})) == 0
    assert list(plain.reports.iterdir()) == made and len(events(plain, "loop_finished")) == 1
    made[0].rename(plain.reports / ".report-after-v001")
    plain.journal.write_text("".join(lines[: last + 1]))
    assert runner.run(plain, AUTOPILOT.model_copy(update={"max_versions": 1})) == 0
    assert list(plain.reports.iterdir()) == made, "it had not got its name yet"


def test_whoever_gets_the_lock_sweeps_what_was_begun(ws: Workspace, edit_rules: Callable[..., None]) -> None:
    old = time.time() - 60
    begun = [
        ws.root / ".02_train_v002.py.abcd_123.tmp",
        ws.eval_modules / ".common.py.abcdefgh.tmp",
        ws.inbox / f".q.json.{'0f' * 16}.tmp",
        ws.version("v001").path / ".spec.json.abcdefgh.tmp",
        ws.job("v001-train-1").path / ".state.json.tmp",
        ws.attempt("v001", 1) / ".attempt.json.abcdefgh.tmp",
    ]
    kept = [ws.root / ".notes.tmp", ws.root / "weights.tmp", ws.root / ".young.json.abcdefgh.tmp"]
    open_one = ws.root / ".open.json.abcdefgh.tmp"
    for path in (*begun, *kept, open_one):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if "young" not in path.name:
            os.utime(path, (old, old))
    (ws.jobs / ".one.0123abcd.old").mkdir()
    os.utime(ws.jobs / ".one.0123abcd.old", (old, old))
    with open_one.open("ab"), lock.hold(ws):
        assert [path for path in begun if path.exists()] == []
        assert not (ws.jobs / ".one.0123abcd.old").exists()
        assert all(path.exists() for path in (*kept, open_one))
    temporary.sweep(ws)
    assert not open_one.exists()
