"""(b) Training with the live callback over training without it, on a training long enough to tell."""

from __future__ import annotations

import re
import statistics
import sys
from pathlib import Path

import progtrain.engine
from benchmarks.common import ENVIRONMENT, alternate, copy, example, seconds, told, verdict
from progtrain.engine.workspace import Workspace

ROUNDS = 7
_LIVE = Path(progtrain.engine.__file__).parent / "live"


def main() -> None:
    with example() as ws:
        script = ws.script("v001")
        # twice the epochs: importing the packages would hide the callback's share otherwise
        text = script.read_text()
        script.write_text(re.sub(r"^(\w*EPOCHS\w* = )(\d+)", lambda m: f"{m[1]}{int(m[2]) * 2}", text, flags=re.M))

        def without() -> float:
            here = copy(ws)
            return seconds([sys.executable, script.name], here.root)

        def with_callback() -> float:
            here = copy(ws)
            return seconds([sys.executable, script.name], here.root, _environment(here))

        bare, live = alternate(ROUNDS, without, with_callback)
        told("without the callback", bare)
        told("with the callback", live)
        verdict("with over without, medians", statistics.median(live) / statistics.median(bare), 1.01)
        verdict("with over without, minima", min(live) / min(bare), 1.01)


def _environment(ws: Workspace) -> dict[str, str]:
    ws.live("v001").parent.mkdir(parents=True, exist_ok=True)
    return {
        **ENVIRONMENT,
        "PYTHONPATH": str(_LIVE),
        "PROGTRAIN_LIVE_FILE": str(ws.live("v001")),
        "PROGTRAIN_STOP_FILE": str(ws.live_stop("v001")),
    }
