"""How busy the machine is. psutil is imported by the first look, in its thread."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, NamedTuple


class Machine(NamedTuple):
    cpu_percent: float
    memory_used: int
    memory_total: int
    #: percent of each GPU; empty where there is none
    gpus: tuple[float, ...] = ()


def read_machine() -> Machine:
    import psutil

    memory = psutil.virtual_memory()
    return Machine(psutil.cpu_percent(), memory.total - memory.available, memory.total, _gpu_percent())


def _gpu_percent() -> tuple[float, ...]:
    nvml, gpus = _find_gpus()
    try:
        return tuple(float(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu) for gpu in gpus)
    except nvml.NVMLError:
        gpus.clear()  # no use asking again
        return ()


@cache
def _find_gpus() -> tuple[Any, list[Any]]:
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None, []
    try:
        nvml.nvmlInit()
        return nvml, [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError:
        return nvml, []
