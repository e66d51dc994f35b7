"""Settings wherever they live: a loop of two versions changes one of them, and the second trains with the new value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.drafting.history import authored
from progtrain.engine.files import read_json, write_text
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.workspace import Workspace
from tests.matrix.settings import SETTINGS
from tests.matrix.test_matrix import DOCS, run

pytestmark = pytest.mark.slow


def make(root: Path, name: str) -> Workspace:
    ws = Workspace(root)
    _, files, _, words = SETTINGS[name]
    for file, text in files.items():
        write_text(ws.baseline_script if file == "train.py" else root / file, text)
    ws.data("own").mkdir(parents=True)
    rules: dict[str, Any] = {
        "dataset_config": {"dataset_id": "own"},
        "training_args": words,
        "eval_config": {"primary_metric": "accuracy", "metrics": ["accuracy"]},
    }
    ws.rules.write_text(json.dumps(rules))
    ws.instruction.write_text("Only the learning rate may change.\n")
    return ws


@pytest.mark.parametrize("name", SETTINGS)
def test_the_second_version_trains_with_the_changed_setting(tmp_path: Path, name: str) -> None:
    ws = make(tmp_path, name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.suffix in (".yaml", ".toml", ".json")}
    done = run(ws, "run", "--yes", "--max-versions", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    operation = authored(ws)["v002"]["operation"]
    rates = [read_json(ws.record(v))["optimizers"][0]["defaults"]["lr"] for v in ("v001", "v002")]
    assert rates == pytest.approx([operation["from"], operation["to"]])
    assert rates[0] != rates[1]
    assert (tmp_path / SETTINGS[name][2]).is_file()
    assert {path: path.read_bytes() for path in before} == before
    assert load(ws.version("v002").eval_score, EvalScore).metric("accuracy") is not None
    evaluated = read_json(ws.version("v002").spec)["settings"]
    assert evaluated["learning_rate"] == pytest.approx(operation["to"])


def test_the_page_lists_where_settings_are_changed() -> None:
    page = DOCS.read_text()
    for what, _, _, _ in SETTINGS.values():
        assert f"| {what} |" in page
