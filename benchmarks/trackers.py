"""(g) Exports of long trainings: 20 versions with 100,000 steps each, by the trackers too where they are set up."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import ENVIRONMENT, finished, verdict
from progtrain.engine.workspace import Workspace, version_id

VERSIONS, STEPS = 20, 100_000
_EVERY = 500
_PYTHON = Path(sys.prefix) / "trackers/bin/python"
_TARGET = 30.0


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="progtrain-bench-") as folder:
        ws = long_trainings(Path(folder))
        size = sum(path.stat().st_size for path in ws.artifacts.glob("*/logs/*/metrics.csv")) / 1e6
        print(f"{VERSIONS} versions, {STEPS} steps each: {size:.0f} MB of logs")
        for tool in ("csv", "tensorboard", "mlflow", "trackio", "wandb"):
            if tool in ("csv", "tensorboard") or _PYTHON.exists():
                _measure(ws, tool)
            else:
                print(f"{tool}: {_PYTHON} is not set up (make test-all does it)")


def long_trainings(folder: Path) -> Workspace:
    """The loss each step, the validation's each 500, as Lightning logs them; looks at progress every 25 steps."""
    ws = finished(folder, VERSIONS)
    rows = ["epoch,step,train_loss,val_loss"]
    for step in range(STEPS):
        rows.append(f"{step // _EVERY},{step},{1 / (step + 2):.17g},")
        if step % _EVERY == _EVERY - 1:
            rows.append(f"{step // _EVERY},{step},,{1 / (step + 3):.17g}")
    log = "\n".join(rows) + "\n"
    for number in range(1, VERSIONS + 1):
        version = version_id(number)
        (ws.version(version).path / "logs/version_0/metrics.csv").write_text(log)
        begun = 1795761769 + 3600 * number
        looks = (json.dumps({"t": begun + step / 80, "step": step}) for step in range(0, STEPS + 1, 25))
        ws.live(version).write_text("\n".join(looks) + "\n")
    return ws


def _processor() -> float:
    """Seconds of all children that have ended: on a busy machine the time by the clock says little."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _measure(ws: Workspace, tool: str) -> None:
    """The whole command, and a second one that finds everything there."""
    words = [sys.executable, "-m", "progtrain", "-C", str(ws.root), "export", tool, "--python", str(_PYTHON)]
    if tool in ("csv", "tensorboard"):
        words = words[:-2]
    for label in (f"{tool}: seconds", f"{tool} again: seconds"):
        begun, used = time.perf_counter(), _processor()
        subprocess.run(words, env=ENVIRONMENT, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        verdict(label, time.perf_counter() - begun, _TARGET, " s")
        print(f"{'of the processor, all processes':46} {_processor() - used:8.3f} s", flush=True)
    size = sum(path.stat().st_size for path in (ws.exports / tool).rglob("*") if path.is_file())
    print(f"{tool}: {size / 1e6:.0f} MB")
    shutil.rmtree(ws.exports / tool)
