"""The line to a machine breaks, freezes, or is hung up in the middle of a training."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from progtrain.engine.control import launch, lock
from progtrain.engine.control.launch import Options
from progtrain.engine.jobs import alive
from progtrain.engine.loop import runner
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace
from tests.line.conftest import Ssh, at_work, events, progtrain, training, until
from tests.tui.terminal import Terminal, app, left_on

_AppOrRun = Callable[[Workspace], list[str]]


def _client_killed(client: psutil.Process, remote: psutil.Process) -> None:
    client.kill()


def _servers_session_killed(client: psutil.Process, remote: psutil.Process) -> None:
    for process in remote.parents():
        if process.name().startswith("sshd-session") or "@pts" in "".join(process.cmdline()):
            process.kill()


def _hung_up(client: psutil.Process, remote: psutil.Process) -> None:
    """All that has come from that login and did not get a session of its own."""
    session = os.getsid(remote.pid)
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if process.pid and os.getsid(process.pid) == session:
                process.send_signal(signal.SIGHUP)


_ENDS = {"client": _client_killed, "server": _servers_session_killed, "hangup": _hung_up}


def _shown(command: list[str]) -> psutil.Process:
    """The process of that command at the other end of the line."""
    return next(process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == command)


def _follow(ws: Workspace) -> list[str]:
    return progtrain(ws, "run", "--yes", "--max-versions", "1")


@pytest.mark.parametrize(
    ("shows", "end"),
    [
        (app, "client"),
        *(
            pytest.param(shows, end, marks=pytest.mark.slow)
            for shows in (app, _follow)
            for end in _ENDS
            if (shows, end) != (app, "client")
        ),
    ],
)
def test_a_line_that_breaks_ends_the_looking_alone(
    audited: Workspace, go_on: Path, ssh: Ssh, shows: _AppOrRun, end: str
) -> None:
    terminal = Terminal(ssh(shows(audited)))
    try:
        if shows is app:
            terminal.until(b"enter goes on")
            os.write(terminal.master, b"\r")
        script = training(audited)
        process, looking = at_work(audited), _shown(shows(audited))
        family = [looking, *looking.children(recursive=True)]
        family = [process for process in family if os.getsid(process.pid) == os.getsid(looking.pid)]
        _ENDS[end](terminal.guard, looking)
        assert terminal.ended() != 0
        assert psutil.wait_procs(family, 10)[1] == []
        assert script.is_running() and process.is_running()
    finally:
        terminal.close()

    again = Terminal(ssh(progtrain(audited, "status")))
    again.until(b"training")
    assert again.ended() == 0
    again.close()
    assert script.is_running(), "the very same process trains"

    again = Terminal(ssh(app(audited)))
    again.until(b"training")
    go_on.touch()
    again.until(b"waiting for you" if shows is app else b"finished")
    os.write(again.master, b"q")
    assert again.ended() == 0
    again.close()
    assert events(audited, "step_started", step="train") == events(audited, "step_done", step="train") == 1
    assert [path.name for path in audited.jobs.glob("*train*")] == ["v001-train-1"]
    until(lambda: not lock.running(audited))


def _fill_up(terminal: str) -> None:
    """What nobody reads at the other end, until the terminal takes no more."""
    handle, taken = os.open(terminal, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK), time.monotonic()
    while time.monotonic() - taken < 1.0:
        try:
            os.write(handle, b" " * 65536)
            taken = time.monotonic()
        except BlockingIOError:
            time.sleep(0.02)
    os.close(handle)


def _took(family: list[psutil.Process]) -> float:
    """Seconds of the processor, of those that are there."""
    seconds = 0.0
    for process in family:
        with suppress(psutil.NoSuchProcess):
            seconds += sum(process.cpu_times()[:2])
    return seconds


@pytest.mark.parametrize("then", ["goes on", pytest.param("is killed", marks=pytest.mark.slow)])
def test_a_line_that_is_frozen_holds_up_the_app_alone(audited: Workspace, go_on: Path, ssh: Ssh, then: str) -> None:
    terminal = Terminal(ssh(app(audited)))
    try:
        terminal.until(b"enter goes on")
        os.write(terminal.master, b"\r")
        script, looking = training(audited), _shown(app(audited))
        family = [looking, *looking.children(recursive=True)]
        terminal.guard.suspend()
        _fill_up(str(Path(f"/proc/{looking.pid}/fd/0").readlink()))
        assert script.is_running()
        go_on.touch()

        until(lambda: WorkspaceView(audited.root).snapshot().status == "waiting")
        assert audited.version("v001").eval_score.exists()
        before = _took(family)
        time.sleep(2)
        assert _took(family) - before < 0.6, "it waits, and does not spin"

        if then == "is killed":
            terminal.guard.kill()
            assert terminal.ended() == 128 + signal.SIGKILL
        else:
            terminal.guard.resume()
            terminal.until(b"waiting for you")
            os.write(terminal.master, b"q")
            assert terminal.ended() == 0
            assert terminal.modes() == terminal.before and left_on(bytes(terminal.written)) == set()
        assert psutil.wait_procs(family, 10)[1] == []
    finally:
        terminal.close()
    assert events(audited, "step_started", step="train") == events(audited, "step_done", step="train") == 1


@pytest.mark.slow
def test_a_machine_that_ends_all_at_once_costs_the_training_that_ran_and_no_attempt(
    audited: Workspace, go_on: Path
) -> None:
    """As when it is shut down, or when it ends what a user who logs out has left."""
    launch.start(audited, Options(autopilot=True, until="train"))
    script, process = training(audited), at_work(audited)
    family = [process, *process.children(recursive=True)]
    assert script in family
    for number in (signal.SIGTERM, signal.SIGHUP):
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(number)
    until(lambda: not any(alive.began(one.pid) for one in family))
    go_on.touch()
    assert runner.run(audited, Options(autopilot=True, until="train")) == 0
    assert events(audited, "attempt_failed") == 0 and events(audited, "step_done", step="train") == 1
