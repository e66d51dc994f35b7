"""04_final_report.py on hand-made artifacts, run as the user would."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine import values
from progtrain.engine.loop.steps.evaluate import ensure_script
from progtrain.engine.script.header import with_header
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace

Script = Callable[..., Any]
Metrics = dict[str, float | None]

#: An evaluator of the user's own: looks its scores up, and notes each time that it runs.
EVALUATOR = """
import argparse, hashlib, json, pathlib
p = argparse.ArgumentParser()
for name in ("--version", "--external", "--split", "--output"):
    p.add_argument(name)
a = p.parse_args()
name = a.version or a.external
with open("calls.txt", "a") as file:
    file.write(f"{name} {a.split}\\n")
known = json.loads(pathlib.Path("scores.json").read_text())
if name not in known:
    raise SystemExit(f"no score for {name}")
home = pathlib.Path("Models/Artifacts" if a.version else "Models/external") / name
out = pathlib.Path(a.output) if a.output else home
sha = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()
score = {"dataset_id": "d", "created_at": "2026-01-01T00:00:00+00:00", "num_samples": 5, "latency_ms": 1.5,
         "metrics": [{"name": n, "value": v, "higher_is_better": n != "loss"} for n, v in known[name]]}
(out / "_eval").mkdir(parents=True, exist_ok=True)
(out / "_eval" / "protocol.json").write_text(json.dumps({"evaluator_sha256": sha(pathlib.Path("03_eval.py")),
    "data_sha256": hashlib.sha256().hexdigest(), "seed": 42, "split": a.split or "valid",
    "checkpoint_sha256": sha(home / "best.ckpt") if a.version else "none"}))
