"""A workspace to measure on, and a stopwatch for whole processes."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from progtrain.engine import examples
from progtrain.engine.control.launch import Options
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace

# one thread, for whatever is started from here, under the engine or bare: more make runs less alike
os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
# pip compiles what it installs; a checkout is compiled by the first round of each measurement
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
ENVIRONMENT = dict(os.environ)


@contextmanager
def example(name: str = "digits", *, until: str = "initialize") -> Iterator[Workspace]:
    """A fresh workspace of an example, taken to a step in autopilot."""
    folder = Path(tempfile.mkdtemp(prefix="progtrain-bench-"))
    try:
        ws = Workspace(folder / name)
        examples.write(name, ws.root)
        subprocess.run([sys.executable, ws.pipeline_script.name], cwd=ws.root, check=True, capture_output=True)
        options = Options.model_validate({"autopilot": True, "until": until})
        if runner.run(ws, options) != 0:
            raise SystemExit(f"the example {name} did not run; see {ws.journal}")
        yield ws
    finally:
        shutil.rmtree(folder)


def copy(ws: Workspace) -> Workspace:
    """Beside it, for a run that must not see the other's artifacts."""
    target = Path(tempfile.mkdtemp(dir=ws.root.parent)) / ws.root.name
    shutil.copytree(ws.root, target)
    return Workspace(target)


def seconds(command: Sequence[str], cwd: Path, environment: dict[str, str] | None = None) -> float:
    begun = time.perf_counter()
    subprocess.run(
        command, cwd=cwd, env=environment or ENVIRONMENT, check=True, capture_output=True, stdin=subprocess.DEVNULL
    )
    return time.perf_counter() - begun


def alternate(rounds: int, *measured: Callable[[], float]) -> list[list[float]]:
    """Each in turn, so that whatever else the machine does meets all of them."""
    found: list[list[float]] = [[] for _ in measured]
    for _ in range(rounds):
        for values, measure in zip(found, measured, strict=True):
            values.append(measure())
    return found


def told(label: str, values: Sequence[float], unit: str = "s") -> None:
    print(f"{label:46} min {min(values):8.3f}  median {statistics.median(values):8.3f}  max {max(values):8.3f} {unit}")


def verdict(label: str, value: float, limit: float, unit: str = "") -> None:
    held = "held" if value <= limit else "MISSED"
    print(f"{label:46} {value:8.3f}{unit}   target at most {limit:g}{unit}: {held}", flush=True)
