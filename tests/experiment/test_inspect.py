"""The worker that evaluates with inspect-ai, and the tasks that are written for it."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from progtrain.engine.cli.main import progtrain
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import inspect_log
from progtrain.engine.experiment.workers import base
from progtrain.engine.experiment.workers.base import Score
from progtrain.engine.files import write_json
from progtrain.engine.workspace import Workspace
from tests.experiment.tools import (
    INSPECT_PYTHON,
    OTHER_PYTHON,
    carry_out,
    complaints,
    ended_well,
    experiment,
    lock,
    needs_inspect,
    needs_peft,
    piece,
    scaffold,
)

WORKER = base.evaluation("inspect")
PLAN = """
experiment: {name: cap}
tools: {training: peft, evaluation: [inspect]}
base: {recipe: lora, model: {path: models/tiny}, data: {train: data/rows.csv}}
variables: {rank: [2, 4]}
controls: {max_steps: 2, batch_size: 4}
runs: {add: [{name: plain, type: control}]}
evaluation: {tasks: [{name: caps, script: tasks/caps.py, options: {max_tokens: 3, device: cpu}}]}
"""


@pytest.fixture
def prepared(ws: Workspace) -> Workspace:
    (ws.root / "data").mkdir()
    rows = "".join(f"{n},word{n},Word{n}\n" for n in range(6))
    (ws.root / "data/rows.csv").write_text("id,input,target\n" + rows)
    create(ws, "caps", "--scorer", "match", "--scorer", "includes")
    return ws


def create(ws: Workspace, name: str, *words: str, data: str = "data/rows.csv") -> str:
    given = ["-C", str(ws.root), "create-inspect-task", name, str(ws.root / data), *words]
    ended = CliRunner().invoke(progtrain, given)
    return str(ended.exception or "") + ended.output


def sample(identity: str, value: Any, epoch: int = 1) -> dict[str, Any]:
    told = {"id": identity, "epoch": epoch, "input": "q", "target": "a", "output": {"completion": "A b"}}
    return told | {"scores": {"match": {"value": value}}}


def a_log(samples: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    score = {"name": "match", "scorer": "match", "metrics": {n: {"value": 0.5} for n in ("accuracy", "stderr")}}
    results = {"total_samples": len(samples), "completed_samples": len(samples), "scores": [score]}
    evaluated = {"config": {"epochs": 1}}
    return {"status": "success", "eval": evaluated, "results": results, "samples": samples} | changes


def test_a_log_becomes_scores_and_samples(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    log = a_log([sample("a", "C"), sample("b", "I"), sample("a", "I", 2), sample("b", "I", 2)])
    log["eval"]["config"]["epochs"] = 2
    write_json(file, log)
    read = inspect_log.read(file)
    assert inspect_log.scores(read, [], None, file) == [Score("accuracy", 0.5, 2, True)]
    header, rows = inspect_log.samples(read, ["match"], file)
    assert header == ["sample_id", "truth", "prediction", "part__accuracy"]
    assert rows == [["a", "a", "A b", 0.5], ["b", "a", "A b", 0.0]]
    with pytest.raises(InputError, match="nothing was scored by exact"):
        inspect_log.scores(read, ["exact"], None, file)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "error", "error": {"message": "no such column"}}, "inspect says error: no such column"),
        ({"status": "cancelled"}, "inspect says cancelled"),
        ({"results": {"total_samples": 0, "completed_samples": 0}}, "evaluated on 0 samples"),
        ({"results": None}, "evaluated on 0 samples"),
        ({"results": {"total_samples": 3, "completed_samples": 2}}, "2 of 3 samples were evaluated: boom"),
        ({"results": {"total_samples": 1, "completed_samples": 1, "scores": []}}, "nothing was scored"),
    ],
)
def test_an_evaluation_that_is_not_whole_is_none(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    failed = sample("a", "C") | ({"error": {"message": "boom"}} if "2 of 3" in said else {})
    write_json(tmp_path / "log.json", a_log([failed], **changes))
    with pytest.raises(InputError) as refused:
        inspect_log.read(tmp_path / "log.json")
    assert said in str(refused.value) and "log.json" in str(refused.value)


def test_an_evaluation_with_another_seed_than_the_rules_lock_has_failed(prepared: Workspace) -> None:
    text = PLAN.replace("{max_tokens: 3,", "{seed: 3,")
    assert any(
        "seed 3 is not allowed: the rules say 7" in p
        for p in complaints(WORKER, lock(experiment(prepared, text), seed=7))
    )
    what = piece(lock(experiment(prepared, text), seed=3), "plain", cell="caps_best")
    (prepared.root / "models/tiny").mkdir(parents=True)
    (what.cell_folder.path).mkdir(parents=True)
    (what.cell_folder.path / "log.eval").touch()
    for seed, said in ((3, ""), (4, "seed was 4 in the run, the rules say 3")):
        log = a_log([sample("a", "C"), sample("b", "I")])
        log["eval"]["model_generate_config"] = {"seed": seed}
        write_json(what.cell_folder.path / "log.json", log)
        failure = ended_well(WORKER, what).failure
        assert said in failure.error_summary if failure else not said


@needs_inspect
@needs_peft
@pytest.mark.slow
def test_adapters_and_the_model_below_them_are_evaluated_without_a_network(prepared: Workspace, tiny: Path) -> None:
    (prepared.root / "models").mkdir()
    (prepared.root / "models/tiny").symlink_to(tiny)
    training = experiment(prepared, PLAN, str(OTHER_PYTHON))
    run = piece(training, "rank4")
    scaffold(base.training("peft"), run)
    ended, _, output = carry_out(base.training("peft"), run)
    assert ended.failure is None, output
    whole = experiment(prepared, PLAN, str(INSPECT_PYTHON))
    assert complaints(WORKER, whole) == []
    for name in ("rank4", "plain"):
        what = piece(whole, name, cell="caps_best")
        scaffold(WORKER, what)
        ended, _, output = carry_out(WORKER, what)
        assert ended.failure is None, output
        assert [(s.metric, s.samples) for s in WORKER.scores(what)] == [("match_accuracy", 6), ("includes_accuracy", 6)]
        rows = what.cell_folder.per_sample.read_text().splitlines()
        assert rows[0] == "sample_id,truth,prediction,part__match_accuracy,part__includes_accuracy" and len(rows) == 7
        assert {path.suffix for path in ended.outputs} == {".json", ".csv", ".eval"}
    both = [piece(whole, name, cell="caps_best").cell_folder.protocol for name in ("rank4", "plain")]
    first, second = (json.loads(path.read_text()) for path in both)
    for key in ("evaluator_sha256", "data_sha256"):
        assert first[key] == second[key]
    assert first["checkpoint_sha256"] != second["checkpoint_sha256"]


class Server(http.server.BaseHTTPRequestHandler):
    """Answers every question with Word3, as OpenAI's interface has it."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "Word3"}
        told = {"id": "x", "object": "chat.completion", "created": 0, "model": "served"}
        told["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]  # type: ignore[assignment]
        told["usage"] = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}  # type: ignore[assignment]
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/v1"
        served.shutdown()
        thread.join()


