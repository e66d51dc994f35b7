"""(c) `progtrain status` on a workspace with 200 versions."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.common import alternate, finished, seconds, told, verdict
from progtrain.engine.rules import remembered, rules

VERSIONS = 200
ROUNDS = 11
_HEAVY = ("torch", "lightning", "pandas", "llama_cpp")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ws = finished(Path(folder), VERSIONS)
        present = rules.load(ws)
        remembered.keep(ws, present.prose, present.instruction)  # as a runner does
        status = [str(Path(sys.executable).with_name("progtrain")), "-C", str(ws.root), "status"]
        empty, full = alternate(
            ROUNDS, lambda: seconds([sys.executable, "-c", "pass"], ws.root), lambda: seconds(status, ws.root)
        )
        told("an empty Python", empty)
        told(f"progtrain status, {VERSIONS} versions", full)
        over = statistics.median(full) - statistics.median(empty)
        verdict("progtrain status over an empty Python, medians", over, 0.15, " s")
        code = (
            "import sys; from progtrain.engine.cli.main import main; main(['-C', sys.argv[1], 'status']);"
            f"assert not set({_HEAVY!r}) & set(sys.modules), 'heavy'"
        )
        seconds([sys.executable, "-c", code, str(ws.root)], ws.root)
        print(f"none of {', '.join(_HEAVY)} is imported")
