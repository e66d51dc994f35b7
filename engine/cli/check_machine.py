"""What `progtrain check` says of the machine, and of the cluster where the rules have scripts run there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Literal

import psutil

from progtrain.engine.control import lock, place
from progtrain.engine.control.context import Context
from progtrain.engine.errors import InputError
from progtrain.engine.schema import JobRequest

_LOW_DISK_BYTES = 1024**3

Item = tuple[Literal["machine"], Literal["ok", "warning", "error"], str, str]


def look(context: Context) -> Iterator[Item]:
    memory = psutil.virtual_memory()
    yield "machine", "ok", f"{psutil.cpu_count()} cores, {memory.available / 2**30:.1f} GiB of memory free", ""
    free = shutil.disk_usage(context.ws.root).free
    if free < _LOW_DISK_BYTES:
        yield "machine", "warning", f"{free / 2**20:.0f} MiB of disk free", "checkpoints need room: free some"
    else:
        yield "machine", "ok", f"{free / 2**30:.0f} GiB of disk free", ""
    if not lock.has_locks(context.ws.root):
        fix = "start loops of this workspace from one machine only, or lay it on another file system"
        yield "machine", "warning", "the file system has no locks: runners on other machines are not kept out", fix
    if context.rules.sandboxed:
        yield "machine", "ok", "trainings and evaluations can write to their version's folder alone", ""
    if context.rules.on_cluster:
        yield from _cluster(context)


def _cluster(context: Context) -> Iterator[Item]:
    """What it says to a job such as this loop's. Submits nothing."""
    request = JobRequest(
        name="check",
        command=[context.python],
        cwd=str(context.ws.root.absolute()),
        timeout_seconds=context.rules.timeout_seconds,
        resources=place.resources_of(context.rules),
    )
    try:
        said = context.executor.check(request)
    except InputError as error:
        yield "machine", "error", error.located, error.fix or ""
    else:
        yield "machine", "ok", f"scripts run as jobs of Slurm: {said or 'it takes them'}", ""