@needs_inspect
@pytest.mark.slow
def test_a_server_on_this_machine_is_asked(prepared: Workspace, server: str) -> None:
    options = f"{{model: served, base_url: '{server}', max_connections: 2}}"
    text = PLAN.replace("{max_tokens: 3, device: cpu}", options).replace("caps.py,", "caps.py, scorers: [match],")
    whole = experiment(prepared, text, str(INSPECT_PYTHON))
    assert complaints(WORKER, whole) == []
    what = piece(whole, "rank4", cell="caps_best")
    ended, _, output = carry_out(WORKER, what)
    assert ended.failure is None, output
    assert WORKER.scores(what) == [Score("accuracy", pytest.approx(1 / 6), 6, True)]
    assert "3,Word3,Word3,1.0" in what.cell_folder.per_sample.read_text()


@needs_inspect
@pytest.mark.slow
def test_a_task_whose_samples_all_fail_has_failed_though_inspect_ends_well(prepared: Workspace) -> None:
    script = prepared.root / "tasks/caps.py"
    script.write_text(
        script.read_text().replace("[*asked, generate()]", "[broken()]")
        + "\nfrom inspect_ai.solver import solver\n\n\n@solver\ndef broken():\n    async def solve(state, generate):\n"
        "        raise RuntimeError('no such tool')\n\n    return solve\n"
    )
    text = PLAN.replace("{max_tokens: 3, device: cpu}", "{model: mockllm/model}")
    what = piece(experiment(prepared, text, str(INSPECT_PYTHON)), "rank4", cell="caps_best")
    ended, state, output = carry_out(WORKER, what)
    assert state.exit_code == 0, output
    assert ended.failure is not None and "inspect says error" in ended.failure.error_summary
    assert "no such tool" in ended.failure.error_summary


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("tasks/caps.py", "tasks/cap.py"), "there is no file tasks/cap.py"),
        (("max_tokens: 3", "max_token: 3"), "there is no option max_token\n  fix: did you mean max_tokens?"),
        (("max_tokens: 3", "base_url: 'http://127.0.0.1/v1'"), "a server needs the name of a model"),
        (("max_tokens: 3", "model: a, base_url: 'http://example.org/v1'"), "only a server on this machine is asked"),
        (("max_tokens: 3", "args: 3"), "a mapping belongs here"),
    ],
)
def test_what_is_wrong_with_a_task_is_told_before_anything_runs(
    prepared: Workspace, changed: tuple[str, str], said: str
) -> None:
    assert changed[0] in PLAN
    assert any(said in problem for problem in complaints(WORKER, experiment(prepared, PLAN.replace(*changed))))


