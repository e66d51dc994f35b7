"""How busy the machine is. psutil is imported by the first look, in its thread."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple


class Machine(NamedTuple):
    cpu_percent: float
    memory_used: int
    memory_total: int
    #: percent of each GPU; empty where there is none
    gpus: tuple[float, ...] = ()


class MachineReader:
    def __init__(self) -> None:
        self._gpus: list[Any] | None = None
        self._nvml: Any = None

    def read(self) -> Machine:
        import psutil

        memory = psutil.virtual_memory()
        return Machine(psutil.cpu_percent(), memory.total - memory.available, memory.total, self._gpu_percent())

    def _gpu_percent(self) -> tuple[float, ...]:
        if self._gpus is None:
            self._gpus = self._find_gpus()
        if not self._gpus:
            return ()
        try:
            return tuple(float(self._nvml.nvmlDeviceGetUtilizationRates(gpu).gpu) for gpu in self._gpus)
        except self._nvml.NVMLError:
            self._gpus = []
            return ()

    def _find_gpus(self) -> list[Any]:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return []
        try:
            nvml.nvmlInit()
            self._nvml = nvml
            return [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        except nvml.NVMLError:
            return []
