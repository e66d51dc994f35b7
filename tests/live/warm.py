"""Runs scripts as `python SCRIPT` does, each in a process of its own, forked after Lightning's long import.

Reads a job as JSON from each line of its input; answers with the exit code.
"""

import atexit
import json
import os
import runpy
import signal
import sys
from pathlib import Path

SECONDS = 60


def run(job: dict) -> None:
    signal.alarm(SECONDS)
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["script.py", *job["arguments"]]
    live = job["live"]
    sys.path[:] = [job["folder"], live, *(path for path in sys.path if path != str(Path(__file__).parent))]
    code = 0
    try:
        runpy.run_path(f"{live}/sitecustomize.py", run_name="sitecustomize")
        runpy.run_path("script.py", run_name="__main__")
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    import lightning.pytorch  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    serve()
