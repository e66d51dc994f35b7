"""What a run will take, from earlier ones or from a few steps, and what that rests on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.experiment import estimate, expand, results
from progtrain.engine.experiment import plan as plans
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.results import Row
from progtrain.engine.experiment.stages import design
from progtrain.engine.experiment.stages.design import Designed
from progtrain.engine.workspace import Workspace
from tests.cli.test_baseline import LOOP

BASE = "base: {script: 02_train_v003.py}\n"


def ran(ws: Workspace, seconds: list[float], name: str = "cap_1", base: str = BASE, **more: Any) -> None:
    """An experiment with runs that took so long."""
    folder = ExperimentFolder(ws.experiments / name)
    folder.path.mkdir(parents=True)
    folder.plan.write_text(f"experiment: {{name: {name}}}\n{base}variables: {{lr: [1]}}\n")
    own = {"experiment": name, "state": "done", "task": "caps", "attempts": 1, "device": "cpu"}
    for at, taken in enumerate(seconds):
        told = own | {"run": f"r{at}", "point": f"r{at}", "seconds": taken} | more
        results.append(
            folder, Row.model_validate(told | {"settings": {"batch_size": 8, "epochs": 3} | told.get("settings", {})})
        )


def estimated(
    ws: Workspace, settings: str = "batch_size: 8, epochs: 3", base: str = BASE
) -> tuple[dict[str, Any], list[str]]:
    folder = ExperimentFolder(ws.experiments / "next")
    plan = plans.parse(
        f"experiment: {{name: next}}\n{base}variables: {{lr: [1, 2]}}\ncontrols: {{{settings}}}\n", folder
    )
    return estimate.estimate(plan, expand.runs(plan, folder), estimate.priors(plan, ws))


def test_time_is_what_nine_of_ten_took_and_a_quarter_more_in_steps_of_five_minutes(ws: Workspace) -> None:
    ran(ws, [60.0 * minutes for minutes in range(1, 12)])
    told, missing = estimated(ws)
    # the tenth of eleven: 10 min, and 25 % more
    assert told["time"] == {"value": "15", "basis": "11 runs of cap_1 on cpu: 60 s to 11 min"}
    assert missing == ["memory"]


def test_memory_has_a_third_to_spare(ws: Workspace) -> None:
    ran(ws, [60.0], memory=2 * 2**30)
    told, missing = estimated(ws)
    assert missing == [] and told["memory"]["value"] == "2816M"
    assert told["memory"]["basis"] == "1 run of cap_1 on cpu: the largest process held at most 2.0 GiB"


@pytest.mark.parametrize(
    ("more", "base"),
    [
        ({"device": "NVIDIA H100"}, BASE),
        ({"state": "failed"}, BASE),
        ({"type": "eval-only"}, BASE),
        ({}, "base: {script: 05_other.py}\n"),
        ({}, f"{BASE}tools: {{training: command}}\n"),
    ],
)
def test_runs_that_were_not_alike_tell_nothing(ws: Workspace, more: dict[str, Any], base: str) -> None:
    ran(ws, [600.0], base=base, **more)
    assert estimated(ws) == ({}, ["time", "memory"])


def test_another_version_of_the_script_does(ws: Workspace) -> None:
    ran(ws, [600.0])
    assert estimated(ws, base="base: {script: 02_train_v007.py}\n")[0]["time"]["value"] == "15"


def test_more_epochs_take_longer_and_start_up_stays(ws: Workspace) -> None:
    ran(ws, [600.0])
    # nobody has measured the start: twice the epochs, twice the time; half of them save nothing for sure
    assert estimated(ws, "batch_size: 8, epochs: 6")[0]["time"]["value"] == "25"
    assert estimated(ws, "batch_size: 8, epochs: 1")[0]["time"]["value"] == "15"
    ran(ws, [1080.0], "cap_2", settings={"epochs": 6})
    # 120 s and 160 s an epoch
    told = estimated(ws, "batch_size: 8, epochs: 12")[0]["time"]
    assert told["value"] == str(5 * -(-(120 + 12 * 160) * 1.25 // 300))[:-2]
    assert told["basis"] == "2 runs of cap_1, cap_2 on cpu: 34 min, brought to 12 epochs"


def test_the_nearest_batch_counts_and_is_named(ws: Workspace) -> None:
    ran(ws, [600.0])
    ran(ws, [3000.0], "cap_2", settings={"batch_size": 64})
    told = estimated(ws, "batch_size: 12, epochs: 3")[0]["time"]
    assert told["value"] == "15" and "with batches of 8 instead of 12" in told["basis"]


def test_the_basis_says_how_good_earlier_estimates_were(ws: Workspace) -> None:
    ran(ws, [600.0, 900.0], estimate={"time": {"value": "20", "basis": "..."}})
    assert estimated(ws)[0]["time"]["basis"].endswith("; 2 of them were estimated before and took 50% to 75% of that")


def test_runs_of_several_attempts_count_where_there_are_no_others(ws: Workspace) -> None:
    ran(ws, [600.0], attempts=3)
    assert estimated(ws)[0]["time"]["value"] == "15"
    ran(ws, [60.0], "cap_2")
    assert estimated(ws)[0]["time"]["value"] == "5"


def designed(ws: Workspace, text: str) -> Designed:
    folder = ExperimentFolder(ws.experiments / "next")
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.plan.write_text(f"experiment: {{name: next}}\n{text}")
    return design.read(ws, "next")


def test_a_design_has_the_estimate_or_says_what_is_missing(plain: Workspace) -> None:
    (plain.root / "02_train_v001.py").write_text((plain.root / "02_train_baseline.py").read_text())
    text = "base: {script: 02_train_v001.py}\ntools: {evaluation: []}\nvariables: {learning_rate: [0.1]}\n"
    on_slurm, notes = "resources: {executor: slurm, partition: all", list[str]()
    assert design.estimated(designed(plain, f"{text}{on_slurm}}}\n"), False, notes) == {}
    assert notes == ["nothing is known of time and memory of such runs: state it, or measure a few steps with --probe"]
    ran(plain, [600.0], base="base: {script: 02_train_v001.py}\n", memory=2**30)
    told = design.estimated(designed(plain, f"{text}{on_slurm}}}\n"), False, notes)
    # the script trains 6 epochs where the earlier run had 3
    assert (told["time"]["value"], told["memory"]["value"], len(notes)) == ("25", "1536M", 1)
    # what is stated counts
    assert list(design.estimated(designed(plain, f"{text}{on_slurm}, time: 7}}\n"), False, notes)) == ["memory"]


def test_the_largest_run_is_that_of_the_largest_whole_numbers() -> None:
    folder = ExperimentFolder(Path("experiments/next"))
    text = "variables: {rank: [8, 64], lr: [0.5, 9000.0], epochs: [1, 90]}\ncontrols: {seed: 7}\n"
    plan = plans.parse(f"experiment: {{name: next}}\n{BASE}{text}", folder)
    found = estimate.largest(expand.runs(plan, folder))
    assert found.settings["rank"] == 64


@pytest.mark.slow
def test_a_few_steps_tell_where_nothing_is_known(ws: Workspace) -> None:
    text = LOOP.format(rate=0.1, epochs="EPOCHS", extra="pass", more="").replace(
        "BATCH_SIZE = 8", "BATCH_SIZE = 8\nEPOCHS = 50"
    )
    (ws.root / "02_train_v001.py").write_text(text)
    (ws.root / "user_defined_rules.json").write_text(json.dumps({"eval_config": {"primary_metric": "loss"}}))
    made = designed(ws, "base: {script: 02_train_v001.py}\ntools: {evaluation: []}\nvariables: {batch_size: [8, 16]}\n")
    before = sorted(ws.root.rglob("*"))
    told = design.estimated(made, True, [])
    assert told["time"]["value"] == "5" and told["time"]["basis"].startswith("31 steps of batch_size16 on cpu, ")
    assert "for 50 epochs; twice that, for start and validation" in told["time"]["basis"]
    assert told["memory"]["value"].endswith("M") and sorted(ws.root.rglob("*")) == before


def test_what_is_no_script_cannot_be_measured(ws: Workspace) -> None:
    (ws.root / "fit.sh").write_text("exit 0")
    base = "tools: {training: command, evaluation: []}\nbase: {command: [sh, fit.sh, '{rank}']}\n"
    made = designed(ws, f"{base}variables: {{rank: [1]}}\n")
    with pytest.raises(InputError, match="only scripts can be measured") as caught:
        estimate.probe(made.experiment, made.runs)
    assert caught.value.fix == "state it: --time 90 --memory 16G"
