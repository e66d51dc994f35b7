"""The model of docs/external_models.md is scored as the page says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine import examples
from progtrain.engine.loop.steps.evaluate import ensure_script
from progtrain.engine.workspace import Workspace

ROOT = Path(__file__).parents[2]


@pytest.mark.filterwarnings("ignore")
def test_the_external_model_of_the_page_is_scored(ws: Workspace, imported: None, evaluated: Callable[..., Any]) -> None:
    page = (ROOT / "docs" / "external_models.md").read_text(encoding="utf-8")
    code, prepares = (re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("python", "sh"))
    assert code is not None and prepares is not None
    examples.write("digits", ws.root)
    ensure_script(ws.eval_script)
    shell = prepares[1].replace("python -", f"'{sys.executable}' -")
    for command in ([sys.executable, ws.pipeline_script.name], ["sh", "-ec", shell]):
        subprocess.run(command, cwd=ws.root, check=True, capture_output=True)
    folder = ws.external / "nearest_mean"
    (folder / "inference_sample.py").write_text(code[1], encoding="utf-8")
    done = evaluated("--external", "nearest_mean")
    assert done.code == 0, done.err
    assert all(line in page for line in done.out.splitlines()[:3])
    score = json.loads((folder / "eval_score.json").read_text())
    assert {m["name"]: round(m["value"], 4) for m in score["metrics"]}["accuracy"] == 0.9128
