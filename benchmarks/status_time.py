"""(c) `progtrain status` on a workspace with 200 versions."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.common import alternate, seconds, told, verdict
from progtrain.engine.workspace import Workspace, version_id

VERSIONS = 200
ROUNDS = 11
_HEAVY = ("torch", "lightning", "pandas", "llama_cpp")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace(Path(folder))
        make_versions(ws, VERSIONS)
        status = [str(Path(sys.executable).with_name("progtrain")), "-C", folder, "status"]
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
        seconds([sys.executable, "-c", code, folder], ws.root)
        print(f"none of {', '.join(_HEAVY)} is imported")


def make_versions(ws: Workspace, count: int) -> None:
    """Scripts, scores and insights as a long loop leaves them."""
    ws.rules.write_text(json.dumps({"eval_config": {"primary_metric": "accuracy", "metrics": ["accuracy"]}}))
    ws.own.mkdir()
    with ws.journal.open("w") as journal:
        for number in range(1, count + 1):
            version = version_id(number)
            _make_version(ws, version, 0.9 + number / 10000)
            for event in _events(version, number):
                journal.write(json.dumps({"at": "2026-01-01T00:00:00+00:00", **event}) + "\n")


def _make_version(ws: Workspace, version: str, value: float) -> None:
    ws.script(version).write_text(f'VERSION = "{version}"\n')
    ws.version(version).path.mkdir(parents=True)
    metrics = [
        {"name": "loss", "value": 1 - value, "higher_is_better": False},
        {"name": "accuracy", "value": value, "higher_is_better": True},
    ]
    score = {"dataset_id": "d", "created_at": "2026-01-01T00:00:00+00:00", "num_samples": 500, "metrics": metrics}
    ws.version(version).eval_score.write_text(json.dumps({**score, "latency_ms": 1.0}))
    ws.insight(version).parent.mkdir(exist_ok=True)
    row = {"name": "accuracy", "delta_previous": 0.0001, "verdict_previous": "within noise", "delta_best": 0.0001}
    facts = [{"key": f"key_{i}", "value": i, "display": str(i), "meaning": "a fact of this length"} for i in range(60)]
    ws.insight(version).write_text(json.dumps({"primary_metric": "accuracy", "metrics": [row], "facts": facts}))


def _events(version: str, number: int) -> list[dict[str, object]]:
    steps = ("train", "evaluate", "analyze", "extract", "check", "author")
    done = [
        event
        for step in steps
        for event in (
            {"event": "step_started", "version": version, "step": step, "reasons": ["it has not been done yet"]},
            {"event": "step_done", "version": version, "step": step, "seconds": 1.0, "text": "done"},
        )
    ]
    made = {"event": "version_authored", "version": version, "base": version_id(max(1, number - 1)), "action": "set x"}
    return [made, *done]
