"""A workspace whose first version has been evaluated, without any training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from progtrain.engine.workspace import Workspace
from tests.conftest import make_data

DATASET = "toy_v1"


@pytest.fixture
def toy(ws: Workspace) -> Workspace:
    """160 training, 120 validation and 40 test rows of a table with two classes; class 1 is the weaker one."""
    make_data(ws)
    valid = (ws.split(DATASET, "valid") / "data.csv").read_text().splitlines()
    ws.split(DATASET, "test").mkdir()
    test = [line.replace("valid-", "test-") for line in valid[81:]]
    (ws.split(DATASET, "valid") / "data.csv").write_text("\n".join(valid[:81]) + "\n")
    (ws.split(DATASET, "test") / "data.csv").write_text("\n".join([valid[0], *test]) + "\n")
    ws.script("v001").write_text('DATASET_ID = "toy_v1"\n')
    evaluated(ws, [line.split(",") for line in valid[1:81]])
    return ws


def evaluated(ws: Workspace, rows: list[list[str]]) -> None:
    """Every third row of class 1 is taken for class 0."""
    lines = ["sample_id,truth,prediction,correct,loss,confidence"]
    for at, row in enumerate(rows):
        wrong = row[-1] == "1" and at % 3 == 0
        lines.append(f"{row[0]},{row[-1]},{0 if wrong else row[-1]},{int(not wrong)},{1.5 if wrong else 0.2},0.8")
    scores = ws.version("v001")
    scores.evaluation.mkdir(parents=True)
    scores.per_sample.write_text("\n".join(lines) + "\n")
    scores.protocol.write_text(json.dumps({"class_names": ["0", "1"], "task": "classification"}))


def sha256_of_all(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
