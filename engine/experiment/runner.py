"""The process that carries an experiment out: `python -P -m progtrain.engine.experiment.runner WORKSPACE NAME OPTIONS`.

One for each experiment, in one thread: it folds the files, looks at all jobs, takes in those that have ended, submits
what may be submitted, and begins again. It keeps nothing that it could not read anew, so it can be killed at any time:
jobs go on, and the next one finds them.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from progtrain.engine.clock import Clock, now
from progtrain.engine.control import lock, moved, temporary
from progtrain.engine.errors import Busy, InputError, ProgtrainError, StorageError
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import notify, summary
from progtrain.engine.experiment.carry import Carrier
from progtrain.engine.experiment.logbook import Logbook
from progtrain.engine.experiment.opening import busy, executor_of, opened
from progtrain.engine.experiment.state import counts
from progtrain.engine.jobs import alive
from progtrain.engine.jobs.detached import outliving
from progtrain.engine.workspace import Workspace

#: of an error in progtrain itself
INTERNAL = 70
UNREACHABLE = Busy.exit_code
#: between two turns: at first, and at most while nothing changes
_SECONDS, _MOST_SECONDS = 0.1, 1.0
#: and so many times as long as the turn took
_REST = 10


class Options(NamedTuple):
    """What of an experiment is to be carried out."""

    #: names or patterns of runs; empty: all
    runs: tuple[str, ...] = ()
    #: a worker by itself; empty: all
    tool: str = ""
    #: seconds without an answer of the cluster after which the runner gives up; None: it waits
    wait_for_slurm: float | None = None

    def as_json(self) -> str:
        return json.dumps(self._asdict())


def options_from(text: str) -> Options:
    found = json.loads(text)
    return Options(**{**found, "runs": tuple(found.get("runs", ()))})


def run(
    ws: Workspace,
    name: str,
    options: Options,
    *,
    clock: Clock = now,
    listener: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """The whole life of a runner. Returns its exit code; errors are told in the journal too."""
    folder = folders.existing(ws, name)
    with lock.hold_file(folder.lock, busy(folder)):
        temporary.sweep_folder(folder.path)
        log = Logbook(folder, "run", clock, listener)
        code = INTERNAL
        try:
            code = _carry_out(ws, name, options, log, clock)
        except StorageError:
            raise
        except ProgtrainError as error:
            code = error.exit_code
            log.write("runner_failed", str(error), **vars(error), exit_code=code)
        except Exception as error:  # noqa: BLE001 - whatever it is, the journal must say that the runner ended
            traceback.print_exc()
            reason = f"an error in progtrain itself: {type(error).__name__}: {error}"
            fix = f"please report it, with {ws.relative(folder.runner_log)}"
            log.write("runner_failed", reason, reason=reason, fix=fix, exit_code=INTERNAL)
        log.write("runner_ended", f"the runner ends, exit code {code}", exit_code=code)
    return code


def _carry_out(ws: Workspace, name: str, options: Options, log: Logbook, clock: Clock) -> int:
    experiment = opened(ws, name, clock)
    kind = experiment.plan.resources.executor
    log.write(
        "runner_started", f"runner {os.getpid()}, {kind}", **alive.myself(), host=socket.gethostname(), executor=kind
    )
    with closing(executor_of(experiment)) as executor:
        carrier = Carrier(experiment, executor, log, options.runs, options.tool)
        carrier.refuse_unready()
        code = _walk(carrier, options.wait_for_slurm)
    if code is None:
        code = _told(carrier, log)
    summary.write(experiment, carrier.states)
    return code


def _walk(carrier: Carrier, patience: float | None) -> int | None:
    """Until nothing is left to do; an exit code where it gives up before."""
    pause, folder = _SECONDS, carrier.experiment.folder
    stays = moved.staying(folder.path, moved.away(folder.path, f"progtrain experiment run {folder.name}"))
    while True:
        begun = time.monotonic()
        stays()
        try:
            changed, left = carrier.turn()
        except Exception:
            # what is missing then need not be a fault of its own
            stays()
            raise
        if not left:
            return None
        if patience is not None and carrier.silent is not None and carrier.silent > patience:
            text = f"the cluster has not answered for {carrier.silent:.0f} s; jobs that run go on"
            carrier.log.write("unreachable", text, seconds=carrier.silent)
            return UNREACHABLE
        pause = _SECONDS if changed else min(2 * pause, _MOST_SECONDS)
        # of a large experiment a turn takes long: most of the time it is to rest all the same
        time.sleep(0 if changed else max(pause, _REST * (time.monotonic() - begun)))


def _told(carrier: Carrier, log: Logbook) -> int:
    """What came of it, in words and as an exit code."""
    states = carrier.chosen
    done = [state for state in states if state.phase in ("done", "trained")]
    bad = [state for state in states if state.phase in ("failed", "lost", "cancelled")]
    told = ", ".join(f"{count} {phase}" for phase, count in counts(states).items())
    if len(done) + len(bad) < len(states) and not bad:
        # a tool by itself, whose work waits for that of another; or the plan was changed meanwhile
        log.write("stage_done", f"nothing more can be done: {told}", stage="run", outcome="waits", runs=counts(states))
        return InputError.exit_code
    outcome = "done" if not bad else "partly" if done else "failed"
    # a run that was started again by itself is not all of it
    of_all = f" of {len(carrier.states)} runs" if len(states) < len(carrier.states) else ""
    text = f"{outcome}: {told}{of_all}"
    log.write("stage_done", text, stage="run", outcome=outcome, runs=counts(states))
    plan = carrier.experiment.plan
    notify.tell(carrier.experiment.folder, plan, "ended", {"text": text, "runs": counts(states)})
    return 1 if bad else 0


def main() -> int:
    """`WORKSPACE NAME OPTIONS-AS-JSON`. Ignores the end of the terminal that it was started from."""
    ws = Workspace(Path(sys.argv[1]))
    return outliving(lambda: run(ws, sys.argv[2], options_from(sys.argv[3])))


if __name__ == "__main__":
    sys.exit(main())
