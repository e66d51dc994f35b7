"""What people ask a cluster for, as they write it: 16G, 04:30:00, --constraint=a100. Light: rules are read with it."""

from __future__ import annotations

import re

MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
TIME = re.compile(r"(\d+-)?\d+(:\d\d){0,2}")
#: an option of sbatch, and those that are progtrain's own to set
_OPTION = re.compile(r"--([a-z][a-z-]*)(?:[= ][^\n]*)?")
_OURS = ("job-name", "output", "error", "open-mode", "signal", "requeue", "no-requeue", "array", "export", "wrap")
_UNITS = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}


def megabytes(text: str) -> int | None:
    """At least one; without a unit they are megabytes. None for what is no size."""
    found = MEMORY.fullmatch(text.strip())
    return max(1, round(float(found[1]) * _UNITS[(found[2] or "M").upper()])) if found else None


def minutes(text: str) -> int | None:
    """As Slurm reads it: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]].

    At least one, seconds rounded up. None for what is no time.
    """
    if not TIME.fullmatch(text):
        return None
    days, _, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    hours_first = bool(days) or len(parts) == 3
    hours, mins, seconds = [*parts, 0, 0][:3] if hours_first else [0, *parts, 0][:3]
    return max(1, int(days or 0) * 1440 + hours * 60 + mins + (seconds > 0))


def refused_option(text: str) -> str | None:
    """Why an option may not reach sbatch; None where it may."""
    found = _OPTION.fullmatch(text)
    if found is None:
        return "an option of sbatch on one line belongs here, such as --constraint=a100"
    return f"--{found[1]} is set by progtrain, and jobs depend on it" if found[1] in _OURS else None
