"""The checks of an addition: 100,000 rows against 10,000 validation rows, pictures and texts, each in a new process."""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import ENVIRONMENT, verdict
from progtrain.engine.additions import checks, splits
from progtrain.engine.workspace import Workspace

ROWS, HELD = 100_000, 10_000
SECONDS, MEMORY = 20.0, 500.0
DATASET = "many"


def _pictures(folder: Path, name: str, count: int, seed: int) -> None:
    import numpy as np

    rng = np.random.default_rng(seed)
    ids = np.array([f"{name}-{at}" for at in range(count)])
    images = rng.integers(0, 256, (count, 8, 8), dtype=np.uint8)
    np.savez(folder / "pictures.npz", ids=ids, images=images, labels=rng.integers(0, 10, count))


def _texts(folder: Path, name: str, count: int, seed: int) -> None:
    drawn = random.Random(seed)
    with (folder / "texts.jsonl").open("w") as file:
        for at in range(count):
            text = " ".join(f"w{int(drawn.paretovariate(0.6)) % 20_000}" for _ in range(20))
            file.write(json.dumps({"id": f"{name}-{at}", "text": text, "label": at % 3}) + "\n")


def _measured(root: str) -> None:
    """In the child: seconds of processor time and MiB, with what reading the rows takes."""
    ws = Workspace(Path(root))
    begun = time.process_time()
    train = splits.train(ws, DATASET)
    manifest: list[dict[str, Any]] = [
        {"id": f"a001-{at}", "kind": "augment", "parent": name, "parent_split": "train"}
        for at, name in enumerate(train.ids)
    ]
    rows = splits.train(ws, DATASET)
    rows.ids[:] = [str(one["id"]) for one in manifest]
    report = checks.look(ws, manifest, rows, train, splits.held_out(ws, DATASET, train))
    seconds = time.process_time() - begun
    print(len(report.refused), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    for what, write in (("pictures of 8 x 8", _pictures), ("texts of 20 words", _texts)):
        ws = Workspace(Path(tempfile.mkdtemp(prefix="progtrain-bench-")))
        try:
            for seed, (name, count) in enumerate((("train", ROWS), ("valid", HELD))):
                ws.split(DATASET, name).mkdir(parents=True)
                write(ws.split(DATASET, name), name, count, seed)
            code = "import sys; from benchmarks.additions import _measured; _measured(sys.argv[1])"
            done = subprocess.run(
                [sys.executable, "-c", code, str(ws.root)], env=ENVIRONMENT, check=True, text=True, capture_output=True
            )
            refused, seconds, memory = done.stdout.split()
            print(f"{ROWS:,} {what} against {HELD:,}: {refused} refused")
            verdict(f"checks of {what}, processor time", float(seconds), SECONDS, " s")
            verdict(f"checks of {what}, memory", float(memory), MEMORY, " MiB")
        finally:
            shutil.rmtree(ws.root)
