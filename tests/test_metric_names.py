"""The rules and the evaluator may spell a metric differently: value, change and verdict are there all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from progtrain.engine.drafting import history
from progtrain.engine.workspace import Workspace


def progtrain(ws: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "progtrain", "-C", str(ws.root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("val_accuracy", "valAccuracy")), "val/acc"]
)
def test_the_analysis_knows_the_primary_metric_under_any_spelling(
    plain: Workspace, edit_rules: Callable[..., None], name: str
) -> None:
    rule = {"name": name, "higher_is_better": True}
    edit_rules(plain, eval_config={"primary_metric": name, "metrics": [rule]}, loop_config={"max_versions": 2})
    done = progtrain(plain, "run", "--yes")
    assert done.returncode == 0, done.stderr
    insight = history.read_insight(plain, "v002")
    assert insight is not None
    row = insight.metrics[0]
    assert row.name == "accuracy" and row.value is not None
    assert row.delta_previous is not None and row.verdict_previous is not None
    told = json.loads(progtrain(plain, "status", "--json").stdout)["versions"][1]
    assert told["value"] == pytest.approx(row.value) and told["verdict_previous"] == row.verdict_previous
    assert row.verdict_previous in plain.version("v002").analysis.read_text()
    ranked = json.loads(progtrain(plain, "leaderboard", "--json").stdout)["versions"]
    assert {version["version"] for version in ranked} == {"v001", "v002"}
    assert all(version["value"] is not None for version in ranked)
