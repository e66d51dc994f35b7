"""Which GPUs of this machine a run gets, where several train side by side."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from progtrain.engine.files import object_in
from progtrain.engine.workspace import JobFolder

VARIABLE = "CUDA_VISIBLE_DEVICES"


def known() -> list[str]:
    """Those that this process may use, as CUDA names them; empty where there are none, or nobody says."""
    if (stated := os.environ.get(VARIABLE)) is not None:
        return [name for name in (part.strip() for part in stated.split(",")) if name and name != "-1"]
    found = Path("/dev").glob("nvidia[0-9]*")
    return [str(number) for number in sorted(int(path.name.removeprefix("nvidia")) for path in found)]


def free(jobs: Iterable[JobFolder]) -> list[str]:
    """Those that no job of these was given."""
    taken: set[str] = set()
    for job in jobs:
        told = object_in(job.job).get("environment")
        taken |= set(str(told.get(VARIABLE, "")).split(",")) if isinstance(told, dict) else set()
    return [name for name in known() if name not in taken]
