"""What the plan says of resources, in a job's own words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from progtrain.engine.experiment.plan import Plan
from progtrain.engine.schema import Resources

_SIZE = re.compile(r"([\d.]+)\s*([KMGT]?)", re.IGNORECASE)
_MEGABYTES = {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0**2}


def resources(plan: Plan, logs: Path, *, evaluation: bool = False) -> Resources:
    """`logs`: where a cluster's own log of the job is to lie. An evaluation is not among the estimates: its time is
    what the plan states, or nothing."""
    asked = plan.resources
    memory = asked.memory if asked.memory != "auto" else None if evaluation else _estimated(plan, "memory")
    return Resources(
        partition=asked.partition,
        account=asked.account,
        gpus=asked.gpus,
        cpus=asked.cpus,
        memory_mb=None if memory is None else megabytes(memory),
        minutes=minutes(plan, evaluation=evaluation),
        setup=asked.setup,
        preemptible=asked.preemptible,
        mail=plan.notify.mail,
        logs=str(logs),
    )


def minutes(plan: Plan, *, evaluation: bool = False) -> int | None:
    """How long a run may take: as stated, else as estimated; None where nobody says."""
    stated = plan.resources.time
    found = stated if stated != "auto" else None if evaluation else _estimated(plan, "time")
    return None if found is None else whole_minutes(found)


def seconds(plan: Plan, otherwise: float | None) -> float | None:
    """The time limit that whoever watches over a script keeps. A cluster keeps its own, and lets scripts save first:
    there it is `otherwise`, as it is where the plan states none."""
    stated = plan.resources.time
    if plan.resources.executor != "local" or stated == "auto":
        return otherwise
    return whole_minutes(stated) * 60.0


def megabytes(size: str | float) -> int:
    """`"16G"` -> 16384; a number without a unit is one of megabytes, as for Slurm."""
    match = _SIZE.match(str(size).strip())
    assert match is not None, size
    return max(1, round(float(match[1]) * _MEGABYTES[match[2].upper()]))


def whole_minutes(time: str | float) -> int:
    """`"30"`, `"04:30:00"` and `"2-12:00:00"`, as Slurm writes them; rounded up."""
    days, _, rest = str(time).rpartition("-")
    parts = [float(part) for part in rest.split(":")]
    if days:  # with days the first is hours, without it minutes where there are one or two
        parts = [*parts, 0, 0][:3]
    elif len(parts) < 3:
        parts = [0, *parts, 0][:3]
    total = float(days or 0) * 86400 + parts[0] * 3600 + parts[1] * 60 + parts[2]
    return max(1, -(-int(total) // 60))


def _estimated(plan: Plan, what: str) -> Any:
    """Design writes an estimate with its basis: `{value: 16G, basis: 6 runs}`, or the value alone."""
    held = plan.estimates.get(what)
    return held.get("value") if isinstance(held, dict) else held
