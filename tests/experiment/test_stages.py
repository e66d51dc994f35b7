"""An experiment from its plan to its report, by the commands that a user types."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.workspace import Workspace
from tests.cli.commands import as_json, progtrain
from tests.cli.test_json import check
from tests.experiment.conftest import lines, phases, starts

RUNS = ["rank8_rate0.1", "rank8_rate0.2", "rank16_rate0.1", "rank16_rate0.2", "base"]
Planned = Callable[..., ExperimentFolder]
Faults = Callable[[dict[int, dict[str, Any]]], None]


def experiment(ws: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return progtrain(ws, "experiment", *arguments)


def files(root: Path) -> set[str]:
    """All but the locks and what a reader leaves."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.name != ".lock"}


def test_an_experiment_from_plan_to_report(lab: Workspace, planned: Planned) -> None:
    folder = planned(resources={"parallel": 3})
    refused = experiment(lab, "run", "cap")
    assert refused.returncode == 2 and "not scaffolded" in refused.stderr
    assert experiment(lab, "scaffold", "cap").returncode == 0
    assert experiment(lab, "run", "cap").returncode == 0
    assert sorted(starts(lab)) == sorted(lines(lab.root / "evaluations.txt")) == sorted(RUNS)
    shown = experiment(lab, "status", "cap")
    assert "5 runs: 5 done; evaluations 5/5" in shown.stdout
    analyzed = experiment(lab, "analyze", "cap")
    assert analyzed.returncode == 0, analyzed.stderr
    assert "| [rank8_rate0.1](rank8_rate0.1/) | trained | 8 | 0.1 | done |" in folder.summary.read_text()
    logs = ["scaffold-experiment", "scaffold-command", "run-experiment", "run-command", "analyze-experiment"]
    assert all(folder.log(name).stat().st_size for name in logs)
    made = files(folder.path)
    assert {
        *("experiment.yaml", "experiment_summary.md", "results.jsonl", "journal.jsonl"),
        *("analysis/results.csv", "analysis/comparisons.csv", "analysis/report.md"),
        *(f"{run}/{name}" for run in RUNS for name in ("setup_finetune.yaml", "artifacts/best.json", "run.json")),
        *(f"{run}/attempts/train-1/{name}" for run in RUNS for name in ("job.json", "state.json", "output.log")),
        *(f"{run}/eval/logs/caps_best/{name}" for run in RUNS for name in ("eval_score.json", "per_sample.csv")),
        *(f"{run}/marks/{what}.json" for run in RUNS for what in ("train", "check", "caps_best")),
    } <= made


def test_a_dry_run_writes_and_submits_nothing(lab: Workspace, planned: Planned) -> None:
    folder = planned()
    before = files(lab.root)
    said = experiment(lab, "scaffold", "cap", "--dry-run")
    assert said.returncode == 0 and "10 trainings and evaluations to write, 0 are there" in said.stdout
    assert "writes  experiments/cap/base/setup_finetune.yaml" in said.stdout
    assert experiment(lab, "run", "cap", "--dry-run").returncode == 2
    design = ("design", "other", "--base", "train.py", "--vary", "a=1,2", "--dry-run")
    assert experiment(lab, *design).returncode == 2
    assert files(lab.root) == before
    assert experiment(lab, "scaffold", "cap").returncode == 0
    before = files(lab.root)
    said = experiment(lab, "run", "cap", "--dry-run", "--run", "rank8*")
    assert said.returncode == 0, said.stderr
    assert "2 trainings and 2 evaluations; no time limit is stated" in said.stdout
    assert "rank8_rate0.1  train: it has not been trained yet" in said.stdout
    assert experiment(lab, "analyze", "cap", "--dry-run").returncode == 2
    assert files(lab.root) == before and set(phases(folder).values()) == {"scaffolded"}


@pytest.mark.slow
def test_a_tool_by_itself(lab: Workspace, planned: Planned) -> None:
    planned(variables={"rank": [8]}, runs={}, controls={"rate": 0.1})
    assert progtrain(lab, "scaffold-command", "cap").returncode == 0
    assert progtrain(lab, "run-command", "cap", "--run", "rank8").returncode == 0
    assert starts(lab) == ["rank8"]
    nothing = progtrain(lab, "scaffold-peft", "cap")
    assert nothing.returncode == 2 and "nothing to do: looked for work of peft, found that of command" in nothing.stderr
    assert progtrain(lab, "run-nonsense", "cap").returncode == 2
    help_ = progtrain(lab, "--help").stdout
    assert "Workers of experiments" in help_ and "run-command" in help_ and "  experiment " in help_
    assert "scaffold-eval" in help_ and "need for 03_eval.py" in help_
    of_the_loop = progtrain(lab, "run-eval", "cap")
    assert "looked for work of progtrain, found that of command" in of_the_loop.stderr


