"""The workflow log: what it says is so, can be found, and can be done again."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.analysis.measure.failures import find_slices
from progtrain.engine.analysis.measure.samples import PerSample
from progtrain.engine.files import sha256, write_json
from progtrain.engine.records import report_metrics, workflow, written
from progtrain.engine.records.against import samples_of
from progtrain.engine.records.workflow import Cycle
from progtrain.engine.repeats import found
from progtrain.engine.rules.rules import load
from progtrain.engine.workspace import Workspace


def cycles(ws: Workspace) -> list[Cycle]:
    return workflow.cycles(ws, load(ws))


def worsened(ws: Workspace) -> None:
    """The second version's answers for class 1 become wrong: those of the samples, and the score."""
    folder = ws.version("v002")
    with folder.per_sample.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["truth"] == "1":
            row |= {"prediction": "0", "correct": "0", "part__accuracy": "0", "loss": "3.0"}
    write_rows(folder.per_sample, rows)
    score = json.loads(folder.eval_score.read_text())
    right = sum(row["correct"] == "1" for row in rows)
    next(m for m in score["metrics"] if m["name"] == "accuracy")["value"] = right / len(rows)
    folder.eval_score.write_text(json.dumps(score))


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def test_made_again_from_files_it_is_the_one_of_the_loop(finished: Workspace, tmp_path: Path) -> None:
    (report,) = (path for path in finished.reports.iterdir() if path.is_dir())
    for _ in range(2):
        written.write_log(finished, tmp_path, load(finished))
        for name in (finished.workflow_log.name, finished.workflow_table.name):
            assert (tmp_path / name).read_bytes() == (report / name).read_bytes()


def test_who_decided_what_and_from_which_files(finished: Workspace) -> None:
    first, second = cycles(finished)
    assert (first.cycle, first.base, first.action, first.verdict, first.metric_delta) == (
        "v001",
        None,
        "baseline",
        None,
        None,
    )
    assert (second.base, second.decided_by) == ("v001", "autopilot")
    assert second.goal and second.action and second.at
    assert second.note == "seed noise not measured"
    used = dict(entry.rsplit("@", 1) for entry in second.inputs)
    assert used["02_train_v002.py"] == sha256(finished.script("v002"))
    assert used["02_train_v001.py"] == sha256(finished.script("v001"))


AGENT = {"event": "mcp_call", "tool": "choose", "client": "helper 1.0", "question": "v001-review-2"}


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([("mcp", "choose", "dropout_up"), ("user", "accept", None)], "mcp helper 1.0 (choose dropout_up), user"),
        ([("user", "choose", "dropout_up"), ("user", "accept", None)], "user (choose dropout_up)"),
        ([("mcp", "accept", None)], "mcp helper 1.0"),
        (
            [("mcp", "choose", "dropout_up"), ("user", "edit", None), ("autopilot", "accept", None)],
            "user (edit), autopilot",
        ),
        ([("mcp", "choose", "dropout_up"), ("user", "redraft", None), ("user", "accept", None)], "user"),
    ],
)
def test_an_agent_that_chose_is_named_beside_who_accepted(
    copied: Workspace, answers: list[tuple[str, str, str | None]], told: str
) -> None:
    events = [json.loads(line) for line in copied.journal.read_text().splitlines()]
    at = next(
        at for at, event in enumerate(events) if event["event"] == "decision" and "v001-review" in event["question"]
    )
    said = [
        {**events[at], "question": f"v001-review-{number}", "by": by, "answer": answer, "candidate": candidate}
        for number, (by, answer, candidate) in enumerate(answers, start=2)
    ]
    events[at : at + 1] = [AGENT, *said]
    copied.journal.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert cycles(copied)[1].decided_by == told


def test_rows_that_it_trained_with_besides_are_inputs(copied: Workspace) -> None:
    path = copied.version("v002").spec
    spec = json.loads(path.read_text())
    path.write_text(json.dumps({**spec, "additions": ["a001"], "additions_sha256": {"a001": "abc"}}))
    assert "dataset/additions/toy_v1/a001@abc" in cycles(copied)[1].inputs


def test_every_path_is_there_and_every_command_makes_the_same_again(copied: Workspace) -> None:
    for cycle in cycles(copied):
        for entry in cycle.evidence:
            assert (copied.root / entry.rsplit("#", 1)[0]).is_file()
        made = dict(entry.rsplit("@", 1) for entry in cycle.output)
        for path, digest in made.items():
            assert sha256(copied.root / path) == digest
        samples = copied.version(cycle.cycle).per_sample
        samples.unlink()
        assert cycle.commands
        for command in cycle.commands:
            words = shlex.split(command)
            assert words[0] == "python"
            subprocess.run([sys.executable, *words[1:]], cwd=copied.root, check=True, capture_output=True)
        assert sha256(samples) == made[copied.relative(samples)]


def test_no_command_is_given_that_would_not_make_the_same_again(copied: Workspace) -> None:
    copied.eval_script.write_text(copied.eval_script.read_text() + "\n# changed\n")
    assert [cycle.commands for cycle in cycles(copied)] == [(), ()]


def test_worse_is_called_worse_with_all_that_got_worse(copied: Workspace) -> None:
    worsened(copied)
    second = cycles(copied)[1]
    assert second.verdict == "worse"
    assert second.metric_delta is not None and second.metric_delta < 0
    assert any(one.startswith("accuracy -") for one in second.regressions)
    assert any(one.startswith("class 1: right -") for one in second.regressions)
    assert not any(one.startswith("class 0") for one in second.regressions)
    assert "| worse |" in written.log(cycles(copied), load(copied))


