"""(a) A version's train and evaluate steps under the engine, over the bare scripts."""

from __future__ import annotations

import shutil
import statistics
import sys
import time

from benchmarks.common import alternate, copy, example, seconds, told, verdict
from progtrain.engine.control.launch import Options
from progtrain.engine.loop import runner
from progtrain.engine.loop.steps import evaluate
from progtrain.engine.workspace import Workspace

ROUNDS = 5


def main() -> None:
    with example() as ws:
        evaluate.ensure_script(ws.eval_script)

        def bare() -> float:
            here = copy(ws)
            train = seconds([sys.executable, here.script("v001").name], here.root)
            return train + seconds([sys.executable, here.eval_script.name, "--version", "v001"], here.root)

        def under_engine() -> float:
            here = copy(ws)
            begun = time.perf_counter()
            _run(here)
            return time.perf_counter() - begun

        alone, engine = alternate(ROUNDS, bare, under_engine)
        told("bare scripts, train and evaluate", alone)
        told("under the engine", engine)
        base = statistics.median(alone)
        verdict("engine over bare, less 0.3 s", (statistics.median(engine) - 0.3) / base, 1.05)
        shutil.rmtree(ws.own, ignore_errors=True)


def _run(ws: Workspace) -> None:
    code = runner.run(ws, Options.model_validate({"autopilot": True, "until": "evaluate", "cold": True}))
    if code != 0:
        raise SystemExit(f"the loop ended with {code}; see {ws.journal}")
