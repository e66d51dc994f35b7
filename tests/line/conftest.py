"""A real line: an ssh server on loopback, and what shows which processes a training has."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from progtrain.engine.control.launch import Options
from progtrain.engine.files import LineReader, try_read_json
from progtrain.engine.jobs import alive
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace

#: of what a test runs over the line; what ssh itself does not pass on
_PASSED = ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "PYTHONPATH", "OMP_NUM_THREADS", "GO_ON")

#: (words of a command) -> those of the ssh client that runs it in a terminal over the line
Ssh = Callable[[list[str]], list[str]]


@pytest.fixture(scope="session")
def _server() -> Iterator[list[str]]:
    """The client's command, for a server with keys of its own. Skips where it cannot be started."""
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if sshd is None or shutil.which("ssh") is None:
        pytest.skip("there is no ssh server: openssh-server is not installed")
    with tempfile.TemporaryDirectory(prefix="pt-ssh-", dir="/tmp") as name:
        folder = Path(name)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
            f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        )
        if os.geteuid() == 0:
            # where no service has ever run there is no folder for root's server; other users' servers need none
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        server = subprocess.Popen(
            [sshd, "-D", "-f", str(folder / "config")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        client = ["ssh", "-tt", "-F", "/dev/null", "-p", str(port), "-i", str(folder / "user")]
        client += [part for option in options for part in ("-o", option)]
        client.append(f"{getpass.getuser()}@127.0.0.1")
        try:
            _await(server, client)
            yield client
        finally:
            server.terminate()
            server.wait(60)


def _await(server: subprocess.Popen[bytes], client: list[str]) -> None:
    for _ in range(50):
        if subprocess.run([*client, "true"], capture_output=True, check=False).returncode == 0:
            return
        if server.poll() is not None:
            pytest.skip("the ssh server does not start here")
        time.sleep(0.1)
    pytest.skip("the ssh server gives nobody a terminal here: only one of root's can")


@pytest.fixture
def ssh(_server: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ssh:
    for name in ("state", "config"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("TERM", "xterm-256color")

    def over_the_line(words: list[str]) -> list[str]:
        passed = [f"{name}={os.environ[name]}" for name in _PASSED if name in os.environ]
        return [*_server, shlex.join(["env", "LC_ALL=C.UTF-8", *passed, *words])]

    return over_the_line


@pytest.fixture
def audited(plain: Workspace, go_on: Path) -> Workspace:
    """A workspace whose next step is its first training."""
    assert runner.run(plain, Options(autopilot=True, until="initialize")) == 0
    return plain


def progtrain(ws: Workspace, *words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "progtrain", "-C", str(ws.root), *words]


def until(there: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def training(ws: Workspace, version: str = "v001") -> psutil.Process:
    """The script's process, once it trains."""
    found: list[psutil.Process] = []

    def trains() -> bool:
        for folder in ws.jobs.glob(f"{version}-train-*"):
            told = try_read_json(folder / "state.json") or {}
            if told.get("status") == "running" and alive.lives(told):
                found.append(psutil.Process(told["script_pid"]))
        return bool(found) and any(ws.version(version).path.rglob("metrics.csv"))

    until(trains)
    return found[-1]


def at_work(ws: Workspace) -> psutil.Process:
    """The runner that was started last."""
    began = [event for event in LineReader(ws.journal).read() if event["event"] == "runner_started"]
    return psutil.Process(began[-1]["pid"])


def events(ws: Workspace, kind: str, **having: str) -> int:
    """How often the journal has it."""
    told = LineReader(ws.journal).read()
    return sum(event["event"] == kind and having.items() <= event.items() for event in told)
