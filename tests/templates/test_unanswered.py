"""Samples without an answer, and samples that something else has answered."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.analysis.compare import serving
from progtrain.engine.analysis.compare.pairs import compare
from progtrain.engine.analysis.measure.samples import read_per_sample
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.workspace import VersionFolder, Workspace

Put = Callable[..., None]
Run = Callable[..., Any]
Write = Callable[[str], VersionFolder]

#: ten samples of two classes; the text is their number
WORDS = """
DATASET_ID = "toy_v1"
CLASS_NAMES = ["even", "odd"]

def load_split(split):
    return [(f"s{i}", f"number {i}", CLASS_NAMES[i % 2]) for i in range(10)]
"""
NUMBERS = """
DATASET_ID = "toy_v1"

def load_split(split):
    return [(f"s{i}", [float(i)], i + 0.5) for i in range(10)]
"""


@pytest.fixture
def theirs(toy: Workspace) -> Write:
    def write(code: str) -> VersionFolder:
        folder = VersionFolder(toy.external / "theirs")
        folder.path.mkdir(parents=True, exist_ok=True)
        (folder.path / "inference_sample.py").write_text(code)
        return folder

    return write


def values(folder: VersionFolder) -> dict[str, float | None]:
    return {m.name: m.value for m in load(folder.eval_score, EvalScore).metrics}


def rows(folder: VersionFolder) -> dict[str, dict[str, str]]:
    with folder.per_sample.open(newline="") as file:
        return {row["sample_id"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("script", "metrics"), [(WORDS, ["accuracy", "f1"]), (NUMBERS, ["mae", "rmse", "r2"])], ids=["classes", "numbers"]
)
def test_a_model_that_answers_nothing_has_no_number_and_ranks_last(
    toy: Workspace, put: Put, rules: Put, evaluated: Run, theirs: Write, script: str, metrics: list[str]
) -> None:
    put(script=script)
    rules(metrics=metrics, primary_metric=metrics[0])
    folder = theirs("def predict(raw): return None")
    done = evaluated("--external", "theirs")
    assert done.code == 0, done.err
    assert values(folder) == {**dict.fromkeys(["loss", *metrics]), "answered": 0.0}
    assert "warning: 10 of 10 samples have no answer, the first because: it answers with nothing" in done.out
    assert load(folder.eval_score, EvalScore).latency_ms is None
    for row in rows(folder).values():
        assert (row["prediction"], row["loss"], row["error"]) == ("", "", "it answers with nothing")
        assert row["correct"] == ("0" if metrics[0] == "accuracy" else "")
        assert not any(value for name, value in row.items() if name.startswith("part__"))
    assert "no answer" in (folder.infer_samples / "0001" / "summary.txt").read_text()


def test_what_fails_at_some_samples_counts_as_wrong_and_never_as_a_small_error(
    toy: Workspace, put: Put, rules: Put, evaluated: Run, theirs: Write
) -> None:
    """Of ten: s0 raises, s1 is no class, s2 is nothing; of the rest s3 is wrong."""
    put(script=WORDS)
    rules(metrics=["accuracy", "balanced_accuracy", "f1", "precision", "recall", "f1_weighted", "mcc"])
    folder = theirs(
        "def predict(text):\n"
        "    n = int(text.split()[1])\n"
        "    if n == 0: raise ValueError('too\\nsmall')\n"
        "    if n == 1: return 'neither'\n"
        "    if n == 2: return {'label': None, 'error': 'rate limit'}\n"
        "    return [0.9, 0.1] if n == 3 or n % 2 == 0 else [0.1, 0.9]\n"
    )
    done = evaluated("--external", "theirs")
    assert done.code == 0, done.err
    found, told = values(folder), rows(folder)
    # even: 5 true, 4 said, 3 right; odd: 5 true, 3 said, 3 right
    recall, precision = (3 / 5 + 3 / 5) / 2, (3 / 4 + 1) / 2
    f1 = (6 / 9 + 6 / 8) / 2
    assert found["answered"] == pytest.approx(0.7)
    for name, value in {"accuracy": 0.6, "balanced_accuracy": recall, "recall": recall, "precision": precision}.items():
        assert found[name] == pytest.approx(value), name
    assert found["f1"] == pytest.approx(f1)
    assert found["f1_weighted"] == pytest.approx(f1)
    losses = [float(row["loss"]) for row in told.values() if row["loss"]]
    assert len(losses) == 7
    assert found["loss"] == pytest.approx(sum(losses) / 7)
    assert told["s0"]["error"] == "ValueError: too small (inference_sample.py, line 3)"
    assert told["s1"]["error"] == "the prediction 'neither' is none of CLASS_NAMES (even, odd)"
    assert told["s2"]["error"] == "rate limit"
    for sample in ("s0", "s1", "s2"):
        row = told[sample]
        assert (row["correct"], row["loss"], row["part__accuracy"]) == ("0", "", "0.0")
    assert {row["served_by"] for row in told.values()} == {"external:theirs"}
    # and a comparison of single samples has the same numbers
    samples = read_per_sample(folder.per_sample)
    for name in ("accuracy", "balanced_accuracy", "f1", "precision"):
        perfect = read_per_sample(folder.per_sample)
        perfect.prediction[:], perfect.correct[:] = perfect.truth, [True] * 10
        perfect.parts["accuracy"][:] = [1.0] * 10
        compared = compare(samples, perfect, name, True, 0)
        assert compared is not None
        assert compared.delta == pytest.approx(1 - (found[name] or 0)), name


def test_errors_of_numbers_are_of_the_samples_with_an_answer(
    toy: Workspace, put: Put, rules: Put, evaluated: Run, theirs: Write
) -> None:
    put(script=NUMBERS)
    rules(metrics=["mae"], primary_metric="mae")
    folder = theirs("def predict(raw): return None if raw[0] < 5 else raw[0]")
    assert evaluated("--external", "theirs").code == 0
    assert values(folder) == {"loss": 0.25, "mae": 0.5, "answered": 0.5}
    assert [row["part__mae"] for row in rows(folder).values()] == [""] * 5 + ["0.5"] * 5
    assert {row["correct"] for row in rows(folder).values()} == {""}


def test_texts_without_an_answer_are_no_exact_match(
    toy: Workspace, put: Put, rules: Put, evaluated: Run, theirs: Write
) -> None:
    put(script=WORDS.replace('CLASS_NAMES = ["even", "odd"]', "").replace("CLASS_NAMES[i % 2]", 'f"{i} it is"'))
    rules(metrics=["exact_match", "wer"], primary_metric="exact_match")
    folder = theirs("def predict(text): return text.split()[1] + ' it is' if text[-1] in '0123' else None")
    done = evaluated("--external", "theirs")
    assert done.code == 0, done.err
    assert values(folder) == {"loss": None, "exact_match": 0.4, "wer": 0.0, "answered": 0.4}
    assert [row["part__wer"] for row in rows(folder).values()] == ["0.0"] * 4 + [""] * 6


CLI = (
    "import sys\nif sys.argv[1].endswith('3'): raise ValueError('three')\n"
    "print(['even', 'odd'][int(sys.argv[1][-1]) % 2])"
)
ALWAYS = "import sys\nopen('runs', 'a').write(sys.argv[1] + chr(10))\nraise ValueError('broken')"


def test_a_script_that_fails_at_one_sample_is_scored_and_one_that_fails_from_the_start_is_not(
    toy: Workspace, put: Put, rules: Put, evaluated: Run, theirs: Write
) -> None:
    put(script=WORDS)
    folder = theirs(CLI)
    done = evaluated("--external", "theirs")
    assert done.code == 0, done.err
    assert values(folder)["accuracy"] == pytest.approx(0.9)
    assert rows(folder)["s3"]["error"].endswith("run with sys.argv[1]: ValueError: three")
    theirs(ALWAYS)
    done = evaluated("--external", "theirs")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "ValueError: broken" in done.err
    # once more at the beginning, when it is looked at whether it can be imported
    assert len((folder.path / "runs").read_text().splitlines()) <= 4


MODEL = """
import torch

