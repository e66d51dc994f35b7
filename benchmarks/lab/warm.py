"""Runs Python scripts in forks of a process that has imported the heavy packages already.

A script runs as `python SCRIPT ARGUMENTS` would: as the main program, in its folder, in a process of its own. Only the
6 s of importing torch and lightning are saved, of a training that takes half a second.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_PRELOADED = (
    "numpy", "pandas", "PIL.Image", "torch", "torch.utils.data", "torch.nn.functional", "torch.optim.swa_utils",
    "torchmetrics.functional", "lightning", "lightning.pytorch.callbacks", "lightning.pytorch.loggers", "yaml",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """`exit_code` is negative for a signal; `timed_out` where the limit was the reason."""

    exit_code: int
    seconds: float
    timed_out: bool = False


class WarmPython:
    """One server process, one script at a time. Use as a context manager."""

    def __init__(self, *, nice: int = 0) -> None:
        environment = dict(os.environ) | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.lab.warm", str(nice)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=Path(__file__).parents[2],
            text=True,
        )

    def __enter__(self) -> WarmPython:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        log: Path,
        timeout: float = 300.0,
        environment: dict[str, str] | None = None,
    ) -> Ended:
        """`arguments` as after `python`: the script first. Output goes to `log`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {
            "arguments": list(arguments),
            "cwd": str(cwd),
            "log": str(log),
            "timeout": timeout,
            "environment": environment or {},
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the warm Python ended unexpectedly")
        return Ended(**json.loads(answer))


def _serve(nice: int) -> None:
    import importlib
    import warnings

    os.nice(nice)
    warnings.simplefilter("ignore")
    for name in _PRELOADED:
        importlib.import_module(name)
    import gc

    gc.collect()
    gc.freeze()  # else every collection in a fork copies the pages of all that was imported
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(_run(json.loads(line))) + "\n")
        answers.flush()


def _run(request: dict[str, Any]) -> dict[str, Any]:
    import time

    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(request)
    timed_out = False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - begun > request["timeout"]:
            timed_out = True
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            break
        time.sleep(0.003)
    code = os.waitstatus_to_exitcode(status)
    return {"exit_code": code, "seconds": round(time.monotonic() - begun, 4), "timed_out": timed_out}


def _become(request: dict[str, Any]) -> None:
    """Never returns."""
    import runpy
    import traceback

    code = 1
    try:
        output = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(request["cwd"])
        os.environ.update(request["environment"])
        script, *arguments = request["arguments"]
        sys.argv = [script, *arguments]
        sys.path[0] = request["cwd"]
        sys.path[1:1] = [path for path in request["environment"].get("PYTHONPATH", "").split(os.pathsep) if path]
        runpy.run_path(script, run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does: told, and the exit code is 1
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
