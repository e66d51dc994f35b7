"""The worker that trains language models by LoRA: real trainings of a tiny model, in an interpreter that has peft."""

from __future__ import annotations

import csv
import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from progtrain.engine.experiment.workers import base
from progtrain.engine.files import try_read_json
from progtrain.engine.jobs.local import Local
from progtrain.engine.workspace import Workspace
from tests.experiment.tools import (
    OTHER_PYTHON,
    carry_out,
    complaints,
    ended_well,
    experiment,
    lock,
    needs_peft,
    piece,
    runs,
    scaffold,
)

WORKER = base.training("peft")
PLAN = """
experiment: {name: cap}
tools: {training: peft, evaluation: []}
base: {recipe: lora, model: {path: models/tiny}, data: {train: data/train.jsonl, valid: data/valid.csv}}
variables: {lora_rank: [2, 4]}
controls: {lr: 1e-2, epochs: 2, batch_size: 8, max_length: 64}
runs: {add: [{name: plain, type: control}]}
"""


def prepare(ws: Workspace, model: Path | None = None) -> None:
    data = ws.root / "data"
    data.mkdir()
    rows = [{"input": f"upper: word{i}", "output": f"Word{i}"} for i in range(40)]
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (data / "valid.csv").write_text("input,output\nupper: word41,Word41\nupper: word42,Word42\n")
    (ws.root / "models").mkdir()
    if model is not None:
        (ws.root / "models/tiny").symlink_to(model)
    else:
        (ws.root / "models/tiny").mkdir()
        for name in ("config.json", "tokenizer_config.json"):
            (ws.root / "models/tiny" / name).write_text("{}")


