"""What this machine has for a model: memory, graphics memory and processors. Asked in the advisor's own process."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

_GIB = 2**30
#: Beside the weights: what a context and its buffers take at the least.
_BESIDE = 64 * 2**20
#: Graphics memory that is left to a context and to whoever else draws.
_SPARE = _GIB
_CGROUP = Path("/sys/fs/cgroup")


def free_memory(cgroup: Path = _CGROUP) -> int:
    """Bytes that may still be taken: of the machine, or of the container where that has less."""
    free = psutil.virtual_memory().available
    limit, used = _read_number(cgroup / "memory.max"), _read_number(cgroup / "memory.current")
    if limit is not None and used is not None:
        # what files take there is given back when it is needed
        cached = _read_field(cgroup / "memory.stat", "inactive_file")
        free = min(free, limit - used + cached)
    return free


def too_large(size: int, free: int) -> str | None:
    """Why weights of this size will not do, before any time is spent on loading them."""
    if size + _BESIDE <= free:
        return None
    return (
        f"it is too large for this machine: it needs about {_shown(size + _BESIDE)} of memory, and {_shown(free)} are "
        "free; take a smaller one, or one with fewer bits per weight"
    )


def layers_on_gpu(asked: int | None, size: int, free: Sequence[int]) -> int:
    """How many layers to put on the GPU, whose devices have so much memory `free`: what was asked for, else all of
    them (-1) where they fit, else none.
    """
    if asked is not None:
        return asked
    return -1 if sum(free) >= size + _SPARE else 0


def processors(cgroup: Path = _CGROUP) -> int:
    """Cores that this process may use: real ones, since two threads of one core only wait for each other here."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = min(allowed, psutil.cpu_count(logical=False) or allowed)
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return max(1, cores)


@contextmanager
def little_memory(most: int) -> Iterator[None]:
    """Raises `MemoryError` where more than `most` bytes are taken beside what this process has; on Linux alone."""
    if sys.platform != "linux":
        yield
        return
    import resource

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    allowed = [limit for limit in (taken + most, *before) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(allowed), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _read_number(path: Path) -> int | None:
    """None where there is no such file, or no limit in it."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _read_field(path: Path, name: str) -> int:
    try:
        return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(f"{name} "))
    except (OSError, ValueError, StopIteration):
        return 0


def _shown(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{max(0, size) / 2**20:.0f} MiB"
