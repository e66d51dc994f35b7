"""Where the scripts of a loop run, by the rules: on this machine, or as jobs on a cluster."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from progtrain.engine.files import object_in, write_json
from progtrain.engine.jobs.base import Executor, Seen
from progtrain.engine.jobs.local import Local
from progtrain.engine.jobs.sizes import megabytes, minutes
from progtrain.engine.jobs.slurm import Slurm
from progtrain.engine.rules.rules import Rules
from progtrain.engine.schema import Resources
from progtrain.engine.workspace import JobFolder, Workspace

#: Which GPUs a loop may use: as in the shell that started it, wherever it is answered. A cluster hands out its own.
DEVICES = "CUDA_VISIBLE_DEVICES"


def executor_of(rules: Rules) -> Executor:
    return Slurm(float(rules.resources.get("poll_seconds") or 30)) if rules.on_cluster else Local()


def environment_of(rules: Rules, devices: str | None) -> dict[str, str]:
    return {} if devices is None or rules.on_cluster else {DEVICES: devices}


def python_of(ws: Workspace, rules: Rules) -> str | None:
    """The interpreter of the scripts on a cluster's nodes, where the rules name one; a path is below the workspace."""
    named = rules.resources.get("python") if rules.on_cluster else None
    return str(ws.root / named) if named and os.sep in named else named


def resources_of(rules: Rules) -> Resources:
    """What each job asks for. Nothing on this machine."""
    if not rules.on_cluster:
        return Resources()
    asked = rules.resources
    memory, time = asked.get("memory"), asked.get("time")
    known = {key: asked[key] for key in _AS_THEY_ARE if asked.get(key) is not None}
    return Resources.model_validate(
        {
            **known,
            "options": asked.get("sbatch") or [],
            "memory_mb": megabytes(str(memory)) if memory is not None else None,
            "minutes": minutes(str(time)) if time is not None else None,
        }
    )


_AS_THEY_ARE = ("partition", "account", "qos", "gpus", "cpus", "setup", "preemptible")


def tell(folder: JobFolder, seen: Seen, now: datetime) -> None:
    """Keeps how a job is where others can see it who ask no cluster; written when it changes."""
    before = object_in(folder.seen)
    told: dict[str, Any] = {name: getattr(seen, name) for name in ("phase", "reason", "cause", "job", "node")}
    since = datetime.fromtimestamp(now.timestamp() - (seen.stale or 0)).astimezone().isoformat(timespec="seconds")
    told["silent_since"] = None if seen.stale is None else before.get("silent_since") or since
    if told != before and folder.path.is_dir():
        write_json(folder.seen, told)
