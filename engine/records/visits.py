"""What the journal says of steps that run a script: the loop clears away the folders of some of their jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

#: steps that run one of the user's scripts
SCRIPTS = ("train", "evaluate", "report")
#: an event of the whole loop -> how the step ended that was at work
_ENDS = {"loop_stopped": "stopped", "loop_failed": "failed", "loop_waiting": "waiting"}


class Visit(NamedTuple):
    """From a step's beginning to its end, or to what came instead."""

    version: str
    step: str
    began: str
    ended: str | None = None
    #: "finished", "stopped", "failed", "waiting" (for an answer); "open": nobody says that it has ended; "cut short":
    #: what was at work ended without a word
    outcome: str = "open"
    why: str = ""


def visits(events: Iterable[dict[str, Any]]) -> list[Visit]:
    """Of steps that run a script, the oldest first; only the last one can be open."""
    found: list[Visit] = []
    for event in events:
        kind, at = str(event.get("event")), str(event.get("at") or "")
        is_open = bool(found) and found[-1].outcome == "open"
        if is_open:
            found[-1] = _with_event(found[-1], kind, at, event)
        if kind == "step_started" and event.get("step") in SCRIPTS:
            found.append(Visit(str(event.get("version") or ""), str(event["step"]), at))
    return found


def _with_event(visit: Visit, kind: str, at: str, event: dict[str, Any]) -> Visit:
    if kind == "step_done":
        return visit._replace(ended=at, outcome="finished")
    if kind in _ENDS:
        by = f"stopped by {event.get('by')}" if kind == "loop_stopped" else ""
        return visit._replace(ended=at, outcome=_ENDS[kind], why=str(event.get("reason") or by))
    if kind in ("runner_started", "step_started"):
        return visit._replace(outcome="cut short", why="it ended without a word")
    if kind == "runner_ended":
        return visit._replace(ended=at, outcome="cut short", why="its runner ended without a word about it")
    return visit