def preprocess(raw):
    return torch.zeros(2)

class Net(torch.nn.Module):
    def forward(self, x):
        return x

def load_model(path):
    return Net()
"""
ROUTER = (
    "def predict(text):\n"
    "    n = int(text.split()[1])\n"
    "    if n == 7: return {'label': 'odd', 'served_by': 'fallback'}\n"
    "    return {'scores': [1.0 - n % 2, n % 2], 'served_by': 'router'}\n"
)


def test_a_model_with_a_fallback_is_mixed_and_not_ranked(
    toy: Workspace, put: Put, rules: Put, evaluated: Run, script: Run, theirs: Write
) -> None:
    put(script=WORDS + MODEL)
    folder = theirs(ROUTER)
    nothing = VersionFolder(toy.external / "silent")
    nothing.path.mkdir()
    (nothing.path / "inference_sample.py").write_text("def predict(text): return None")
    for given in (("--external", "theirs"), ("--external", "silent"), ("--version", "v001")):
        assert evaluated(*given).code == 0
    assert values(folder)["accuracy"] == 1
    assert serving.read(folder.protocol) == {"router": 0.9, "fallback": 0.1}
    assert serving.shares_of(read_per_sample(folder.per_sample)) == {"router": 0.9, "fallback": 0.1}
    done = script(toy.report_script)
    assert done.code == 0, done.err
    table = [line for line in done.out.splitlines() if line.startswith("| ")][1:]
    assert [line.split(" | ")[:2] for line in table] == [
        ["| 1", "v001"],
        ["| 2", "silent (external, answered 0 %)"],
        ["| –", "theirs (external, mixed, not ranked: router 90 %, fallback 10 %)"],
    ]
    said = next(toy.reports.glob("*/final-analysis.md")).read_text()
    assert "**v001** ranks first" in said
    assert "theirs is mixed and not ranked, since its numbers are of no one model: router 90 %, fallback 10 %" in said
    board = next(toy.reports.glob("*/leaderboard.csv")).read_text().splitlines()
    assert board[0].endswith(",not_ranked")
    assert board[3].startswith("theirs,")
    assert board[3].endswith('"mixed: router 90 %, fallback 10 %"')


def test_a_main_part_that_knows_of_no_missing_answers_is_given_none(
    toy: Workspace, put: Put, evaluated: Run, theirs: Write
) -> None:
    """Of an earlier workspace, where the modules beside it were written anew."""
    put(script=WORDS)
    theirs("def predict(text): return None if text[-1] == '3' else 'odd'")
    text = toy.eval_script.read_text()
    assert "BATCH, some=job.external)" in text
    toy.eval_script.write_text(text.replace(", some=job.external)", ")"))
    done = evaluated("--external", "theirs")
    assert (done.code, "it answers with nothing" in done.err) == (1, True)


def test_a_checkpoint_answers_for_itself(toy: Workspace, rules: Put, evaluated: Run) -> None:
    assert evaluated("--version", "v001").code == 0
    folder = toy.version("v001")
    assert serving.read(folder.protocol) == {"checkpoint": 1.0}
    assert "answered" not in values(folder)
    assert {(row["served_by"], row["error"]) for row in rows(folder).values()} == {("checkpoint", "")}
    rules(metrics=["accuracy", "answered"])
    assert evaluated("--version", "v001").code == 0
    assert values(folder)["answered"] == 1
    # a table of an earlier evaluation has neither column
    old = folder.per_sample.read_text().splitlines()
    folder.per_sample.write_text("\n".join(line.rpartition(",")[0].rpartition(",")[0] for line in old) + "\n")
    assert serving.shares_of(read_per_sample(folder.per_sample)) == {}


def test_where_all_samples_have_an_answer_the_numbers_are_those_of_torchmetrics(
    toy: Workspace, put: Put, evaluated: Run, theirs: Write
) -> None:
    """The counts that stand in for it where samples are missing come to the same ones."""
    from progtrain.engine.templates.progtrain_eval.judge import Judge
    from progtrain.engine.templates.progtrain_eval.unanswered import with_wrong

    torch = pytest.importorskip("torch")
    drawn = torch.Generator().manual_seed(3)
    names = ["accuracy", "balanced_accuracy", "f1", "f1_micro", "f1_weighted", "precision", "recall_weighted"]
    for classes in (2, 5):
        judge = Judge(dict.fromkeys(names), {"task_type": "classification"}, None, "")
        targets = torch.randint(0, classes, (80,), generator=drawn)
        seen = judge.judged(torch.randn(80, classes, generator=drawn), targets)
        judge.see([str(n) for n in range(80)], seen)
        for score in judge.scores()[1:]:
            metric = judge.metrics[score.name]
            assert with_wrong(judge, metric, score.value, 1.0) == pytest.approx(score.value, abs=1e-6), score.name


def test_a_folder_of_plain_json_is_never_trusted(tmp_path: Path) -> None:
    path = tmp_path / "protocol.json"
    assert serving.read(path) == {}
    for content in ([1], {"served_by": 3}, {"served_by": {"a": "x", "b": True, "c": float("inf")}}):
        path.write_text(json.dumps(content))
        assert serving.read(path) == {}
