"""What a score's own table says of it."""

from __future__ import annotations

import json
import math

import pytest

from progtrain.engine.control.launch import Options
from progtrain.engine.loop import doubts, runner
from progtrain.engine.loop.steps import evaluate
from progtrain.engine.workspace import Workspace
from tests.test_loop import events

ERRORS = (1.0, -2.0, 3.0, 0.5)


@pytest.fixture
def measured(finished: Workspace, ws: Workspace) -> Workspace:
    """Errors of a regression, with what each adds to three metrics."""
    made = ws.version("v001")
    made.evaluation.mkdir(parents=True)
    rows = [f"s{i},1.0,{1 + e},{abs(e)},{e * e},{e * e}" for i, e in enumerate(ERRORS)]
    head = "sample_id,truth,prediction,part__mae,part__mse,part__rmse"
    made.per_sample.write_text("\n".join([head, *rows]) + "\n")
    ws.rules.write_text(finished.rules.read_text())
    return ws


def _told(ws: Workspace, **values: float) -> list[str]:
    context = runner.prepare(ws, Options())
    score = {"dataset_id": "toy_v1", "created_at": "2026-01-01T00:00:00Z", "num_samples": 4, "latency_ms": None}
    score["metrics"] = [{"name": name, "value": value, "higher_is_better": False} for name, value in values.items()]
    ws.version("v001").eval_score.write_text(json.dumps(score))
    doubts.tell(context, "v001", evaluate.check_score(context, "v001"))
    return [event["text"] for event in events(ws, "warning") if "per-sample table" in event["text"]]


def test_a_score_that_its_table_adds_up_to_is_not_doubted(measured: Workspace) -> None:
    squares = math.fsum(e * e for e in ERRORS) / 4
    assert _told(measured, mae=6.5 / 4, mse=squares, rmse=math.sqrt(squares)) == []


def test_one_that_it_does_not_add_up_to_is_told(measured: Workspace) -> None:
    told = _told(measured, mae=0.1, rmse=1.0)
    assert [text.split(" is ")[0] for text in told] == ["v001: mae", "v001: rmse"]
    assert "1.8875 in its per-sample table" in told[1]