(out / "eval_score.json").write_text(json.dumps(score))
"""


class Board:
    """A workspace with versions whose scores are given, and the report on them."""

    def __init__(self, ws: Workspace, script: Script) -> None:
        self.ws, self.script, self.scores = ws, script, dict[str, list[tuple[str, float | None]]]()
        ensure_script(ws.report_script)
        ws.eval_script.write_text(EVALUATOR)
        self.rules(primary_metric="accuracy")

    def rules(self, **evaluation: Any) -> None:
        self.ws.rules.write_text(json.dumps({"eval_config": evaluation}))

    def version(self, name: str, *metrics: tuple[str, float | None], base: str | None = None) -> None:
        self.scores[name] = [*metrics]
        folder = self.ws.version(name)
        folder.additional_assets.mkdir(parents=True)
        folder.best_checkpoint.write_bytes(name.encode())
        folder.spec.write_text("{}")
        source = "VERSION = 'x'\n"
        if base:
            source = with_header(source, name, base, "learning_rate 0.1 → 0.3", "the loss still falls, " * 12)
        self.ws.script(name).write_text(source, encoding="utf-8")
        self._save()
        assert self.script(self.ws.eval_script, "--version", name).code == 0

    def external(self, name: str, *metrics: tuple[str, float | None]) -> None:
        self.scores[name] = [*metrics]
        (self.ws.external / name).mkdir(parents=True)
        (self.ws.external / name / "inference_sample.py").write_text("def predict(raw): ...\n")
        self._save()

    def _save(self) -> None:
        (self.ws.root / "scores.json").write_text(json.dumps(self.scores))
        (self.ws.root / "calls.txt").write_text("")

    def calls(self) -> list[str]:
        return (self.ws.root / "calls.txt").read_text().splitlines()

    def report(self) -> tuple[Path, list[dict[str, str]], str]:
        (self.ws.root / "calls.txt").write_text("")
        done = self.script(self.ws.report_script)
        assert done.code == 0, done.err
        folder = Path(re.findall(r"written: (.*)", done.out)[-1])
        with (folder / "leaderboard.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return folder, rows, (folder / "final-analysis.md").read_text(encoding="utf-8")


@pytest.fixture
def board(ws: Workspace, script: Script) -> Board:
    return Board(ws, script)


def ids(rows: list[dict[str, str]]) -> list[str]:
    return [row["version_id"] for row in rows]


def test_columns_ranks_and_paths_of_the_leaderboard(board: Board) -> None:
    """These columns and no others; ties to the lower version; repeated names numbered."""
    board.version("v001", ("accuracy", 0.8), ("f1", 0.7), ("f1", 0.6))
    board.version("v002", ("accuracy", 0.9))
    board.version("v010", ("accuracy", 0.9), ("loss", 0.5))
    folder, rows, _ = board.report()
    assert list(rows[0]) == [
        "version_id", "dataset_id", "created_at", "latency_ms", "artifact_relpath",
        "metric__accuracy", "metric__loss", "metric__f1", "metric__f1__2",
    ]  # fmt: skip
    assert ids(rows) == ["v002", "v010", "v001"]
    assert [row["artifact_relpath"] for row in rows] == [
        "Artifacts/v002/best.ckpt",
        "../../Artifacts/v010/best.ckpt",
        "../../Artifacts/v001/best.ckpt",
    ]
    assert all((folder / row["artifact_relpath"]).is_file() for row in rows)
    assert (rows[0]["metric__f1"], rows[2]["metric__f1__2"]) == ("", "0.6")
    assert sorted(p.name for p in (folder / "Artifacts" / "v002").iterdir()) == [
        "additional_assets",
        "best.ckpt",
        "spec.json",
    ]
    assert board.calls() == []


def test_lower_is_better_where_rules_or_scores_say_so(board: Board) -> None:
    board.rules(primary_metric="loss")
    board.version("v001", ("loss", 0.5))
    board.version("v002", ("loss", 0.4))
    assert ids(board.report()[1]) == ["v002", "v001"]


def test_small_losses_are_told_apart_as_they_are_everywhere(board: Board) -> None:
    board.rules(metrics=["loss"])
    board.version("v001", ("loss", 0.00031))
    board.version("v002", ("loss", 0.00029), base="v001")
    *_, analysis = board.report()
    assert all(values.metric(loss) in analysis for loss in (0.00031, 0.00029))
    assert "0.0003100" in analysis


def test_versions_without_a_number_go_to_the_bottom_with_a_warning(board: Board) -> None:
    board.version("v001", ("accuracy", None))
    board.version("v002", ("f1", 0.9))
    board.version("v003", ("accuracy", 0.1))
    _, rows, text = board.report()
    assert ids(rows) == ["v003", "v001", "v002"]
    warnings = text.split("## Warnings")[1]
    assert "v001: accuracy is not a number, so it ranks last" in warnings
    assert "v002 has no metric 'accuracy' and ranks last" in warnings


def test_an_external_model_keeps_its_rank_and_the_best_trained_one_is_copied(board: Board) -> None:
    board.version("v001", ("accuracy", 0.8))
    board.external("their résnet", ("accuracy", 0.95))
    folder, rows, text = board.report()
    assert ids(rows) == ["their résnet", "v001"]
    assert (folder / "Artifacts" / "v001" / "best.ckpt").is_file()
    assert not (folder / "Artifacts" / "their résnet").exists()
    assert rows[0]["artifact_relpath"] == "../../external/their résnet/inference_sample.py"
    assert "It is an external model and keeps its rank.\nThe best trained version is **v001**" in text


def test_scores_of_another_protocol_are_made_again_and_named(board: Board) -> None:
    board.version("v001", ("accuracy", 0.8))
    board.version("v002", ("accuracy", 0.7))
    board.ws.version("v001").best_checkpoint.write_bytes(b"trained again")
    assert "v001: made with another checkpoint" in board.report()[2]
    assert board.calls() == ["v001 None"]
    board.ws.eval_script.write_text(EVALUATOR + "# stricter\n")
    _, _, text = board.report()
    assert board.calls() == ["v001 None", "v002 None"]
    assert "v002: made with another evaluator" in text
    assert board.report()[2].count("Evaluated again for this report: none.") == 1


def test_a_score_from_elsewhere_is_taken_as_it_is_and_said_so(board: Board) -> None:
    """It has no protocol, and holds what its maker noted besides."""
    board.version("v001", ("accuracy", 0.8))
    board.version("v002", ("accuracy", 0.9))
    shutil.rmtree(board.ws.version("v002").evaluation)
    score = board.ws.version("v002").eval_score
    score.write_text(json.dumps({**json.loads(score.read_text()), "note": "made by hand"}))
    before = score.read_bytes()
    _, rows, text = board.report()
    assert board.calls() == [] and score.read_bytes() == before
    assert ids(rows) == ["v002", "v001"]
    assert "Taken as they were, since evaluator, data and seed agree: v001." in text
    assert "Taken as it was, though it does not say how it was made: v002." in text
    assert "v002: its score does not say how it was made: nothing shows that it is comparable" in text


def test_versions_that_drew_another_split_are_named(board: Board) -> None:
    for name, digest in (("v001", "a"), ("v002", "a"), ("v003", "b")):
        board.version(name, ("accuracy", 0.8))
        board.ws.version(name).spec.write_text(json.dumps({"split": {"by": "random_split", "sha256": digest}}))
    told = "validated on different samples, so their ranks say little across these groups: v001, v002; v003"
    assert told in board.report()[2]
    # a contract is scored on what it offers
    board.ws.script("v003").write_text("def load_split(split): ...\n")
    assert "different samples" not in board.report()[2]


def test_a_version_that_cannot_be_evaluated_again_has_no_score(board: Board) -> None:
    """An old number under another protocol would compare what cannot be compared."""
    board.version("v001", ("accuracy", 0.8))
    board.version("v002", ("accuracy", 0.9))
    board.ws.version("v002").best_checkpoint.write_bytes(b"broken")
    del board.scores["v002"]
    board._save()
    _, rows, text = board.report()
    assert ids(rows) == ["v001", "v002"]
    assert rows[1]["metric__accuracy"] == ""
    assert "v002 could not be evaluated again, so it has no score: no score for v002" in text


def test_the_second_report_of_a_minute_never_overwrites_the_first(board: Board) -> None:
    board.version("v001", ("accuracy", 0.8))
    folders = [board.report()[0] for _ in range(3)]
    assert len(set(folders)) == 3
    assert all((f / "leaderboard.csv").is_file() and f.parent == board.ws.reports for f in folders)


def test_the_analysis_says_why_the_first_three_are_high(board: Board) -> None:
    """From scripts, actions and analyses; where metrics disagree; what validation did."""
    board.version("v001", ("accuracy", 0.8), ("f1", 0.95))
    board.version("v002", ("accuracy", 0.9), ("f1", 0.9), base="v001")
    board.ws.version("v001").action.write_text(
        "# Action\n## Selected Action (only 1)\n### Goal\nGet further in the\nsame time.\n\n### Change\n```yaml\n"
        "operation: set\n```\n### Expected impact\nAccuracy rises.\n"
    )
    board.ws.version("v002").analysis.write_text("# Analysis\n## Summary\nA clear step up.\n\n## Metric deltas\n")
    _, _, text = board.report()
    assert "Made from v001 by one change: learning_rate 0.1 → 0.3. accuracy 0.8000 → 0.9000 (+0.1000)." in text
    assert "Why it was tried: Get further in the same time." in text
    assert "What was expected: Accuracy rises." in text
    assert "What the analysis found: A clear step up." in text
    assert "- f1 puts v001 first (0.9500; v002: 0.9000)." in text
    assert "Validation both chose and ranked" in text


def test_the_analysis_says_what_other_seeds_came_to_and_whether_the_lead_is_confirmed(board: Board) -> None:
    board.version("v001", ("accuracy", 0.8))
    board.version("v002", ("accuracy", 0.9))
    _, _, text = board.report()
    assert "No version was trained with a second seed: seed noise not measured." in text
    assert "`progtrain compare v002 v001` tells." in text and "`progtrain repeat v002` trains it" in text
    board.ws.repeats("v002").mkdir(parents=True)
    spread = {"accuracy": {"n": 4, "mean": 0.875, "sd": 0.0125, "min": 0.86, "max": 0.9}, "loss": {"n": 4}}
    (board.ws.repeats("v002") / "repeats.json").write_text(json.dumps({"version": "v002", "spread": spread}))
    folder = board.ws.reports / "now"
    folder.mkdir()
    told = {"version": "v001", "metric": "accuracy", "delta": 0.075, "low": 0.02, "high": 0.13, "runs": [1, 4], "n": 5}
    sure = {"verdict": "better", "measured": True, "seed_noise": "seed noise 0.013 from 4 runs of v002"}

    def report(**changes: Any) -> str:
        (folder / "confirmed.json").write_text(json.dumps({"best": "v002", "against": [{**told, **sure, **changes}]}))
        assert board.script(board.ws.report_script, "--output", str(folder)).code == 0
        return (folder / "final-analysis.md").read_text(encoding="utf-8")

    text = report()
    assert "| v002 | 4 | 0.8750 | 0.01250 | 0.8600 | 0.9000 |" in text and "progtrain repeat" not in text
    assert "Its lead over the first and the second best version is confirmed, over samples and seeds." in text
    assert "- v002 against v001, the first: **confirmed**: accuracy +0.07500, 95 % interval over samples" in text
    text = report(verdict="within noise", low=-0.01)
    assert "Its lead is **not confirmed**" in text and "the first: **not confirmed**, within noise: accuracy" in text
    text = report(measured=False, seed_noise="seed noise not measured")
    assert "better by the samples, **not confirmed** by other seeds" in text and "over samples alone" in text
    assert "**not confirmed**, they cannot be compared: v002 was" in report(why_not="v002 was scored on other data")


def test_the_test_split_judges_the_best_version_once_ever(board: Board) -> None:
    board.rules(primary_metric="accuracy", final_test=True)
    board.version("v001", ("accuracy", 0.8))
    board.ws.split("d", "test").mkdir(parents=True)
    assert "The test split was used once, on 2026-01-01T00:00:00+00:00, for v001: accuracy 0.8000." in board.report()[2]
    assert board.calls() == ["v001 test"]
    board.version("v002", ("accuracy", 0.9))
    _, rows, text = board.report()
    assert ids(rows) == ["v002", "v001"]
    assert board.calls() == []
    assert "for v001" in text and "It is not used again for another version." in text


def test_without_any_version_it_says_so(board: Board) -> None:
    done = board.script(board.ws.report_script)
    assert done.code == 1
    assert done.err == "04_final_report.py: there is no version to report on: no Models/Artifacts/v*/best.ckpt\n"


def test_the_evaluator_that_is_copied_agrees_on_the_protocol(toy: Workspace, evaluated: Script, script: Script) -> None:
    """Hashes are made alike on both sides, so that nothing is evaluated twice."""
    evaluated("--version", "v001")
    done = script(toy.report_script, "--output", "out é")
    assert done.code == 0, done.err
    assert "evaluating again" not in done.out
    assert hashlib.sha256((toy.root / "out é/Artifacts/v001/best.ckpt").read_bytes()).hexdigest()


@pytest.mark.parametrize("metric", ["accuracy", "loss", "val_acc"])
def test_the_report_copies_the_version_that_the_views_call_the_best(board: Board, metric: str) -> None:
    board.version("v001", ("accuracy", 0.8), ("loss", 0.5))
    board.version("v002", ("accuracy", 0.9), ("loss", 0.3))
    board.version("v003", ("accuracy", 0.9), ("loss", 0.3))
    board.version("v004", ("accuracy", None), ("loss", None))
    board.rules(primary_metric=metric)
    folder, _, _ = board.report()
    best = [row.version for row in WorkspaceView(board.ws.root).snapshot().versions if row.is_best]
    assert best == ["v002"] == [path.name for path in (folder / "Artifacts").iterdir()]