def curve(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@needs_peft
@pytest.mark.slow
def test_a_model_is_trained_stopped_and_gone_on_with(ws: Workspace, tiny: Path) -> None:
    prepare(ws, tiny)
    whole = experiment(ws, PLAN, str(OTHER_PYTHON))
    assert complaints(WORKER, whole) == []
    assert not WORKER.trains(runs(whole)["plain"])
    run = piece(whole, "lora_rank4")
    scaffold(WORKER, run)
    ended, _, output = carry_out(WORKER, run)
    assert ended.failure is None, output
    made = run.folder.artifacts
    assert {path.name for path in made.iterdir()} == {
        *("best", "last", "epoch_0", "epoch_1"),
        *("metrics.csv", "hparams.yaml", "spec.json"),
    }
    losses = [float(row["val_loss"]) for row in curve(made) if row["val_loss"]]
    assert len(losses) == 2 and losses[1] < losses[0] < 6
    used = yaml.safe_load((made / "hparams.yaml").read_text())
    assert (used["rank"], used["learning_rate"], used["epochs"]) == (4, 0.01, 2)
    told = try_read_json(made / "spec.json")
    assert (told["steps"], told["samples"], told["device"]) == (10, 80, "cpu")
    assert json.loads((made / "best/adapter_config.json").read_text())["r"] == 4
    assert '"step": 10' in (run.folder.attempt("train", 1).path / "live.jsonl").read_text()

    # one step in, it is asked to stop; what comes of it in the end is what would have come without
    again = piece(whole, "lora_rank4")
    attempt = again.folder.attempt("train", 2)
    request = WORKER.request(again, attempt)
    stop = request.environment["PROGTRAIN_STOP_FILE"] = str(ws.root / "stop")
    Path(stop).touch()
    executor = Local()
    executor.submit(attempt, request)
    state = executor.wait(attempt, lambda: None)
    assert WORKER.ended(again, attempt, state).failure is None
    assert "stopped after step 1 of 10" in attempt.log.read_text() and WORKER.can_resume(again)
    ended, _, output = carry_out(WORKER, again, 3, resume=True)
    assert ended.failure is None and "going on after step 1" in output and not WORKER.can_resume(again)
    assert [row["val_loss"] for row in curve(made)] == [row["val_loss"] for row in curve(_kept(again))]

    # half the batch with twice the accumulation is the same training
    changes = WORKER.smaller(run)
    assert changes == {"batch_size": 4, "gradient_accumulation_steps": 2}
    ended, _, output = carry_out(WORKER, piece(whole, "lora_rank4", changes=changes), 4)
    assert ended.failure is None, output
    halved = [float(row["val_loss"]) for row in curve(made) if row["val_loss"]]
    assert halved == pytest.approx(losses, rel=1e-3)
    assert yaml.safe_load((made / "hparams.yaml").read_text())["batch_size"] == 4


def _kept(what: base.Piece) -> Path:
    return what.folder.attempts / "train-1.artifacts"


@needs_peft
@pytest.mark.slow
def test_the_whole_model_on_messages_and_a_loss_that_is_not_finite(ws: Workspace, tiny: Path) -> None:
    prepare(ws, tiny)
    told = [{"role": "user", "content": "upper: a"}, {"role": "assistant", "content": "A"}]
    (ws.root / "data/train.jsonl").write_text((json.dumps({"messages": told}) + "\n") * 4)
    text = PLAN.replace("recipe: lora", "recipe: full").replace("lora_rank: [2, 4]", "warmup: [0, 1]")
    whole = experiment(ws, text.replace("{lr: 1e-2", "{dtype: float32, lr: 1e-3"), str(OTHER_PYTHON))
    run = piece(whole, "warmup0")
    scaffold(WORKER, run)
    ended, _, output = carry_out(WORKER, run)
    assert ended.failure is None, output
    assert {path.name for path in run.folder.artifacts.iterdir() if path.is_dir()} == {"best", "last"}
    weights = run.folder.artifacts / "best/model.safetensors"
    assert WORKER.check(run) is None
    weights.write_bytes(weights.read_bytes()[:-10])
    failure = WORKER.check(run)
    assert failure is not None and failure.error_summary == "model.safetensors ends in the middle"
    ended, _, _ = carry_out(WORKER, piece(whole, "warmup0", changes={"lr": 1e25, "gradient_clip": 0}), 2)
    assert ended.failure is not None and ended.failure.cause == "loss not finite"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            ("lora_rank: [2, 4]", "learning_rat: [1]"),
            "there is no setting learning_rat\n  fix: did you mean learning_ra",
        ),
        (("lora_rank: [2, 4]", "rank: [2, many]"), "a whole number belongs here"),
        (("{lr: 1e-2", "{learning_rate: 1e-2, lr: 1e-2"), "lr and learning_rate are one setting"),
        (("{lr: 1e-2", "{prompt: hello, lr: 1e-2"), "the prompt has no {input}"),
        (("recipe: lora", "recipe: lroa"), "there is no recipe lroa"),
        (("models/tiny", "models/none"), "there is no config.json"),
        (("data/train.jsonl", "data/none.jsonl"), "No such file or directory"),
        (("train: data/train.jsonl", "trian: data/train.jsonl"), "did you mean train?"),
        (("data/valid.csv}", "data/valid.csv, input: question, output: output}"), "line 1 has no question"),
        (("runs:", "resources: {gpus: 2}\nruns:"), "peft trains on one GPU"),
    ],
)
def test_what_a_plan_gets_wrong_is_told_before_anything_runs(
    ws: Workspace, changed: tuple[str, str], said: str
) -> None:
    prepare(ws)
    assert changed[0] in PLAN
    found = complaints(WORKER, experiment(ws, PLAN.replace(*changed)))
    assert any(said in problem for problem in found), found


def test_a_package_that_the_interpreter_lacks_is_named(ws: Workspace, tmp_path: Path) -> None:
    prepare(ws)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    found = complaints(WORKER, experiment(ws, PLAN, str(python)))
    assert len(found) == 1 and "needs transformers and peft, which this interpreter does not have" in found[0]
    assert "pip install transformers peft" in found[0]


