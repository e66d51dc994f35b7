"""(d) From the end of a training to the draft that waits, by part."""

from __future__ import annotations

from datetime import datetime

from benchmarks.common import example
from progtrain.engine.files import LineReader


def main() -> None:
    with example(until="analyze") as ws:
        events = LineReader(ws.journal).read()
        done = {e["step"]: e for e in events if e["event"] == "step_done"}
        ready = next(e for e in events if e["event"] == "draft_ready")
        trained = datetime.fromisoformat(done["train"]["at"])
        print(f"{'end of training to draft ready':46} {_since(trained, ready['at']):8.3f} s")
        print(f"{'  evaluation (a script of its own)':46} {done['evaluate']['seconds']:8.3f} s")
        print(f"{'  facts, diagnosis, candidates and draft':46} {done['analyze']['seconds']:8.3f} s")
        for part, value in ready["seconds"].items():
            print(f"{'    advisor: ' + part:46} {value:8.3f} s")
        print(f"drafted by {ready['author']}")


def _since(begun: datetime, ended: str) -> float:
    return (datetime.fromisoformat(ended) - begun).total_seconds()
