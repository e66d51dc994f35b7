"""The smallest executor that keeps the contract: a plain process that runs the script and notes what became of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime

from progtrain.engine.files import try_read_json
from progtrain.engine.jobs.base import Executor
from progtrain.engine.schema import JobRequest, JobState
from progtrain.engine.workspace import JobFolder

_RUN = """
import json, os, subprocess, sys, time
if os.fork():
    os._exit(0)  # whoever submitted goes on
os.setsid()
request, ended_by, code = json.load(open("job.json")), None, 127
try:
    with open("output.log", "ab") as log:
        environment = {**os.environ, **request["environment"]}
        script = subprocess.Popen(request["command"], cwd=request["cwd"], env=environment, stdout=log, stderr=log)
    end = time.monotonic() + (request["timeout_seconds"] or 1e9)
    while script.poll() is None:
        ended_by = "cancelled" if os.path.exists("cancel") else "time limit" if time.monotonic() > end else None
        if ended_by:
            script.kill()
        time.sleep(0.02)
    code = script.returncode
except OSError as error:
    ended_by = "could not start"
    open("output.log", "a").write(str(error))
json.dump({"code": code, "ended_by": ended_by}, open("result.tmp", "w"))
os.replace("result.tmp", "result.json")
"""


class Toy(Executor):
    def submit(self, folder: JobFolder, request: JobRequest) -> None:
        shutil.rmtree(folder.path, ignore_errors=True)
        folder.path.mkdir(parents=True)
        folder.job.write_text(json.dumps(request.model_dump()))
        subprocess.run([sys.executable, "-c", _RUN], cwd=folder.path, check=True)

    def look(self, folder: JobFolder) -> JobState | None:
        if not folder.job.exists():
            return None
        begun = datetime.fromtimestamp(folder.job.stat().st_mtime, UTC)
        state = JobState(status="running", host="toy", pid=os.getpid(), create_time=0.0, started_at=begun)
        result = try_read_json(folder.path / "result.json")
        if result is None:
            return state
        told = {"status": "ended", "ended_at": datetime.now(UTC), "exit_code": result["code"]}
        return state.model_copy(update={**told, "ended_by": result["ended_by"]})

    def cancel(self, folder: JobFolder) -> None:
        folder.cancel.touch()
