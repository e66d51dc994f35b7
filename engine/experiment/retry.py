"""What follows on an attempt that brought no results: another one, otherwise than before, or none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from progtrain.engine import values
from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.plan import Retry
from progtrain.engine.jobs.base import Seen
from progtrain.engine.script.repair.failure import Failure

OUT_OF_MEMORY, HOST_MEMORY, TIME_LIMIT = "out of memory", "host memory", "time limit"
LOST, CANCELLED = "lost", "cancelled"
#: causes that an executor knows better than any log, and what each comes to
_SEEN = {
    "time limit": TIME_LIMIT,
    "host memory": HOST_MEMORY,
    "node failure": LOST,
    "preempted": LOST,
    "lost": LOST,
    "cancelled": CANCELLED,
    "cancelled before start": CANCELLED,
    "replaced": LOST,
    "refused": "refused",
    "could not start": "could not start",
}
#: after these a training may go on from what it saved; after others something about it was wrong
GOES_ON = frozenset({TIME_LIMIT, LOST, CANCELLED, HOST_MEMORY, "signal", "disk full"})
_ON_THE_HOST = re.compile(
    r"MemoryError|bad_alloc|DefaultCPUAllocator|killed by signal: Killed|allocate memory|unable to allocate", re.I
)
_HOST_FACTOR = 1.5
#: words in names of settings that decide how much memory a training takes
_MEMORY = re.compile(
    r"rank|hidden|width|layer|depth|dim|len|seq|batch|model|precision|size|channel|head|embed|accum|bits|dtype", re.I
)


class Past(NamedTuple):
    """What is known when an attempt has failed."""

    cause: str
    reason: str
    #: failures of earlier attempts at the same, since a person last asked for one, the oldest first
    earlier: Sequence[Mapping[str, Any]]
    #: what this attempt had otherwise than the plan
    changes: Mapping[str, Any]
    #: furthest step of its training; None: nobody says
    step: int | None = None
    node: str | None = None
    #: what the job was given, in MB
    memory_mb: int | None = None
    #: settings for another attempt with less memory; None: there are none
    smaller: Mapping[str, Any] | None = None
    can_resume: bool = False
    #: whether others may have used the same device meanwhile
    shared: bool = False


def cause_of(seen: Seen, failure: Failure | None) -> tuple[str, str]:
    """One word, and what it is in a sentence."""
    if (known := _SEEN.get(seen.cause)) and (seen.phase != "failed" or seen.cause != "could not start"):
        return known, seen.reason or seen.cause
    if failure is None:
        return seen.cause or LOST, seen.reason or "it ended without a word"
    if failure.cause == OUT_OF_MEMORY and _ON_THE_HOST.search(failure.error_summary):
        return HOST_MEMORY, failure.error_summary
    return failure.cause, failure.error_summary


def following(past: Past, rules: Retry) -> tuple[dict[str, Any] | None, str]:
    """What the next attempt has otherwise than the plan, with its `why`; or None. And what to do about it."""
    # going on after a time limit is no failure of the run: a long one needs many
    counted = [failed for failed in past.earlier if failed.get("cause") != TIME_LIMIT]
    if rules.attempts == 1 or (past.cause != TIME_LIMIT and len(counted) + 1 >= rules.attempts):
        return None, "progtrain experiment resume starts it again; retry.attempts allows more by itself"
    if past.cause == OUT_OF_MEMORY:
        return _smaller(past, rules)
    if past.cause == HOST_MEMORY:
        return _more_memory(past)
    if past.cause == TIME_LIMIT:
        return _go_on(past, rules)
    if past.cause == LOST:
        return _elsewhere(past, rules)
    return None, "mend it, then: progtrain experiment resume"


def _next(past: Past, why: str, **others: Any) -> dict[str, Any]:
    kept = {key: value for key, value in past.changes.items() if key in ("settings", "memory_mb", "exclude")}
    return {**kept, **others, "why": why}


def _smaller(past: Past, rules: Retry) -> tuple[dict[str, Any] | None, str]:
    if rules.out_of_memory == "fail":
        return None, "give it a smaller batch, or a device with more memory"
    if past.shared and not past.changes.get("alone"):
        return _next(past, "out of memory beside other runs: alone this time", alone=True), ""
    if past.smaller is None:
        return None, "its batch cannot be made smaller: use a smaller model, shorter sequences or more memory"
    told = ", ".join(f"{name} {values.show(value)}" for name, value in past.smaller.items())
    settings = {**past.changes.get("settings", {}), **past.smaller}
    return _next(past, f"out of memory: {told}", settings=settings), ""


def _more_memory(past: Past) -> tuple[dict[str, Any] | None, str]:
    if past.memory_mb is None:
        return None, "the machine's memory was used up: state resources.memory, or load less data at once"
    more = round(past.memory_mb * _HOST_FACTOR)
    return _next(past, f"the machine's memory was used up: {more} MB", memory_mb=more, resume=past.can_resume), ""


def _go_on(past: Past, rules: Retry) -> tuple[dict[str, Any] | None, str]:
    more = "give it more time: resources.time"
    if rules.time_limit == "fail" or not past.can_resume:
        return None, more
    before = [failed for failed in past.earlier if failed.get("cause") == TIME_LIMIT]
    furthest = max((failed["step"] for failed in before if failed.get("step") is not None), default=None)
    got_further = past.step is not None and (furthest is None or past.step > furthest)
    if before and not got_further:
        return None, f"it got no further than the attempt before; {more}"
    at = f" at step {past.step}" if past.step is not None else ""
    return _next(past, f"its time was over{at}: it goes on from there", resume=True), ""


def _elsewhere(past: Past, rules: Retry) -> tuple[dict[str, Any] | None, str]:
    if sum(failed.get("cause") == LOST for failed in past.earlier) >= rules.lost:
        return None, "progtrain experiment resume starts it again"
    others: dict[str, Any] = {"resume": past.can_resume}
    if past.node:
        others["exclude"] = sorted({*past.changes.get("exclude", []), past.node})
    return _next(past, past.reason, **others), ""


def at_least_as_large(run: Run, other: Run, changed: Mapping[str, Any]) -> bool:
    """Whether what did not fit for `other`, and was changed there, will not fit for `run` either.

    Both are planned with the same values of what was changed; of all else that takes memory `run` has as much or more.
    """
    if any(run.settings.get(name) != other.settings.get(name) for name in changed):
        return False
    names = {*run.settings, *other.settings} - {*changed}
    return all(_as_large(run.settings.get(name), other.settings.get(name)) for name in names if _MEMORY.search(name))


def _as_large(mine: object, theirs: object) -> bool:
    if values.same(mine, theirs):
        return True
    numbers = [value for value in (mine, theirs) if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) == 2 and numbers[0] >= numbers[1]