def test_what_there_is_no_model_of_is_told_before_it_is_submitted(prepared: Workspace) -> None:
    what = piece(experiment(prepared, PLAN), "rank4", cell="caps_best")
    attempt = what.folder.attempt("caps_best", 1)
    with pytest.raises(InputError, match="there is no folder with a model"):
        WORKER.request(what, attempt)
    made = what.folder.artifacts / "best"
    made.mkdir(parents=True)
    write_json(made / "adapter_config.json", {"base_model_name_or_path": "/gone"})
    with pytest.raises(InputError, match="the model that these adapters belong to is not at /gone"):
        WORKER.request(what, attempt)


@pytest.mark.parametrize(
    ("words", "data", "said"),
    [
        (["caps"], None, "the file is there already"),
        (["2caps"], None, "is no name for a task"),
        (["other", "--scorer", "mach"], None, "did you mean match?"),
        (["other", "--prompt", "hello"], None, "the prompt has no {input}"),
        (["other", "--input", "question", "--target", "answer"], None, "line 2 has no question"),
        (["other"], "a,b\n1,2\n", "there are: a, b"),
        (["other"], "id,input,target\n1,a,b\n1,c,d\n", "the id 1 comes twice"),
        (["other"], "input,target\n", "it holds no row"),
    ],
)
def test_a_task_that_cannot_be_written_is_told_of(
    prepared: Workspace, words: list[str], data: str | None, said: str
) -> None:
    name = "rows.csv" if data is None else "others.csv"
    if data is not None:
        (prepared.root / "data" / name).write_text(data)
    if words == ["caps"]:
        (prepared.root / "tasks/caps.py").write_text("mine")
    assert said in create(prepared, *words, data=f"data/{name}")


def test_a_task_reads_its_rows_by_itself(prepared: Workspace) -> None:
    (prepared.root / "data/rows.jsonl").write_text(
        '{"question": "one", "answer": 1}\n\n{"question": "two", "answer": 2}\n'
    )
    create(prepared, "asks", "--prompt", "Say {input}", data="data/rows.jsonl")
    stub = prepared.root / "inspect_ai"
    stub.mkdir()
    names = {
        "__init__": "Task task",
        "dataset": "MemoryDataset",
        "scorer": "match",
        "solver": "generate system_message",
    }
    for module, held in names.items():
        made = "".join(f"def {name}(*a, **k): return a[0] if a else k\n" for name in held.split())
        (stub / f"{module}.py").write_text(made + ("def Sample(**k): return k\n" if module == "dataset" else ""))
    code = "import sys; sys.path.insert(0, 'tasks'); import asks; print(asks.samples())"
    ended = subprocess.run([sys.executable, "-c", code], cwd=prepared.root, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == str(
        [{"id": "1", "input": "Say one", "target": "1"}, {"id": "2", "input": "Say two", "target": "2"}]
    )
