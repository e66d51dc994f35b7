"""(c) Ten versions of a small script in a loop, whose scripts start warm, over the same scripts by plain `python`."""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import closing

import psutil

from benchmarks.common import copy, example, seconds, told, verdict
from progtrain.engine.control.context import Context
from progtrain.engine.control.launch import Options
from progtrain.engine.loop import runner
from progtrain.engine.loop.steps import evaluate, train
from progtrain.engine.repeats import run as repeats
from progtrain.engine.script import probe
from progtrain.engine.script.header import set_version
from progtrain.engine.workspace import Workspace, version_id

VERSIONS = 10
PROBES = 3
REPEATS = 3


def main() -> None:
    with example() as ws:
        baseline = ws.script("v001")
        for number in range(2, VERSIONS + 1):
            version = version_id(number)
            ws.script(version).write_text(set_version(baseline.read_text(), version))
        context = runner.prepare(ws, Options(autopilot=True))
        with closing(context.executor):
            _trainings_and_evaluations(ws, context)
            _repeats(ws, context)
            _probes(ws, context)


def _trainings_and_evaluations(ws: Workspace, context: Context) -> None:
    """Each version both ways, one after the other, so that whatever else the machine does meets both."""
    warm: list[list[float]] = [[], []]
    bare: list[list[float]] = [[], []]
    for version in ws.versions():
        for step, times in zip((train, evaluate), warm, strict=True):
            begun = time.perf_counter()
            step.run(context, version)
            times.append(time.perf_counter() - begun)
        here = copy(ws)
        commands = ([here.script(version).name], [here.eval_script.name, "--version", version])
        for command, times in zip(commands, bare, strict=True):
            times.append(seconds([sys.executable, *command], here.root))
    for name, loop, plain, limit in zip(("train", "evaluate"), warm, bare, (0.6, 1.0), strict=True):
        told(f"{name}: plain python", plain)
        told(f"{name}: in the loop, warm", loop)
        verdict(f"{name}: sum of {VERSIONS}, loop over plain", sum(loop) / sum(plain), limit)
    alive = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    for process in (p for p in alive if any("progtrain_warm" in word for word in p.cmdline())):
        print(f"memory of the process that waits: {process.memory_full_info().uss / 2**20:.0f} MiB")


def _repeats(ws: Workspace, context: Context) -> None:
    """Three of the example, each after the same training and evaluation by plain `python`."""
    repeated, cold = [], []
    for times in range(1, REPEATS + 1):
        here = copy(ws)
        commands = ([here.script("v001").name], [here.eval_script.name, "--version", "v001"])
        cold.append(sum(seconds([sys.executable, *command], here.root) for command in commands))
        begun = time.perf_counter()
        repeats.repeat(context, "v001", times)
        repeated.append(time.perf_counter() - begun)
    told("training and evaluation: plain python", cold)
    told("a repeat, warm", repeated)
    verdict(f"{REPEATS} repeats over one cold run", sum(repeated) / statistics.median(cold), 1.5)


def _probes(ws: Workspace, context: Context) -> None:
    script = ws.script("v001")
    cold: list[float] = []
    warm: list[float] = []
    for _ in range(PROBES):
        for times, executor in ((cold, None), (warm, context.executor)):
            begun = time.perf_counter()
            assert probe.trains(probe.run(sys.executable, script, root=ws.root, executor=executor))
            times.append(time.perf_counter() - begun)
    told("probe: cold", cold)
    told("probe: warm", warm)
    verdict(f"probe: sum of {PROBES}, warm over cold", sum(warm) / sum(cold), 1.0)
