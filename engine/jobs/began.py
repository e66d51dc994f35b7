"""When a process began, told so that it can be recognised later. Light: the guard imports it too."""

from __future__ import annotations

import psutil


def began(process: psutil.Process) -> float:
    """Seconds from the machine's start to the process's: they stay the same when somebody sets the clock.

    Raises `psutil.NoSuchProcess`.
    """
    boot = psutil.boot_time()
    return process.create_time() - boot