def test_what_cannot_be_compared_has_no_verdict_and_says_why(copied: Workspace) -> None:
    protocol = copied.version("v002").protocol
    told = json.loads(protocol.read_text())
    protocol.write_text(json.dumps({**told, "seed": 7}))
    second = cycles(copied)[1]
    assert second.verdict is None
    assert "another evaluator or on other data" in second.note
    written.write_log(copied, copied.reports, load(copied))
    with copied.workflow_table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == ["-", "-"]
    assert list(rows[0]) == list(written.COLUMNS)


def test_a_version_that_is_not_evaluated_yet_has_a_row(copied: Workspace) -> None:
    copied.version("v002").eval_score.unlink()
    second = cycles(copied)[1]
    assert (second.metric_delta, second.verdict, second.note) == (None, None, "")


def test_without_the_engines_own_folder_the_script_says_where_it_comes_from(copied: Workspace) -> None:
    before = cycles(copied)[1]
    copied.journal.unlink()
    second = cycles(copied)[1]
    assert (second.base, second.action, second.decided_by) == ("v001", before.action, "")


def test_ranges_of_the_target_are_those_of_the_slices() -> None:
    many = range(16)
    truth, said = ([str(n + more) for n in many] for more in (0.0, 0.5))
    none: list[None] = [None] * 16
    samples = PerSample([f"s{n}" for n in many], truth, said, [*none], [0.25 + n / 100 for n in many], [*none])
    parts = find_slices(samples, None)
    assert len(parts) == 4
    held = [samples_of(samples, part.kind, part.name) for part in parts]
    assert sorted(one for ids in held for one in ids) == sorted(samples.ids)
    assert all(len(ids) == part.samples for ids, part in zip(held, parts, strict=True))


def test_repeats_count_in_log_and_report(copied: Workspace) -> None:
    worsened(copied)
    protocol = json.loads(copied.version("v001").protocol.read_text())
    for number, value in ((1, 0.3), (2, 0.95)):
        held = {
            "run": f"r{number}",
            "seed": 42 + number,
            "state": "finished",
            "script_sha256": found.script_sha256(copied, "v001"),
            "evaluator_sha256": protocol["evaluator_sha256"],
            "data_sha256": protocol["data_sha256"],
            "metrics": [{"name": "accuracy", "value": value}],
        }
        write_json(copied.repeat("v001", f"r{number}").result, held)
    second = cycles(copied)[1]
    assert second.verdict == "within noise"
    assert "from 3 runs of v001" in second.note
    assert [row["runs"] for row in _table(copied) if row["metric"] == "accuracy"] != ["1"]


# ---- report_metrics.csv


def _table(ws: Workspace) -> list[dict[str, str]]:
    return list(csv.DictReader(report_metrics.report_metrics(ws, load(ws)).splitlines()))


def test_the_report_has_each_metric_of_first_best_and_others(copied: Workspace) -> None:
    (report,) = (path for path in copied.reports.iterdir() if path.is_dir())
    assert (report / report_metrics.NAME).read_text() == report_metrics.report_metrics(copied, load(copied))
    (copied.external / "rival").mkdir(parents=True)
    score = {"metrics": [{"name": "accuracy", "value": 0.5}], "latency_ms": None}
    (copied.external / "rival" / "eval_score.json").write_text(json.dumps(score))
    (copied.external / "router" / "_eval").mkdir(parents=True)
    (copied.external / "router" / "eval_score.json").write_text(json.dumps(score))
    protocol = {"served_by": {"router": 0.9, "fallback": 0.1}}
    (copied.external / "router" / "_eval" / "protocol.json").write_text(json.dumps(protocol))
    accuracy = _table(copied)[0]
    assert accuracy["external:router (mixed: router 90 %, fallback 10 %)"] == "0.5"
    assert (accuracy["metric"], accuracy["higher_is_better"], accuracy["external:rival"]) == ("accuracy", "true", "0.5")
    values: list[Any] = [float(accuracy[name]) for name in ("baseline", "best", "delta_best_baseline", "low", "high")]
    assert abs(values[2] - (values[1] - values[0])) < 1e-12
    assert values[3] <= values[2] <= values[4]
    told = "within noise" if values[3] <= 0 <= values[4] else "better"
    assert (accuracy["verdict"], accuracy["runs"], accuracy["n"]) == (told, "1", "120")


def test_what_is_missing_is_empty_and_a_delta_keeps_its_sign(
    copied: Workspace, edit_rules: Callable[..., None]
) -> None:
    edit_rules(copied, eval_config={"primary_metric": "loss"})
    for version, value in (("v001", 0.9), ("v002", 0.4)):
        path = copied.version(version).eval_score
        score = json.loads(path.read_text())
        score["metrics"] = [
            {"name": "loss", "value": value, "higher_is_better": False},
            {"name": "odd", "value": None, "higher_is_better": True},
        ]
        path.write_text(json.dumps(score))
    loss, odd = _table(copied)[:2]
    assert float(loss["delta_best_baseline"]) == 0.4 - 0.9
    assert [odd[name] for name in ("baseline", "best", "delta_best_baseline", "low", "verdict", "n")] == [""] * 6


def test_where_the_first_is_the_best_there_is_nothing_to_compare(copied: Workspace) -> None:
    copied.version("v002").eval_score.unlink()
    accuracy = _table(copied)[0]
    assert accuracy["baseline"] == accuracy["best"]
    assert (accuracy["delta_best_baseline"], accuracy["verdict"]) == ("", "")
