"""How a job on a cluster is, from its guard's files and from what Slurm says of it. Neither is believed alone.

In this order: the guard's word that it has ended; an end for lack of memory, of which its node tells; a beat that is
fresh; an end that Slurm knows of; Slurm's queue; and last that Slurm knows nothing of it. A signal from outside is the
one end that a guard cannot explain: whether somebody cancelled the job, its time was over or it is to be started
again, only Slurm knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from progtrain.engine.jobs.base import LOST, Seen, as_guard_says
from progtrain.engine.jobs.guard import LOST_SECONDS, NOT_MINE
from progtrain.engine.jobs.queue_reasons import in_words
from progtrain.engine.schema import JobState
from progtrain.engine.text import lasting

#: a job that gave a sign within so many seconds is at work, whatever Slurm says; and so long a guard's last word may
#: need to be seen here after Slurm has said that the job is over, on a network folder
FRESH_SECONDS = 60.0
#: how long Slurm may need to put a job into the queue again that it ended in favour of others
_PREEMPTED_SECONDS = 300.0

_WAITS = {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
_OVER = {
    *("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "DEADLINE", "OUT_OF_MEMORY"),
    *("NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED"),
}
_NODE_GONE = {"NODE_FAIL", "BOOT_FAIL"}
#: what slurmstepd writes to the job's output
_HOST_MEMORY = re.compile(r"exceeded (?:job |step )?memory limit|oom[-_ ]kill", re.IGNORECASE)


def is_over(row: Mapping[str, str] | None) -> bool:
    """Whether Slurm says of the job that it has ended, or says nothing of it."""
    return row is None or row["state"] in _OVER


def verdict(
    guard: JobState | None,
    row: Mapping[str, str] | None,
    *,
    beat: float | None = None,
    answered: bool = True,
    gone: float = float("inf"),
    asked: bool = False,
    output: str = "",
    fresh_seconds: float = FRESH_SECONDS,
) -> Seen:
    """`row`: of the queue, None where the job is not in it; `answered`: whether Slurm said so, rather than nothing.

    `beat`: seconds since the last one. `gone`: seconds for which `is_over` has been so. `asked`: whether we asked for
    its end. `output`: the end of what Slurm itself wrote of the job.
    """
    if guard is not None and guard.status == "ended":
        seen = _after_its_end(guard, row, answered, gone, gone < fresh_seconds, asked, output)
    elif row is not None and row["state"] in _OVER - _NODE_GONE and _short_of_memory(row, output):
        # its own node says so, and has ended all of it: the last beat is of before
        seen = _host_memory()
    elif beat is not None and beat < fresh_seconds:
        lost_sight = row is not None and row["state"] in _NODE_GONE
        seen = Seen("running", "Slurm has lost sight of its node, and it goes on there" if lost_sight else "")
    elif row is None and not answered:
        seen = Seen("running" if guard else "queued")
    elif row is None or row["state"] in _OVER:
        seen = _over(guard, row, beat, gone, gone < fresh_seconds, asked, output)
    else:
        seen = _in_queue(guard, row, beat)
    job = (guard and guard.job) or (row and row["job"]) or None
    node = (guard and guard.node) or (row and row["node"]) or None
    return replace(seen, state=guard, beat_age=beat, job=job, node=node)


def _after_its_end(
    guard: JobState,
    row: Mapping[str, str] | None,
    answered: bool,
    gone: float,
    early: bool,
    asked: bool,
    output: str,
) -> Seen:
    seen = as_guard_says(guard)
    killed = guard.ended_by is None and guard.exit_code == -9
    if asked or not (killed or guard.ended_by in ("cancelled", "time limit")):
        return seen
    if _short_of_memory(row, output):
        return _host_memory()
    if row is None:
        return seen if answered else Seen("ending", "it was told to end; Slurm has not said yet why")
    state = row["state"]
    if int(row["restarts"]) > guard.restarts and state in _OVER:
        # Slurm started it again, or tried to: of that start no guard has told yet
        return _over(None, row, None, gone, early, asked, output)
    if state in _WAITS or int(row["restarts"]) > guard.restarts:
        return _in_queue(None, row, None)
    if state not in _OVER:
        return Seen("ending", "it was told to end; Slurm has not said yet why")
    if state in ("TIMEOUT", "DEADLINE"):
        return _time_limit()
    if state in _NODE_GONE:
        return Seen("failed", f"its node {row['node']} failed", "node failure")
    if state == "PREEMPTED":
        return _preempted(gone)
    return _cancelled(asked) if state == "CANCELLED" or seen.phase == "cancelled" else seen


def _over(
    guard: JobState | None,
    row: Mapping[str, str] | None,
    beat: float | None,
    gone: float,
    early: bool,
    asked: bool,
    output: str,
) -> Seen:
    """Its guard has not said that it ended; `early`: that may still come."""
    state, began = (row["state"], bool(row["node"])) if row else ("", True)
    if _short_of_memory(row, output):
        return _host_memory()
    if row is not None and state in _NODE_GONE:
        if beat is not None and beat < LOST_SECONDS:
            return Seen("running", f"Slurm has lost sight of its node; its last sign was {lasting(beat)} ago")
        return Seen("failed", f"its node {row['node']} failed", "node failure")
    if state == "PREEMPTED":
        return _preempted(gone)
    if began and early:
        return Seen("ending", "it is over for Slurm; its guard's last word is awaited")
    if state == "CANCELLED" or (asked and guard is None):
        return _cancelled(asked, began=bool(guard) or began)
    if state in ("TIMEOUT", "DEADLINE"):
        return _time_limit()
    if row is not None and state == "FAILED" and guard is None:
        if _exit_code(row) == NOT_MINE:
            return Seen("failed", "another job does its work", "replaced")
        return Seen("failed", "it ended before its guard began: Slurm's log of it says why", "could not start")
    known = f"Slurm says {state} ({row['reason']})" if row else "Slurm knows nothing of it"
    sign = "it never gave a sign" if beat is None else f"its last sign was {lasting(beat)} ago"
    return Seen("lost", f"{known}, and {sign}", LOST)


def _in_queue(guard: JobState | None, row: Mapping[str, str], beat: float | None) -> Seen:
    if row["state"] in _WAITS:
        starts, why = in_words(row["reason"], row["job"])
        again = int(row["restarts"]) and f"Slurm starts it again (restart {row['restarts']})"
        return Seen("queued" if starts else "waiting", ": ".join(part for part in (again, why) if part))
    if row["state"] in ("SUSPENDED", "STOPPED"):
        return Seen("running", "suspended by Slurm for now")
    if row["state"] == "COMPLETING":
        return Seen("ending", "its node clears up after it")
    if guard is None:
        return Seen("running", "its node prepares it")
    return Seen("running", "" if beat is None else f"no sign of it for {lasting(beat)}")


def _short_of_memory(row: Mapping[str, str] | None, output: str) -> bool:
    return (row is not None and row["state"] == "OUT_OF_MEMORY") or bool(_HOST_MEMORY.search(output))


def _host_memory() -> Seen:
    return Seen("failed", "it used more memory than it had asked for, and Slurm ended it", "host memory")


def _cancelled(asked: bool, began: bool = True) -> Seen:
    by = "" if asked else "from outside: by scancel, or by whoever runs the cluster"
    return Seen("cancelled", by, "cancelled" if began else "cancelled before start")


def _time_limit() -> Seen:
    return Seen("failed", "its time was over before it had ended", "time limit")


def _preempted(gone: float) -> Seen:
    if gone < _PREEMPTED_SECONDS:
        return Seen("ending", "it had to make way for others; Slurm may start it again")
    return Seen("lost", "it had to make way for others, and Slurm has not started it again", "preempted")


def _exit_code(row: Mapping[str, str]) -> int:
    """Slurm gives it as the system does for a process: the code above, the signal in the lowest seven bits."""
    return int(row["exit"] or 0) >> 8
