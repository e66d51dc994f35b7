"""Tries the ways of `ways.py`: a loop of two versions for each, and what came of it.

python -m tests.forgery.tried [ours|own] [word ...]    # a table of those that have the words in their name
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from progtrain.engine.control.launch import Options
from progtrain.engine.files import LineReader
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace
from tests.conftest import prepare_plain
from tests.forgery.ways import WAYS, Way, script


class Tried(NamedTuple):
    code: int
    #: best first
    ranking: list[str]
    #: version -> accuracy in its score
    accuracy: dict[str, float]
    #: what the journal warns of, and why a loop failed
    told: list[str]
    #: what it only notes
    notes: list[str]


def tried(ws: Workspace, way: Way, *, ours: bool, versions: int = 2) -> Tried:
    """A loop in autopilot on the script with that way in it."""
    prepare_plain(ws)
    rules = json.loads(ws.rules.read_text())
    # nothing but the way is to be the reason for what happens
    rules["loop_config"] |= {"max_versions": versions, "branch_from": "latest", "max_train_attempts": 1}
    ws.rules.write_text(json.dumps(rules))
    ws.baseline_script.write_text(script(way))
    if ours:
        ws.eval_script.unlink()
    home = ws.root.parent / "home"
    home.mkdir(exist_ok=True)
    surroundings = {"HOME": str(home), "PYTHONPATH": str(ws.root), "OMP_NUM_THREADS": "1"}
    with mock.patch.dict(os.environ, surroundings):
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        code = runner.run(ws, Options(autopilot=True))
    return came_of(ws, code)


def came_of(ws: Workspace, code: int) -> Tried:
    reports = (
        sorted(p for p in ws.reports.iterdir() if (p / "leaderboard.csv").is_file()) if ws.reports.is_dir() else []
    )
    ranking, accuracy = [], {}
    if reports:
        with (reports[-1] / "leaderboard.csv").open() as file:
            ranking = [row["version_id"] for row in csv.DictReader(file)]
    for version in ws.versions():
        path = ws.version(version).eval_score
        if path.is_file():
            values = {m["name"]: m["value"] for m in json.loads(path.read_text())["metrics"]}
            accuracy[version] = values.get("accuracy", float("nan"))
    events = list(LineReader(ws.journal).read())
    told = [str(e.get("text") or e.get("reason") or e.get("summary"))
            for e in events if e["event"] in ("warning", "loop_failed", "attempt_failed")]  # fmt: skip
    return Tried(code, ranking, accuracy, told, [str(e["text"]) for e in events if e["event"] == "note"])


def main() -> None:
    kind, words = (sys.argv[1:2] or ["own"])[0], sys.argv[2:]
    honest: set[str] = set()
    for name, way in {"(honest)": Way(False), **WAYS}.items():
        if (way.ours and kind == "own") or (words and name != "(honest)" and not any(word in name for word in words)):
            continue
        place = Path(tempfile.mkdtemp())
        ws = Workspace(place / "a workspace é")
        ws.root.mkdir()
        found = tried(ws, way, ours=kind == "ours")
        honest |= set(found.told) if name == "(honest)" else set()
        told = [text for text in found.told if text not in honest]
        lines = [name, f"exit {found.code}, {' > '.join(found.ranking)}, {found.accuracy}"]
        lines += [f"told: {text[:300]}" for text in told]
        sys.stdout.write("\n    ".join(lines) + "\n")
        sys.stdout.flush()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
