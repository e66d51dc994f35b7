"""The worker that the guide shows does what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from progtrain.engine.experiment import workers
from progtrain.engine.experiment.workers import base
from progtrain.engine.experiment.workers.base import Score
from progtrain.engine.workspace import Workspace
from tests.experiment.tools import carry_out, complaints, experiment, piece, scaffold

GUIDE = Path(__file__).parents[2] / "docs" / "contributing_worker.md"
#: writes what lm-eval does
STUB = """
import json, pathlib, sys
given = dict(zip(sys.argv[1:], sys.argv[2:]))
out = pathlib.Path(given["--output_path"]) / "model"
out.mkdir()
task = given["--tasks"]
results = {task: {"alias": task, "acc,none": 0.5, "acc_stderr,none": 0.5}}
(out / "results_1.json").write_text(json.dumps({"results": results, "n-samples": {task: {"effective": 2}}}))
rows = [{"doc_id": n, "doc": {"question": n}, "acc": float(n)} for n in range(2)]
(out / f"samples_{task}_1.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
"""
PLAN = """
experiment: {name: cap}
tools: {training: command, evaluation: [lm_eval]}
base: {command: [python, train.py, "{rank}"]}
variables: {rank: [8]}
evaluation: {tasks: [{name: easy, options: {task: arc_easy}}]}
"""


@pytest.fixture
def evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[base.EvaluationWorker]:
    code = re.search(r"<!-- the tests run exactly this -->\n```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert code is not None
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers/lm_eval.py").write_text(code[1])
    monkeypatch.setattr(workers, "__path__", [*workers.__path__, str(tmp_path / "workers")])
    base._all.cache_clear()
    yield base.evaluation("lm_eval")
    base._all.cache_clear()


def test_one_file_adds_a_tool(ws: Workspace, evaluation: base.EvaluationWorker) -> None:
    whole = experiment(ws, PLAN)
    assert ["needs lm_eval" in problem for problem in complaints(evaluation, whole)] == [True]
    bare = experiment(ws, PLAN.replace("options: {task: arc_easy}", "options: {}"))
    assert any("which of lm-eval's tasks is not said" in problem for problem in complaints(evaluation, bare))
    (ws.root / "lm_eval").mkdir()
    (ws.root / "lm_eval/__main__.py").write_text(STUB)
    what = piece(whole, "rank8", cell="easy_best")
    what.folder.artifacts.mkdir(parents=True)
    scaffold(evaluation, what)
    ended, _, output = carry_out(evaluation, what)
    assert ended.failure is None, output
    assert evaluation.scores(what) == [Score("acc", 0.5, 2, True)]
    assert what.cell_folder.per_sample.read_text() == "sample_id,part__acc\n0,0.0\n1,1.0\n"
