"""A workspace to measure on, and a stopwatch for whole processes."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from progtrain.engine import comparable, examples
from progtrain.engine.control.launch import Options
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace, version_id

# one thread, for whatever is started from here, under the engine or bare: more make runs less alike
os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
# pip compiles what it installs; a checkout is compiled by the first round of each measurement
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
ENVIRONMENT = dict(os.environ)
_FINISHED = Path(__file__).parents[1] / "tests/workspaces/finished.tar.gz"


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


def finished(folder: Path, versions: int) -> Workspace:
    """A loop that came to its end, whose second version is there again and again, with all that was kept of it but
    checkpoints and samples to look at."""
    with tarfile.open(_FINISHED) as archive:
        archive.extractall(folder, filter="data")
    ws, last = Workspace(folder / "finished"), "v002"
    _put(ws, last, last)  # of an older progtrain: its mark does not say yet on which samples it was scored
    told = [line for line in ws.journal.read_text().splitlines() if f'"version": "{last}"' in line]
    with ws.journal.open("a") as journal:
        for version in map(version_id, range(3, versions + 1)):
            _put(ws, last, version)
            journal.writelines(f"{line.replace(last, version)}\n" for line in told)
    return ws


def _put(ws: Workspace, last: str, version: str) -> None:
    lasting = shutil.ignore_patterns("*.ckpt", "infer_samples")
    folders = [
        (ws.version(last).path, ws.version(version).path),
        (ws.mark(last, "train").parent, ws.mark(version, "train").parent),
    ]
    for source, target in [*folders, (ws.record(last).parent, ws.record(version).parent)]:
        if source.is_dir() and source != target:
            shutil.copytree(source, target, ignore=lasting)
    for source, target in ((ws.insight(last), ws.insight(version)), (ws.live(last), ws.live(version))):
        if source != target:
            shutil.copy(source, target)
    for file in [ws.script(version), *ws.mark(version, "train").parent.iterdir()]:
        text = (ws.script(last) if file == ws.script(version) else file).read_text()
        file.write_text(text.replace(last, version))
    mark = json.loads(ws.mark(version, "evaluate").read_text())
    mark["inputs"]["samples"] = comparable.samples_in(ws.version(version).per_sample)
    ws.mark(version, "evaluate").write_text(json.dumps(mark, indent=2))


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
