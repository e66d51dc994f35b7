"""The guard's side of a warm interpreter: which job may be forked from it, starting it, and asking it for processes.

`engine/live/progtrain_warm.py` is the process itself. Only the standard library and psutil, as for the guard.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import psutil

from progtrain.engine.jobs import alive
from progtrain.engine.jobs.detached import die_with_parent

_LIVE, _TEMPLATES = (Path(__file__).parents[1] / name for name in ("live", "templates"))
#: what they switch on holds for the whole life of an interpreter, or is the same in the warm one
_PYTHON_VARIABLES = (
    *("PYTHONPATH", "PYTHONHOME", "PYTHONUNBUFFERED", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8"),
    *("PYTHONIOENCODING", "PYTHONNOUSERSITE", "PYTHONWARNINGS", "PYTHONFAULTHANDLER", "PYTHONPYCACHEPREFIX"),
)
_GPUS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd")
#: seconds for the imports of a script
_MOST_SECONDS = 600.0
_POLL_SECONDS = 0.05


class Warm:
    """At most one warm interpreter, for scripts that begin with the same imports. Use as a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        #: kept: it would take the exit code of its process along
        self._used: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._made_for: tuple[Any, ...] = ()
        self._broken = ""
        #: imports after which no fork is safe, and why
        self._once: dict[tuple[str, ...], str] = {}

    def __enter__(self) -> Warm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(
        self, request: Mapping[str, Any], log: BinaryIO, stop: Callable[[], bool]
    ) -> tuple[psutil.Process | None, str]:
        """A child of this process that runs the job's script, or None and why there is none.

        A process comes with a reason too where it can serve for this job alone. `stop` is asked while it waits for
        the imports.
        """
        environment = {**os.environ, **request.get("environment", {})}
        imports = tuple(request["imports"])
        known_not = self._once.get(imports, "") if _scores(request["command"]) else ""
        if why := self._broken or _why_not(request, environment) or known_not:
            return None, why
        job, known = _job(request, environment), self._is_made_for(request, environment)
        if not known:
            self._begin(request, environment)
        ends = time.monotonic() + min(request.get("timeout_seconds") or math.inf, _MOST_SECONDS)
        waits = partial(self._ask, job, log, lambda: stop() or time.monotonic() > ends)
        answer, process = waits()
        if known and "stale" in answer:
            self._begin(request, environment)
            answer, process = waits()
        if "once" in answer:
            self._once[imports] = str(answer["once"])
        if process is None:
            return None, str(answer.get("failed") or answer.get("once") or answer.get("stale"))
        if "once" in answer:
            # it runs the job itself; who waits for it is not this object
            self._used, self._process = self._process, None
            self._end()
        return process, str(answer.get("once", ""))

    def _is_made_for(self, request: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
        alive = self._process is not None and self._process.poll() is None
        return alive and self._made_for == _same_for(request, environment)

    def _begin(self, request: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._end()
        self._made_for = _same_for(request, environment)
        self._channel, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile() as output:
            self._process = subprocess.Popen(
                [request["command"][0], str(_LIVE / "progtrain_warm.py"), str(theirs.fileno())],
                cwd=request["cwd"],
                env={**dict(self._made_for[-1]), alive.MARK: os.environ.get(alive.MARK, "")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def _ask(
        self, job: Mapping[str, Any], log: BinaryIO, stop: Callable[[], bool]
    ) -> tuple[dict[str, Any], psutil.Process | None]:
        """The answer, and the process that it named, which begins with the script now."""
        assert self._channel is not None
        waiting, go = os.pipe()
        try:
            socket.send_fds(self._channel, [json.dumps(job).encode() + b"\n"], [log.fileno(), waiting])
            answer = self._answer(stop)
            process = self._child(answer["pid"]) if "pid" in answer else None
            if process is not None:
                os.write(go, b"!")
            return answer, process
        except OSError as error:
            self._broken = f"the interpreter that was to be kept ended: {error.strerror or type(error).__name__}"
            self._end()
            return {"failed": self._broken}, None
        finally:
            os.close(waiting)
            os.close(go)

    def _answer(self, stop: Callable[[], bool]) -> dict[str, Any]:
        """Raises `OSError` when it has ended, or takes too long."""
        assert self._channel is not None
        self._channel.settimeout(_POLL_SECONDS)
        data = b""
        while not data.endswith(b"\n"):
            try:
                part = self._channel.recv(1 << 16)
            except TimeoutError:
                if stop():
                    raise
                continue
            if not part:
                raise ConnectionResetError
            data += part
        answer: dict[str, Any] = json.loads(data)
        return answer

    @staticmethod
    def _child(pid: int) -> psutil.Process | None:
        """Once it is a child of this process. Raises `OSError` when it does not become one."""
        deadline = time.monotonic() + 10.0
        while time.monotonic() < deadline:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.ppid() == os.getpid():
                    return process
            time.sleep(0.0005)
        raise ChildProcessError

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._channel = None


def _why_not(request: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """What speaks against it before anything is started."""
    command = request["command"]
    if request.get("writable") is not None:
        return "it runs in a sandbox"
    if sys.platform != "linux":
        return "only Linux has what it needs"
    if len(command) < 2 or not command[1].endswith(".py"):
        return "it is no script"
    strange = [name for name in environment if name.startswith("PYTHON") and name not in _PYTHON_VARIABLES]
    if strange:
        return f"{strange[0]} is set"
    sets = any("VISIBLE_DEVICES" in statement for statement in request["imports"])
    hidden = environment.get("CUDA_VISIBLE_DEVICES") in ("", "-1") and not sets
    return "" if hidden or not any(Path(path).exists() for path in _GPUS) else "there is a GPU"


def _same_for(request: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[Any, ...]:
    """What jobs of one warm interpreter have in common; the environment last, as pairs."""
    own, _ = _split(environment)
    command = request["command"]
    imports = tuple(statement.strip() for statement in request["imports"])
    # the evaluation is started from a folder of ours, and has the imports of the script beside it
    folder = "" if _scores(command) else os.path.dirname(command[1])  # noqa: PTH120
    return command[0], folder, imports, tuple(sorted(own.items()))


def _scores(command: Sequence[str]) -> bool:
    """Whether it is an evaluation by a script of ours, which no module of the user's may come into."""
    return command[1].startswith(f"{_TEMPLATES}/")


def _split(environment: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The environment without what progtrain adds for one job, and the folder of hooks, where the job has them."""
    own = {name: value for name, value in environment.items() if not name.startswith("PROGTRAIN_")}
    first, _, rest = own.get("PYTHONPATH", "").partition(os.pathsep)
    if first != str(_LIVE):
        return own, ""
    del own["PYTHONPATH"]
    return own | ({"PYTHONPATH": rest} if rest else {}), first


def _job(request: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    own, hooks = _split(environment)
    python, script, *arguments = request["command"]
    return {
        "cwd": request["cwd"],
        "python": python,
        "script": script,
        "arguments": arguments,
        "imports": request["imports"],
        "forked": _scores(request["command"]),
        "folders": request.get("module_folders", []),
        "environment": {name: value for name, value in environment.items() if own.get(name) != value},
        "hooks": hooks,
    }
