"""The process that carries a campaign out: `python -P -m progtrain.engine.campaign.runner WORKSPACE FILE`.

It goes through the campaign's experiments one after the other, in their own runner, and writes the report. It keeps
nothing that it could not read anew: killed, another one goes on, and nothing that is done is done again.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from progtrain.engine.campaign import collect, planned, report
from progtrain.engine.campaign import file as files
from progtrain.engine.campaign.planned import Step
from progtrain.engine.clock import Clock, now
from progtrain.engine.control import lock
from progtrain.engine.errors import Busy, ProgtrainError, StorageError
from progtrain.engine.experiment import runner as experiments
from progtrain.engine.experiment.logbook import Logbook
from progtrain.engine.experiment.opening import executor_of, opened
from progtrain.engine.experiment.runner import Options
from progtrain.engine.experiment.stages import scaffold
from progtrain.engine.experiment.view import look
from progtrain.engine.files import storage_errors
from progtrain.engine.jobs.detached import outliving, spawn
from progtrain.engine.text import clean_text
from progtrain.engine.workspace import Workspace

Tell = Callable[[str], None]


def busy(ws: Workspace, name: str) -> Busy:
    fix = "progtrain campaign FILE --status shows it"
    return Busy(f"the campaign {name} is at work already", file=ws.campaign_lock(name), fix=fix)


def start(ws: Workspace, name: str, path: Path) -> subprocess.Popen[bytes]:
    """A detached one: it survives this process, its terminal and the line. Raises `Busy`."""
    if lock.held(ws.campaign_lock(name)):
        raise busy(ws, name)
    log = ws.campaign_log(name)
    with storage_errors(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        return spawn("progtrain.engine.campaign.runner", [str(ws.root), str(path)], log)


def run(ws: Workspace, path: Path, tell: Tell, clock: Clock = now) -> int:
    """All of it. 1: some variant has failed. Raises `InputError` before anything is trained, `Busy`, `StorageError`."""
    file = files.read(ws, path)
    with lock.hold_file(ws.campaign_lock(file.campaign), busy(ws, file.campaign)):
        found = planned.steps(ws, file, path, clock)
        for step in found:
            planned.write(step)
        for number, step in enumerate(found, 1):
            tell(f"{step.name}, experiment {number} of {len(found)}")
            _carry_out(ws, step, tell, clock)
        collected = collect.collect(ws, file, found)
        tell(f"written: {ws.relative(report.write(ws, collected, clock))}")
    return 0 if all(row["state"] == "done" for row in collected["variants"]) else 1


def _carry_out(ws: Workspace, step: Step, tell: Tell, clock: Clock) -> None:
    """One experiment, to its end. That it cannot begin is written in its journal; the others go on."""
    try:
        experiment = opened(ws, step.name, clock)
        with closing(executor_of(experiment)) as executor:
            scaffold.run(experiment, executor)
        left = [held for held in look(experiment.folder).states if held.phase not in collect.ENDED]
        if not left:
            tell("all of it has ended before")
            return
        experiments.run(ws, step.name, Options(), clock=clock, listener=lambda event: _event(event, tell))
    except StorageError:
        raise
    except ProgtrainError as error:
        folder = step.designed.experiment.folder
        Logbook(folder, "run", clock).write("runner_failed", str(error), **vars(error), exit_code=error.exit_code)
        tell(f"failed: {error}")


def _event(event: dict[str, Any], tell: Tell) -> None:
    if event["event"] in ("runner_started", "runner_ended", "submitted", "state"):
        return
    about = "/".join(str(event[key]) for key in ("run", "what") if event.get(key) and event[key] != "train")
    tell(f"{about}: {event['text']}" if about else str(event["text"]))


def _say(text: str) -> None:
    sys.stdout.write(f"{clean_text(text)}\n")
    sys.stdout.flush()


def main() -> int:
    """Ignores the end of the terminal that it was started from."""
    ws = Workspace(Path(sys.argv[1]))
    return outliving(lambda: run(ws, Path(sys.argv[2]), _say))


if __name__ == "__main__":
    sys.exit(main())