@pytest.mark.slow
def test_what_is_printed_for_programs_is_documented(lab: Workspace, planned: Planned, faults: Faults) -> None:
    planned(variables={"rank": [8, 16]}, runs={}, controls={"rate": 0.1})
    faults({8: {"exit": 7}})
    for arguments in (("design", "cap"), ("scaffold", "cap"), ("scaffold", "cap", "--dry-run"), ("list",)):
        check(as_json(lab, "experiment", *arguments, "--json"))
    check(as_json(lab, "experiment", "run", "cap", "--dry-run", "--json"))
    done = experiment(lab, "run", "cap", "--json")
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == printed[-1]["exit_code"] == 1
    for line in printed:
        check(line)
    check(as_json(lab, "experiment", "analyze", "cap", "--json"))
    found = as_json(lab, "experiment", "status", "cap", "--json")
    rows = {row["run"]: row for row in found["rows"]}
    assert rows["rank8"]["phase"] == "failed" and rows["rank16"]["metrics"] == {"accuracy": 0.1625}
    check(found)


@pytest.mark.slow
def test_runs_are_resumed_and_cancelled_by_command(lab: Workspace, planned: Planned, faults: Faults) -> None:
    folder = planned(variables={"rank": [8, 16]}, runs={}, controls={"rate": 0.1})
    assert experiment(lab, "scaffold", "cap").returncode == 0
    assert experiment(lab, "cancel", "cap", "--run", "rank16").stdout == "cancelled: rank16\n"
    assert phases(folder) == {"rank8": "scaffolded", "rank16": "cancelled"}
    faults({8: {"exit": 7}})
    assert experiment(lab, "run", "cap").returncode == 1
    nothing = experiment(lab, "resume", "cap", "--cause", "lost")
    assert nothing.returncode == 2 and "nothing to resume" in nothing.stderr
    faults({})
    again = experiment(lab, "resume", "cap")
    assert again.returncode == 0, again.stderr
    assert set(phases(folder).values()) == {"done"}
    nothing = experiment(lab, "cancel", "cap")
    assert nothing.returncode == 2 and "nothing to cancel: all of it has ended" in nothing.stderr
    listed = experiment(lab, "list").stdout
    assert "cap" in listed and "2 done" in listed


# design


@pytest.fixture
def designed(plain: Workspace) -> Iterator[Workspace]:
    """With a first version, so that there is something to vary."""
    (plain.root / "02_train_v001.py").write_text(plain.baseline_script.read_text())
    yield plain


def test_a_plan_is_made_from_options_and_checked(designed: Workspace) -> None:
    text = designed.script("v001").read_text()
    assert "learning_rate" in text.lower()
    done = experiment(designed, "design", "rates", "--vary", "learning_rate=0.1,0.5", "--repeats", "2", "--with-base")
    assert done.returncode == 0, done.stderr
    assert "rates: 6 runs" in done.stdout and "nobody says how long a run takes" in done.stdout
    plan = (designed.experiments / "rates" / "experiment.yaml").read_text()
    assert "base: {script: 02_train_v001.py}" in plan and "learning_rate: [0.1, 0.5]" in plan
    assert "the plan holds" in experiment(designed, "design", "rates").stdout
    again = experiment(designed, "design", "rates", "--repeats", "3")
    assert again.returncode == 2 and "there is a plan already" in again.stderr


@pytest.mark.slow
def test_the_candidates_of_a_version_are_tried_side_by_side(plain: Workspace) -> None:
    assert progtrain(plain, "run", "--yes", "--until", "author").returncode == 0
    done = experiment(plain, "design", "which", "--from", "v001", "--candidates", "2", "--parallel", "3")
    assert done.returncode == 0 and "which: 3 runs, 3 evaluations" in done.stdout, done.stderr
    assert experiment(plain, "scaffold", "which").returncode == 0
    ran = experiment(plain, "run", "which")
    assert ran.returncode == 0, ran.stdout
    rows = as_json(plain, "experiment", "status", "which", "--json")["rows"]
    assert [row["type"] for row in rows] == ["control", "trained", "trained"]
    assert all(row["metrics"]["accuracy"] > 0.5 for row in rows)
    # the loop's own versions are what they were
    assert plain.versions() == ["v001", "v002"]
    analyzed = experiment(plain, "analyze", "which")
    assert analyzed.returncode == 0 and "Against the control **base**" in analyzed.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--vary", "learning_rat=0.1"), "learning_rat"),
        (("--vary", "batch_size=8,32"), "batch_size"),
        (("--vary", "learning_rate"), "gives no values"),
        (("--from", "v009"), "there is no version 'v009'"),
        (("--candidates", "3"), "candidates of which version?"),
        (("--from", "v001"), "v001 has not been analysed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_plan_that_cannot_be_carried_out_is_not_written(
    designed: Workspace, arguments: tuple[str, ...], said: str
) -> None:
    done = experiment(designed, "design", "rates", *arguments)
    assert done.returncode == 2 and said in done.stderr
    assert not (designed.experiments / "rates" / "experiment.yaml").exists()