def test_half_the_batch_is_asked_for_in_the_words_of_the_plan(ws: Workspace) -> None:
    prepare(ws)
    run = piece(experiment(ws, PLAN.replace("batch_size: 8", "bs: 8")), "lora_rank4")
    assert WORKER.smaller(run) == {"bs": 4, "gradient_accumulation_steps": 2}


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        ({"batch_size": 8, "lr": 0.01}, []),
        ({"batch_size": 16}, ["batch_size is not allowed: the rules say 16"]),
        ({"lora_rank": 2}, ["lora_rank is not allowed: the rules say 2"]),
        ({"dropout": 0.1}, ["dropout is 0.0 where the plan says nothing, and the rules say 0.1"]),
    ],
)
def test_what_the_rules_lock_is_told_once_before_anything_runs(
    ws: Workspace, locked: dict[str, Any], said: list[str]
) -> None:
    prepare(ws)
    found = [problem for problem in complaints(WORKER, lock(experiment(ws, PLAN), **locked)) if "rules" in problem]
    assert len(found) == len(said) and all(text in problem for text, problem in zip(said, found, strict=True)), found


def test_what_the_instruction_locks_cannot_vary(ws: Workspace) -> None:
    prepare(ws)
    ws.instruction.write_text("Never change the learning rate.\n")
    found = complaints(WORKER, experiment(ws, PLAN))
    assert any("lr is not allowed: locked by the rules: learning_rate" in problem for problem in found), found


def test_a_run_that_did_not_use_what_the_rules_lock_has_failed(ws: Workspace) -> None:
    prepare(ws)
    run = piece(lock(experiment(ws, PLAN), batch_size=8), "lora_rank4")
    made = run.folder.artifacts
    for name in ("best", "last"):
        (made / name).mkdir(parents=True)
        (made / name / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    (made / "hparams.yaml").write_text("batch_size: 8\nlearning_rate: 0.01\n")
    assert ended_well(WORKER, run).failure is None
    (made / "hparams.yaml").write_text("batch_size: 4\nlearning_rate: 0.01\n")
    failure = ended_well(WORKER, run).failure
    assert failure is not None and "batch_size was 4 in the run, the rules say 8" in failure.error_summary
    # nor is another attempt made with it
    assert WORKER.smaller(run) is None
    other = piece(lock(experiment(ws, PLAN), gradient_accumulation_steps=1), "lora_rank4")
    assert WORKER.smaller(other) == {"batch_size": 4}


def test_a_recipe_may_be_a_file_of_settings(ws: Workspace) -> None:
    prepare(ws)
    (ws.root / "mine.yaml").write_text("r: 4\nlr: 3e-4\n")
    whole = experiment(ws, PLAN.replace("recipe: lora", "recipe: mine.yaml"))
    settings = WORKER.settings(whole)
    assert (settings["rank"], settings["learning_rate"], settings["batch_size"]) == (4, 3e-4, 8)
    (ws.root / "mine.yaml").write_text("rnak: 4\n")
    assert "did you mean rank?" in complaints(WORKER, whole)[0]


@pytest.mark.parametrize(
    ("name", "text", "row"),
    [
        ("a.jsonl", '{"question": "q", "answer": "a", "id": 3}', {"id": "3", "input": "q", "output": "a"}),
        ("a.json", '[{"instruction": "i", "input": "x", "output": "o"}]', {"input": "i\nx", "output": "o"}),
        ("a.csv", "prompt,completion\np,c\n", {"input": "p", "output": "c"}),
        ("a.txt", "once upon", {"text": "once upon"}),
    ],
)
def test_rows_are_read_from_files_of_several_kinds(tmp_path: Path, name: str, text: str, row: dict[str, Any]) -> None:
    from progtrain.engine.experiment.tools import progtrain_rows

    (tmp_path / name).write_text(text)
    assert progtrain_rows.read(str(tmp_path / name)) == [row]
